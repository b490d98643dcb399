"""Checkpoints: everything a run needs to go on, in files that are whole or absent and that load without running code."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from passerby.errors import ArtefactError, TrainingError, UsageError, listing
from passerby.files import replacing

__all__ = ["CHECKPOINT_FOLDER", "Checkpoints", "Stateful", "check_config", "check_entries", "check_plain", "state_of"]

CHECKPOINT_FOLDER = "checkpoints"
FORMAT = 1
_NAME = re.compile(r"^step-(\d{8,})\.pt$")


class Stateful(Protocol):
    """Anything that can say what it knows and be told again."""

    def state_dict(self) -> Mapping[str, Any]:
        """What it knows, as tensors, numbers, strings and containers of them."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Know it again."""
        ...


_ENTRIES: dict[str, type] = {
    "config": dict, "shape": dict, "state": dict, "step": int, "epoch": int, "sums": dict, "images": int, "seconds": float,
    "best": dict, "random": list,
}  # fmt: skip
_MISFITS = (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError)  # what parts raise on another state
_AFTER_DAMAGE = "Remove it to go on from an older one where there is one, or start a new run in another folder."


class Checkpoints:
    """The checkpoint files of one run: ``checkpoints/step-00000123.pt``."""

    def __init__(self, run_dir: Path) -> None:
        self.folder = run_dir / CHECKPOINT_FOLDER

    def steps(self) -> dict[int, Path]:
        """The whole checkpoints by step, ascending."""
        if not self.folder.is_dir():
            return {}
        found = ((_NAME.match(path.name), path) for path in self.folder.iterdir())
        return dict(sorted((int(match[1]), path) for match, path in found if match))

    def latest(self) -> Path | None:
        """The newest checkpoint."""
        return next(reversed(self.steps().values()), None)

    def save(self, step: int, content: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step`, whole or not at all."""
        path = self.folder / f"step-{step:08d}.pt"
        with replacing(path) as temporary:
            torch.save({"format": FORMAT, **content}, temporary)
        return path

    def prune(self, keep: Collection[int]) -> None:
        """Remove every checkpoint but the newest and those of the steps `keep`, and what a killed write has left."""
        steps = self.steps()
        for step, path in steps.items():
            if step not in keep and step != max(steps):
                path.unlink()
        for path in self.folder.glob(".step-*.pt"):
            path.unlink()

    @staticmethod
    def load(path: str | os.PathLike[str]) -> dict[str, Any]:
        """Read a checkpoint onto the CPU. Nothing in the file is executed.

        Raises:
            ArtefactError: no checkpoint, damaged, or of a newer passerby.
        """
        if not zipfile.is_zipfile(path):  # torch would take anything else for its format of before 1.6
            raise ArtefactError(f"{path} is cut short or is no checkpoint. {_AFTER_DAMAGE}")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ArtefactError(f"{path} cannot be read as a checkpoint ({reason}). {_AFTER_DAMAGE}") from error
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise ArtefactError(f'{path} is no checkpoint of a training run: it lacks the entry "format".')
        if content["format"] > FORMAT:
            raise ArtefactError(
                f"{path} has checkpoint format {content['format']}; this passerby reads up to {FORMAT}. Update passerby."
            )
        return content


def check_entries(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that lacks what a resume needs, or has it in another form, before anything is restored.

    Raises:
        ArtefactError: naming the entries.
    """
    wrong = [name for name, kind in _ENTRIES.items() if not isinstance(content.get(name), kind)]
    if wrong:
        raise ArtefactError(f"{path} lacks {listing(wrong)}, or holds something else there: it is damaged. {_AFTER_DAMAGE}")
    if len(content["random"]) != content["shape"].get("processes"):
        raise ArtefactError(f"{path} holds random states of {len(content['random'])} processes: it is damaged. {_AFTER_DAMAGE}")


def state_of(state: Mapping[str, Stateful]) -> dict[str, Mapping[str, Any]]:
    """The state of each part; a part wrapped for several processes is saved without its wrapper."""
    return {name: _bare(part).state_dict() for name, part in state.items()}


def load_state(state: Mapping[str, Stateful], saved: Mapping[str, Any]) -> None:
    """Give every part its saved state back.

    Raises:
        UsageError: the parts differ from those of the checkpoint.
        ArtefactError: a part does not take its state: other sizes, or a damaged file.
    """
    if set(state) != set(saved):
        raise UsageError(
            f"the checkpoint holds the state of {listing(sorted(saved))}; this run has {listing(sorted(state))}. "
            "Resume with the options of the first start."
        )
    for name, part in state.items():
        try:
            _bare(part).load_state_dict(saved[name])
        except _MISFITS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ArtefactError(
                f'the state of "{name}" in the checkpoint does not fit this run: {reason[:300].rstrip(".")}. '
                "Is it of other training people or another network? Resume with what the run was started with."
            ) from error


def _bare(part: Stateful) -> Stateful:
    return part.module if isinstance(part, nn.parallel.DistributedDataParallel) else part


def check_plain(value: object, where: str) -> None:
    """Check before the first step that a state holds only what a weights-only checkpoint can hold.

    Raises:
        TrainingError: the first entry that would make the checkpoint unreadable, by its path.
    """
    if (
        isinstance(value, torch.Tensor)
        or value is None
        or type(value) in (bool, int, float, str, bytes, torch.device, torch.dtype)
    ):
        return
    if type(value) in (dict, OrderedDict):
        for key, entry in value.items():  # pyright: ignore[reportAttributeAccessIssue]
            check_plain(entry, f"{where}[{key!r}]")
    elif type(value) in (list, tuple, torch.Size):
        for number, entry in enumerate(value):  # pyright: ignore[reportArgumentType]
            check_plain(entry, f"{where}[{number}]")
    else:
        raise TrainingError(
            f"{where} is a {type(value).__name__}: a checkpoint holds tensors, numbers, strings, lists, tuples and dicts only, "
            "so that it loads without running code."
        )


def check_config(saved: Mapping[str, Any], given: Mapping[str, Any], free: Collection[str] = ()) -> None:
    """Refuse to go on with another configuration.

    Args:
        saved: the configuration of the first start.
        given: the one of now.
        free: keys (dotted for nested ones) that may differ, because the numbers do not depend on them: workers, folders.

    Raises:
        UsageError: naming each key that differs with both values.
    """
    before, now = _flat(saved), _flat(given)
    keys = [key for key in sorted(before.keys() | now.keys()) if not any(key == f or key.startswith(f"{f}.") for f in free)]
    differing = [
        f"{key} was {_shown(before, key)} and is {_shown(now, key)}" for key in keys if _shown(before, key) != _shown(now, key)
    ]
    if differing:
        raise UsageError(
            f"the run was started with another configuration: {listing(differing, 8)}. "
            "Resume with the old values, or start a new run in another folder."
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(config: Mapping[str, Any], key: str) -> str:
    return json.dumps(config[key], sort_keys=True) if key in config else "absent"
