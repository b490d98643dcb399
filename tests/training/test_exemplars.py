"""The memory of exemplars."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from passerby.errors import UsageError
from passerby.training.exemplars import ExemplarMemory


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


def test_it_starts_as_noise_that_looks_like_nothing():
    memory = ExemplarMemory(500, 64)
    assert float(memory.slots.std()) == pytest.approx(0.001, rel=0.05)
    assert float(memory(unit(4, 64)).abs().max()) < 0.01
    assert torch.equal(memory.slots, ExemplarMemory(500, 64).slots)
    assert not torch.equal(memory.slots, ExemplarMemory(500, 64, seed=1).slots)


def test_updates_follow_the_closed_form():
    memory, rows = ExemplarMemory(6, 8), torch.tensor([4, 1, 3])
    first, second = unit(3, 8, seed=1), unit(3, 8, seed=2)
    others = memory.slots[[0, 2, 5]].clone()
    memory.update(first, rows, momentum=0.0)
    assert torch.allclose(memory.slots[rows], first)
    memory.update(second, rows, momentum=0.6)
    for i in range(3):
        moved = [0.6 * float(a) + 0.4 * float(b) for a, b in zip(first[i], second[i], strict=True)]
        length = sum(value * value for value in moved) ** 0.5
        assert memory.slots[rows[i]].tolist() == pytest.approx([value / length for value in moved], abs=1e-6)
    assert torch.equal(memory.slots[[0, 2, 5]], others)


def test_the_gradient_of_a_similarity_is_the_exemplar_and_the_memory_gets_none():
    memory = ExemplarMemory(5, 8)
    memory.update(unit(5, 8), torch.arange(5), 0.0)
    vectors = unit(2, 8, seed=3).requires_grad_()
    similarities = memory(vectors)
    assert torch.allclose(similarities, vectors.detach() @ memory.slots.T, atol=1e-6)
    similarities[:, 2].sum().backward()
    assert vectors.grad is not None and torch.allclose(vectors.grad, memory.slots[2].expand(2, 8))
    assert not list(memory.parameters())


def test_it_stays_in_fp32_under_autocast():
    memory = ExemplarMemory(5, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert memory(unit(2, 8).bfloat16()).dtype == torch.float32
    memory.update(unit(5, 8).bfloat16(), torch.arange(5), 0.0)
    assert memory.slots.dtype == torch.float32
    assert torch.allclose(memory.slots.norm(dim=1), torch.ones(5))


def test_its_state_brings_it_back():
    memory, other = ExemplarMemory(5, 8), ExemplarMemory(5, 8, seed=1)
    memory.update(unit(5, 8), torch.arange(5), 0.0)
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.slots, memory.slots)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"length": 5, "dim": 8, "scope": "own"}, 'memory is "own"; allowed: shared, local'),
        ({"length": 0, "dim": 8}, "an exemplar memory of 0 vectors of length 8"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, text: str):
    with pytest.raises(UsageError, match=text):
        ExemplarMemory(**arguments)


JOB = """
import sys, torch
from passerby.training import processes
from passerby.training.exemplars import ExemplarMemory
with processes("cpu") as here:
    found = {}
    for scope in ("shared", "local"):
        memory = ExemplarMemory(4, 3, scope=scope)
        own = torch.tensor([0, 1]) + 2 * here.rank
        memory.update(torch.eye(3)[[here.rank, 2]], own, 0.0)
        again = ExemplarMemory(4, 3, scope=scope)
        again.load_state_dict(memory.state_dict())
        assert torch.equal(again.slots, memory.slots)
        found[scope] = memory.slots.clone()
    torch.save(found, sys.argv[1] + f"/{here.rank}.pt")
"""


def test_two_processes_hold_the_same_memory_or_each_its_own(tmp_path: Path):
    job = tmp_path / "job.py"
    job.write_text(JOB)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(job), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    everything = torch.eye(3)[[0, 2, 1, 2]]
    assert torch.equal(first["shared"], everything) and torch.equal(second["shared"], everything)
    assert torch.equal(first["local"][:2], everything[:2]) and torch.equal(second["local"][2:], everything[2:])
    for noise in (first["local"][2:], second["local"][:2]):
        assert float(noise.abs().max()) < 0.01
