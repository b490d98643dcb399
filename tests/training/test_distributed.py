"""Two processes on a CPU do what one does on the same global batch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from passerby.errors import UsageError
from passerby.training import distributed
from passerby.training.distributed import World, any_process, distribute, everyone, gather, processes, world
from passerby.training.history import load_history

SCRIPT = Path(__file__).with_name("share.py")


@pytest.fixture(scope="module")
def alone():
    spec = importlib.util.spec_from_file_location("share", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(work):
    """What two processes under torchrun have found, one entry a process."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(SCRIPT),
        "found.pt",
        str(work),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(work / "found.pt", weights_only=True)


def test_torchrun_starts_two_processes(two):
    assert [(found["rank"], found["size"]) for found in two] == [(0, 2), (1, 2)]


def test_gathered_rows_stand_in_the_order_of_the_processes(two):
    for found in two:
        assert found["gathered"].tolist() == [[0.0, 0.5], [1.0, 1.5]]


def test_gradients_of_two_processes_equal_those_of_one(two, alone):
    """Cross-entropy on each process's own rows plus a pair loss over all rows, in float64."""
    expected = alone.gradients(World(), norms=False)
    for found in two:
        assert set(found["plain"]) == set(expected)
        for name, gradient in expected.items():
            assert gradient.abs().max() > 1e-3, name
            torch.testing.assert_close(found["plain"][name], gradient, rtol=1e-10, atol=1e-12)


def test_gradients_are_equal_with_synchronised_batch_norm_too(two, alone):
    expected = alone.gradients(World(), norms=True)
    for found in two:
        for name, gradient in expected.items():
            torch.testing.assert_close(
                found["synchronised"][name], gradient, rtol=2e-4, atol=2e-6, msg=lambda text, n=name: f"{n}: {text}"
            )


def test_refreshed_statistics_are_the_mean_over_processes(two, alone):
    model = alone.network(norms=True).double()
    shares = [batch.inputs for rank in (0, 1) for batch in alone.ShareLoader(World(rank, 2)).epoch(0)]
    expected = {}
    from passerby.training import refresh_norms

    refresh_norms(model, shares, lambda m, inputs: m(inputs))
    expected = {name: buffer for name, buffer in model.named_buffers() if "running" in name}
    for found in two:
        for name, buffer in expected.items():
            torch.testing.assert_close(found["refreshed"][name], buffer)


def test_all_processes_learn_of_a_flag_in_one(two):
    assert [(found["any"], found["none"]) for found in two] == [(True, False)] * 2


def test_unequal_shares_are_an_error_in_every_process(two):
    for found in two:
        assert found["unequal"] == (
            "the processes hold [1, 2] rows of one batch: make the batch size a multiple of 2 and drop the last, partial batch."
        )


def test_a_nan_in_one_process_stops_all(two, work):
    path = work / "poisoned" / "not-finite-step-00000001-rank-1.safetensors"
    assert two[0]["poisoned"] == "another process met a loss that is not finite at step 1; see its message."
    assert two[1]["poisoned"].startswith(
        f"loss = nan at step 1: the run stops before this reaches a checkpoint. The batch is in {path}"
    )
    assert path.is_file()


def test_a_run_of_two_processes_resumes_exactly(two):
    """Each process's own random state comes back: dropout differs between them."""
    (whole, steps), (_, first), (resumed, second) = (two[0][name] for name in ("whole", "first part", "second part"))
    assert (steps, first, second) == (8, 5, 4)
    assert torch.equal(resumed, whole)
    for name in ("whole", "second part"):
        assert torch.equal(two[0][name][0], two[1][name][0])


def test_only_the_first_process_writes_history_and_checkpoints(two, work):
    assert [line["step"] for line in load_history(work / "parts").steps] == list(range(1, 9))
    assert [path.name for path in (work / "parts" / "checkpoints").iterdir()] == ["step-00000008.pt"]


def test_a_run_of_two_processes_is_not_resumed_by_one(two, work, alone):
    with pytest.raises(
        UsageError, match="4 batches an epoch, 2 processes; now there are 2 epochs, 4 batches an epoch, 1 processes"
    ):
        alone.trained(World(), work / "whole", resume=True)


def test_alone_everything_is_as_it_is(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    rows, model = torch.ones(2, 3), torch.nn.Linear(2, 2)
    with processes("cpu") as here:
        assert here == World() == world() and here.first
        assert gather(rows) is rows
        assert distribute(model) is model
        assert everyone(3) == [3]
        assert any_process(True, here.device) and not any_process(False, here.device)


def test_a_missing_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(UsageError, match=r'device "cuda:1" is asked for, but torch finds no CUDA device here. Use --device cpu.'),
        processes("cuda:1"),
    ):
        pass


def test_more_processes_than_gpus_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match=r"process 2 has no GPU: 2 here. Start torchrun with fewer processes."):
        distributed._device("auto", 2, 4)
