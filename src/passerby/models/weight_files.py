"""Weight files of others: read without executing anything in them, and told apart from what only looks like one."""

from __future__ import annotations

import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from passerby.errors import ArtefactError, listing

__all__ = ["read_weights"]

_WRAPPERS = ("state_dict", "model_state_dict", "state", "model", "net", "network")
_OLD_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # how files of torch.save began before version 1.6
_DAMAGED = (RuntimeError, EOFError, UnicodeDecodeError, KeyError, ValueError, AttributeError, IndexError, TypeError, OSError)
"""What torch's readers raise on a file that is cut short or holds something else."""


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of what `torch.save` made of a state dict or of a checkpoint that wraps one.

    Returns:
        Name -> tensor, on the CPU, in the order of the file. Entries that are no tensors (epoch, rank-1, optimizer) are left out.

    Raises:
        ArtefactError: no such file; a web page or a pointer in place of weights; cut short; code in place of weights; no tensors.
    """
    file = Path(path)
    _check_beginning(file)
    content = _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    weights = _unwrapped(content)
    if not weights:
        inside = f"the entries {listing(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise ArtefactError(f"{file} holds no named tensors but {inside}: save a network's state_dict().")
    return weights


def _check_beginning(file: Path) -> None:
    if file.is_dir():
        raise ArtefactError(f"{file} is a folder: give a weight file (of an artefact: {file}/model.safetensors).")
    if not file.is_file():
        raise ArtefactError(f"{file}: no such file. Weights are not downloaded; get the file from who trained it.")
    with file.open("rb") as opened:
        start = opened.read(512).lstrip()
    if not start:
        raise ArtefactError(f"{file} is empty: the download failed; get it again.")
    if start.startswith((b"<", b"\xef\xbb\xbf<")):
        raise ArtefactError(f"{file} is a web page, not weights: open the address in a browser and download the file itself.")
    if start.startswith(b"version https://git-lfs"):
        raise ArtefactError(f"{file} is a Git LFS pointer, not weights: fetch the file with git lfs pull.")
    if file.suffix == ".safetensors":
        return
    if start.startswith(b"PK"):
        _check_archive(file)
    elif start.startswith(b"\x80") and not start.startswith(_OLD_TORCH[: len(start)]):
        raise ArtefactError(
            f"{file} is a pickle, which can run code, and not of torch.save: save a network's state_dict() with that."
        )
    elif not start.startswith(b"\x80"):
        raise ArtefactError(f"{file} is no weight file: what torch.save writes begins otherwise. Give .pth, .pt or .safetensors.")


def _check_archive(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.rpartition("/")[2] for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise ArtefactError(f"{file} is cut short or damaged: get it again.") from error
    if "constants.pkl" in names:
        raise ArtefactError(f"{file} is a TorchScript archive, which is code: save the state_dict() of its network.")
    if "data.pkl" not in names:
        raise ArtefactError(f"{file} is an archive of {listing(names)}, not weights: unpack it and give the weight file in it.")


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise ArtefactError(f"{file} is cut short or is no safetensors file ({error}): get it again.") from error


def _read_torch(file: Path) -> Any:
    try:
        with _numpy_scalars():
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)|class ([\w.]+)", str(error))
        if found is None or not _is_whole(file):
            raise ArtefactError(f"{file} is cut short or damaged: get it again.") from error
        raise ArtefactError(
            f"{file} holds more than tensors ({found[1] or found[2]}) and loading it would run code, so it is not loaded: where "
            "you trust it, read it there and save its state_dict() alone."
        ) from error
    except _DAMAGED as error:
        raise ArtefactError(f"{file} is cut short or damaged: get it again.") from error


def _is_whole(file: Path) -> bool:
    """Whether the pickles of a file in the old form end; cut in the middle of a name, they seem to ask for an unknown class."""
    if zipfile.is_zipfile(file):
        return True
    with file.open("rb") as opened:
        try:
            for _ in range(4):  # magic number, version, system, content
                for _ in pickletools.genops(opened):
                    pass
        except ValueError:
            return False
    return True


def _numpy_scalars() -> AbstractContextManager[Any]:
    """Checkpoints of re-ID tools keep rank-1 as a NumPy number beside the weights; NumPy numbers are data and may be read."""
    allowing = getattr(torch.serialization, "safe_globals", None)
    if allowing is None:  # torch 2.4
        return nullcontext()
    scalar: Any = np.float32(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("float16", "float32", "float64", "int32", "int64", "bool")]
    return allowing([(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds])


def _unwrapped(content: Any) -> dict[str, Tensor]:
    """The innermost mapping of names to tensors."""
    if not isinstance(content, Mapping):
        return {}
    for wrapper in _WRAPPERS:
        inner = _unwrapped(content.get(wrapper))
        if inner:
            return inner
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
