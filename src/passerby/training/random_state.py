"""The state of every random generator of a process, in forms that a weights-only loader accepts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["capture", "preserved", "restore"]


def capture() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's global generators (CPU, and this process's CUDA device where it is in use)."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    if kind != "MT19937":
        raise NotImplementedError(f"NumPy's global generator is {kind}; only MT19937 can be saved")
    return {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {
            "keys": torch.from_numpy(np.asarray(keys).astype(np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def restore(state: dict[str, Any]) -> None:
    """Put all generators back to a state that `capture` has made."""
    python, arrays = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = arrays["keys"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, arrays["position"], arrays["has_gauss"], arrays["cached"]))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def preserved() -> Iterator[None]:
    """Whatever is drawn inside leaves no trace: the training does not depend on how often it is evaluated."""
    before = capture()
    try:
        yield
    finally:
        restore(before)
