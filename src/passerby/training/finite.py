"""A loss that is no number stops the run, and the batch that made it is kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from passerby.errors import TrainingError, listing
from passerby.files import replacing

__all__ = ["batch_tensors", "numbers", "stop_if_not_finite"]


def numbers(terms: Mapping[str, float | Tensor]) -> dict[str, float]:
    """The terms of a step as floats, with one transfer from the device for all tensors together."""
    tensors = {name: value.detach().reshape(()).float() for name, value in terms.items() if isinstance(value, Tensor)}
    moved: dict[str, float] = {}
    if tensors:
        device = next(iter(tensors.values())).device
        moved = dict(zip(tensors, torch.stack([value.to(device) for value in tensors.values()]).tolist(), strict=True))
    return {name: moved[name] if name in moved else float(value) for name, value in terms.items()}


def batch_tensors(batch: Any, prefix: str = "") -> dict[str, Tensor]:
    """All tensors of a batch by dotted name: a dataclass, a mapping, or a list or tuple of such."""
    if isinstance(batch, Tensor):
        return {prefix or "inputs": batch}
    if dataclasses.is_dataclass(batch):
        parts: dict[str, Any] = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    elif isinstance(batch, Mapping):
        parts = {str(key): value for key, value in batch.items()}
    elif isinstance(batch, (list, tuple)):
        parts = {str(number): value for number, value in enumerate(batch)}
    else:
        return {}
    return {
        name: t for key, part in parts.items() for name, t in batch_tensors(part, f"{prefix}.{key}" if prefix else key).items()
    }


def stop_if_not_finite(
    terms: Mapping[str, float], batch: Any, step: int, folder: Path, names: Sequence[str] | None, rank: int = 0
) -> None:
    """Stop a run whose loss is NaN or infinite, after saving the batch.

    Args:
        terms: what the step returned.
        batch: what the step was given.
        step: 0-based number of the step.
        folder: where ``not-finite-step-N.safetensors`` goes.
        names: what the indices of the batch mean: one file name a position of the training split.
        rank: number of this process.

    Raises:
        TrainingError: naming the terms, the step, the file and the images.
    """
    bad = [f"{name} = {value}" for name, value in terms.items() if not math.isfinite(value)]
    if not bad:
        return
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in batch_tensors(batch).items()}
    path = folder / (f"not-finite-step-{step + 1:08d}" + (f"-rank-{rank}" if rank else "") + ".safetensors")
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"terms": ", ".join(bad), "step": str(step + 1)})
    raise TrainingError(
        f"{listing(bad)} at step {step + 1}: the run stops before this reaches a checkpoint. "
        f"The batch is in {path} ({_images(tensors, names)}). Lower the learning rate, or look at these images."
    )


def _images(tensors: Mapping[str, Tensor], names: Sequence[str] | None) -> str:
    indices = [i for name, tensor in tensors.items() if name.split(".")[-1] == "indices" for i in tensor.flatten().tolist()]
    if not indices:
        return 'it has no column "indices"'
    if names is None:
        return f"images number {listing(indices)}"
    return f"images {listing(names[i] for i in indices)}"
