"""Denormal numbers are zero while a training runs, in every thread that computes, and are themselves again afterwards."""

import subprocess
import sys

import pytest
import torch

from passerby.training import processes

LEAST = 1e-39  # denormal in fp32
THREADS = f"""
import torch
from passerby.training import processes
torch.set_num_threads(2)
with processes("cpu"):
    print(int((torch.full((1 << 20,), {LEAST}) * 1.0).count_nonzero()))
"""


def denormals_stay() -> bool:
    return bool(torch.full((1,), LEAST) * 1.0)


@pytest.fixture(autouse=True)
def needs_a_processor_that_can():
    can = torch.set_flush_denormal(True)
    torch.set_flush_denormal(False)
    if not can:
        pytest.skip("this processor has no way to round denormal numbers to zero")


def test_a_training_rounds_them_to_zero_and_leaves_the_thread_as_it_was():
    assert denormals_stay()
    with processes("cpu"):
        assert not denormals_stay()
    assert denormals_stay()
    with pytest.raises(ZeroDivisionError), processes("cpu"):
        raise ZeroDivisionError
    assert denormals_stay()


def test_a_caller_that_rounds_already_goes_on_so():
    torch.set_flush_denormal(True)
    try:
        with processes("cpu"):
            assert not denormals_stay()
        assert not denormals_stay()
    finally:
        torch.set_flush_denormal(False)


def test_all_threads_of_torch_do():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["0"]
