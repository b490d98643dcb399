import ctypes
import os
import platform
import subprocess
import sys

import pytest

from passerby.training import memory
from passerby.training.memory import keep_freed_memory

GLIBC = sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc"
COUNT = """
import resource, runpy, sys
import numpy as np
keep = runpy.run_path(sys.argv[1])["keep_freed_memory"]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.empty(2_000_000).fill(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
keep() and faults()
print(faults())
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in memory._OWN_SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_blocks_of_one_batch_serve_the_next_without_page_faults():
    def faults(**settings):
        command = [sys.executable, "-c", COUNT, memory.__file__]
        return int(subprocess.run(command, env=os.environ | settings, capture_output=True, check=True).stdout)

    assert faults() < 100  # 5 blocks of 16 MB are 20,000 small or 40 large pages


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD"])
def test_settings_of_the_user_stay(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("the allocator must be left alone"))
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("the allocator must be left alone"))
    assert not keep_freed_memory()


class Library:
    def __init__(self, most):
        self.most, self.calls = most, []

    def mallopt(self, option, value):
        self.calls.append((option, value))
        return int(option != -3 or value <= self.most)


@pytest.mark.parametrize(
    ("most", "tried", "took"),
    [(1 << 40, [1 << 30], True), (1 << 25, [1 << 30, 1 << 25], True), (0, [1 << 30, 1 << 25], False)],
)
def test_an_older_library_gets_a_smaller_size(monkeypatch, most, tried, took):
    library = Library(most)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_freed_memory() is took
    assert library.calls == [*((-3, size) for size in tried), (-1, 2**31 - 1)]


def test_a_library_without_the_function_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
