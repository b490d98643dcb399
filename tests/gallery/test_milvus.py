"""The contract against a real Milvus server: the one that the PyPI package `milvus` carries, in a network namespace of its own.

By default a part of the contract is run; PASSERBY_TEST_MILVUS=all runs the whole, some minutes.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from passerby.errors import GalleryError, MissingDependencyError, UsageError
from passerby.gallery import Gallery
from passerby.gallery.folding import Sum
from passerby.gallery.store import Patch

HERE = Path(__file__).parent
PART = "comes_out or erasing_a_person"
SERVER = """
import subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
from milvus import default_server as server
server.set_base_dir(sys.argv[1])
server.start()
sys.path.pop(0)
import os
os.environ["PASSERBY_TEST_MILVUS"] = f"127.0.0.1:{server.listen_port}"
code = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *sys.argv[2:]]).returncode
server.server_proc.kill()  # its own stop() gives up after four seconds
server.server_proc.wait()
sys.exit(code)
"""


def lacking() -> str:
    """Why there is no server here; empty where there is one."""
    for package in ("milvus", "pymilvus"):
        if importlib.util.find_spec(package) is None:
            return f"the PyPI package {package} is not installed (pip install milvus==2.3.5 pymilvus)"
    if not shutil.which("unshare") or not shutil.which("ip"):
        return "no unshare or ip: the server would listen on all addresses of this machine"
    tried = subprocess.run(["unshare", "-rn", "true"], capture_output=True)
    return "" if tried.returncode == 0 else "no network namespace can be made: the server would listen on all addresses"


@pytest.mark.skipif("PASSERBY_TEST_MILVUS" in os.environ and os.environ["PASSERBY_TEST_MILVUS"] != "all", reason="inside already")
def test_the_contract_holds_on_a_real_server(tmp_path: Path):
    if reason := lacking():
        pytest.skip(reason)
    chosen = [] if os.environ.get("PASSERBY_TEST_MILVUS") == "all" else ["-k", PART]
    command = ["unshare", "-rn", sys.executable, "-c", SERVER, str(tmp_path), str(HERE / "test_contract.py"), *chosen]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parents[1], timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize("address", ["localhost", "localhost:19530/", "localhost:19530/a-b", ":19530", "h/1a"])
def test_an_address_that_is_none_is_refused(address: str):
    with pytest.raises(UsageError, match="write milvus://host:port/collection"):
        Gallery.open(f"milvus://{address}")


def test_without_pymilvus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "passerby\[milvus\]"'):
        Gallery.open("milvus://localhost:19530/town")


def test_a_server_that_is_not_there_is_told_on_one_line(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("pymilvus", reason="pymilvus is not installed")
    monkeypatch.setattr("passerby.gallery.milvus_engine._CALL_S", 1.0)
    with pytest.raises(GalleryError, match="the server does not answer or refuses") as caught:
        Gallery.open("milvus://127.0.0.1:1/town")
    assert "\n" not in str(caught.value)


def change(patch: Patch, action: str = "assign", identities: tuple[int, ...] = (1,), text: str = "x", inverse=None) -> dict:
    return {
        "patch": patch.to_json(), "inverse": inverse and inverse.to_json(), "action": action, "text": text, "time": 0.0,
        "identities": list(identities),
    }  # fmt: skip


def test_the_log_adds_up():
    total = Sum()
    for number, (kind, body) in enumerate(
        [
            ("fact", ["thresholds", {"same": 0.5}]),
            ("bookmark", ["film", "1"]),
            ("bookmark", ["film", "2"]),
            ("bookmark", ["done", "1"]),
            ("bookmark", ["done", ""]),
            ("change", change(Patch({1: "Ann"}, {10: 1, 11: 1}), "create", text='"Ann"', inverse=Patch({1: None}, {10: None}))),
            ("change", change(Patch({2: "Bob"}, {12: 2}, {(2, 10): True, (9, 10): True}), "create", (2,), '"Bob"')),
            ("change", change(Patch({}, {13: 2}), "")),  # a row that came with its identity is no event
        ],
        1,
    ):
        total.enter(number, kind, body)
    assert total.facts == {"thresholds": {"same": 0.5}} and total.bookmarks == {"film": "2"} and total.next_identity == 3
    assert [(each.name, each.size, each.rejected) for each in total.identities()] == [("Ann", 2, 0), ("Bob", 2, 1)]
    event, inverse = total.last_change() or (None, None)
    assert event is not None and event.id == 6 and inverse == Patch({1: None}, {10: None})
    total.enter(9, "undone", 6)
    assert total.last_change() is None and [event.undone for event in total.latest()] == [False, True]


def test_a_snapshot_stands_for_all_before_it():
    import json

    total, other = Sum(), Sum()
    total.enter(1, "change", change(Patch({1: "Ann", 2: "Bob"}, {10: 1, 12: 2}, {(2, 10): True}), "create", (1, 2), "Ann"))
    total.enter(2, "change", change(Patch({2: None}, {12: 1}), "merge", (1, 2), "Bob into Ann"))
    total.enter(3, "change", change(Patch({3: "Carl"}, {13: 3}), "create", (3,), "Carl"))
    total.forget([10, 12], [1])
    other.enter(4, "snapshot", json.loads(json.dumps(total.snapshot())))
    assert other == total and [each.name for each in other.identities()] == ["Carl"]
    assert [event.text for event in other.latest()] == ["Carl", "(erased)", "(erased)"] and other.last_change() is None
