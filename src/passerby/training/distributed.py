"""Several processes under ``torchrun``: start and end, gathering with gradient, and what must be equal in all of them.

One process a device: gloo on CPUs, NCCL on CUDA. Each process sees its contiguous share of every global batch; wrapped models
average their gradients. A pair loss needs the whole batch: `gather` gives it to every process, with gradients, and then the
averaged gradients are those of one process on the global batch. Terms that are means over images (cross-entropy) need no
gathering as long as the shares are equally long. Batch norm sees its own process's share, as the field does;
`synchronise_norms` makes it see the global batch.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from passerby.errors import TrainingError, UsageError
from passerby.training.denormals import flushed_denormals
from passerby.training.memory import keep_freed_memory

__all__ = [
    "World",
    "distribute",
    "everyone",
    "gather",
    "mean_over_processes",
    "processes",
    "resolve_device",
    "share_buffers",
    "world",
]


@dataclass(frozen=True)
class World:
    """This process among all: its number, how many there are, and its device."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Only the first process writes files."""
        return self.rank == 0


def world() -> World:
    """Where this process stands; alone unless `processes` is open."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    return World(dist.get_rank(), dist.get_world_size())


@contextmanager
def processes(device: str = "auto") -> Iterator[World]:
    """Join the processes that ``torchrun`` has started, and leave them in an order that does not crash.

    Without ``torchrun`` it yields a world of one. In either case the process keeps freed memory from now on and rounds
    denormal numbers to zero meanwhile, see `keep_freed_memory` and `flushed_denormals`.

    Args:
        device: ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``. Under torchrun ``cuda``
            means one GPU a process.

    Raises:
        UsageError: no device of this name, CUDA asked for and absent, or more processes than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    keep_freed_memory()
    chosen = _device(device, int(os.environ.get("LOCAL_RANK", "0")), size)
    with flushed_denormals():
        if size == 1:
            yield World(device=chosen)
            return
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        try:
            yield World(dist.get_rank(), size, chosen)
            # Leaving while another process still talks ends in SIGABRT in half of all runs: wait, drop the wrappers, then leave.
            dist.barrier()
        finally:
            gc.collect()
            dist.destroy_process_group()


def resolve_device(name: torch.device | str = "auto") -> torch.device:
    """The device of this name, after making sure that it is there.

    Args:
        name: ``auto`` (CUDA where there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: another name, or a CUDA device that torch does not find.
    """
    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise UsageError(f'no device "{name}". Allowed: auto, cpu, cuda, cuda:0, cuda:1 ...')
    if chosen.type == "cpu":
        return chosen
    if not torch.cuda.is_available():
        raise UsageError(f'device "{name}" is asked for, but torch finds no CUDA device here. Use --device cpu.')
    if chosen.index is not None and chosen.index >= torch.cuda.device_count():
        raise UsageError(f'device "{name}" is asked for, but torch finds {torch.cuda.device_count()} CUDA devices, from cuda:0.')
    return chosen


def _device(name: str, local_rank: int, size: int) -> torch.device:
    chosen = resolve_device(name)
    if chosen.type != "cuda":
        return chosen
    if size > 1:
        if local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {local_rank} has no GPU: {torch.cuda.device_count()} here. Start torchrun with fewer processes."
            )
        chosen = torch.device("cuda", local_rank)
    if chosen.index is not None:
        torch.cuda.set_device(chosen)
    return chosen


def distribute(model: nn.Module, *, find_unused: bool = False) -> nn.Module:
    """Wrap a model so that its gradients are averaged over all processes; alone, it is returned as it is.

    Drop the wrapper before `processes` closes: keep it in a local variable of the training function.

    Args:
        model: already on its device.
        find_unused: for models that leave parameters unused in some steps.
    """
    if world().size == 1:
        return model
    device = next(model.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=find_unused)


@torch.no_grad()
def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first, in place: each process's batch norms have seen its own share only.

    Before an evaluation that is shared out, all must hold the same model. Every process calls it; alone, nothing happens.
    """
    if world().size > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


class _Gather(torch.autograd.Function):
    """Concatenation over processes; backward sums what every process found for a row and gives each its own rows back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows)
        ctx.length = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.length
        return total[start : start + ctx.length]


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes in the order of their numbers, with gradient where `rows` has one.

    Args:
        rows: (B, ...) of this process; B must be the same in all.

    Returns:
        (size * B, ...), the same in every process; `rows` itself when there is one process.

    Raises:
        TrainingError: the processes hold unequally many rows.
    """
    size = world().size
    if size == 1:
        return rows
    lengths = torch.zeros(size, dtype=torch.int64, device=rows.device)
    lengths[dist.get_rank()] = len(rows)
    dist.all_reduce(lengths)
    if len(lengths.unique()) > 1:
        raise TrainingError(
            f"the processes hold {lengths.tolist()} rows of one batch: make the batch size a multiple of {size} "
            "and drop the last, partial batch."
        )
    return _Gather.apply(rows.contiguous())  # pyright: ignore[reportReturnType]


def mean_gradients(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients that no wrapper exchanges, as means over all processes; alone, the same tensors, in their graph.

    Args:
        gradients: by name, the same names and shapes in every process.
    """
    if world().size == 1:
        return dict(gradients)
    flat = torch.cat([gradient.detach().reshape(-1) for gradient in gradients.values()])
    dist.all_reduce(flat)
    parts = (flat / world().size).split([gradient.numel() for gradient in gradients.values()])
    return {name: part.view_as(gradients[name]) for name, part in zip(gradients, parts, strict=True)}


def everyone(value: Any) -> list[Any]:
    """One small picklable value from each process, in the order of their numbers."""
    if world().size == 1:
        return [value]
    found: list[Any] = [None] * world().size
    dist.all_gather_object(found, value)
    return found


def mean_over_processes(values: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """The mean of each value over all processes; every process passes the same names. NaN anywhere is NaN everywhere."""
    if world().size == 1:
        return dict(values)
    total = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return dict(zip(values, (total / world().size).tolist(), strict=True))
