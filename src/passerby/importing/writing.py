"""The way of an import: read without running anything, recognise, find the network, map every tensor, try it, write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from passerby.artefact import Artefact, save_artefact
from passerby.embedder import EmbeddingRule
from passerby.errors import ArtefactError, PasserbyError, UsageError, listing, nearest
from passerby.importing.backbones import candidates, fitting, misfit
from passerby.importing.described import Described, Names, stripped
from passerby.importing.layouts import LAYOUTS, recognise
from passerby.models import ModelConfig, ReidModel, build_model
from passerby.models.weight_files import read_weights
from passerby.models.weight_layouts import is_counter

__all__ = ["ImportOptions", "Imported", "import_weights"]

_SETTINGS = ("opts.yaml", "config.yaml", "config.yml")


@dataclass(frozen=True)
class ImportOptions:
    """What a file does not say, or says wrongly.

    Attributes:
        layout: a key of `LAYOUTS`; empty: told by the names.
        backbone: its name; empty: told by names and shapes.
        image_size: (H, W) in px; None: the project's.
        last_stride: 1 or 2; None: the project's.
        settings: the project's own settings file; None: one beside the weights, where there is one.
        licence: under which the weights stand.

    Raises:
        UsageError: an unknown layout.
    """

    layout: str = ""
    backbone: str = ""
    image_size: tuple[int, int] | None = None
    last_stride: int | None = None
    settings: Path | None = None
    licence: str = "unknown"

    def __post_init__(self) -> None:
        if self.layout and self.layout not in LAYOUTS:
            raise UsageError(f'no layout "{self.layout}" of weights. {nearest(self.layout, LAYOUTS)}')


@dataclass(frozen=True)
class Imported:
    """What an import did with every tensor.

    Attributes:
        file: where the weights came from.
        layout: whose names it has.
        config: of the network that was made.
        facts: the description of the artefact.
        matched: name in the file -> name in the network.
        dropped: name in the file -> why the network has no place for it.
        made: name in the network -> why the file needs none.
        settings: the settings file that was read, or None.
    """

    file: Path
    layout: str
    config: ModelConfig
    facts: Artefact
    matched: Mapping[str, str]
    dropped: Mapping[str, str]
    made: Mapping[str, str]
    settings: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "file": str(self.file), "layout": self.layout, "model": asdict(self.config),
            "preprocess": self.facts.preprocess.to_dict(), "matched": dict(self.matched), "dropped": dict(self.dropped),
            "made": dict(self.made), "settings": None if self.settings is None else str(self.settings),
            "notes": list(self.facts.notes),
        }  # fmt: skip


def import_weights(file: str | os.PathLike[str], out: str | os.PathLike[str], options: ImportOptions | None = None) -> Imported:
    """Make an artefact of another project's weights; nothing is written unless every tensor is accounted for.

    Args:
        file: what `torch.save` wrote (it is read without running anything in it), or safetensors.
        out: folder of the artefact.
        options: what the file does not say.

    Raises:
        ArtefactError: an unreadable file (see `read_weights`), a network that passerby has not, tensors that are missing, have no
            place, another shape, or are not finite.
        UsageError: options that do not fit.
    """
    options, path = options or ImportOptions(), Path(file)
    everything, source = stripped(read_weights(path))
    names = {name: tensor for name, tensor in everything.items() if not is_counter(name)}
    told = _settings_file(path, options)
    settings = {} if told is None else _read_settings(told)
    layout = options.layout or recognise(names)
    found = LAYOUTS[layout](names, settings)
    found.dropped |= {name: "counts the batches of the training" for name in everything if name not in names}
    model, config, body = _network(path, names, found, options)
    filled, matched = _filled(path, names, found, model, body)
    model.load_state_dict(filled)
    _try(path, model, config)
    facts = Artefact(
        recipe=f"import-{found.layout}",
        config={"file": path.name, "layout": found.layout},
        model=asdict(config),
        preprocess=replace(found.preprocess, size=config.image_size),
        rule=EmbeddingRule(flip=found.flip),
        embedding_dim=model.embedding_dim,
        licence=options.licence,
        notes=found.notes,
        passerby=version("passerby"),
    )
    written = save_artefact(out, model, facts)
    return Imported(
        path, found.layout, config, written, {source[name]: place for name, place in matched.items()},
        {source[name]: why for name, why in found.dropped.items()}, found.made, told,
    )  # fmt: skip


def _settings_file(path: Path, options: ImportOptions) -> Path | None:
    if options.settings is not None:
        if not options.settings.is_file():
            raise UsageError(f"--settings {options.settings}: no such file. Give the project's own opts.yaml or config.yaml.")
        return options.settings
    return next((path.with_name(name) for name in _SETTINGS if path.with_name(name).is_file()), None)


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"{path} is no YAML that can be read safely ({reason}): remove it, or give --settings.") from error
    if not isinstance(content, Mapping):
        raise ArtefactError(f"{path} holds no settings by name: remove it, or give --settings.")
    return content


def _network(path: Path, names: Names, found: Described, options: ImportOptions) -> tuple[ReidModel, ModelConfig, dict[str, str]]:
    """The network that the backbone's tensors fit, in evaluation mode, and name in the file -> name in its body."""
    size = options.image_size or found.size
    stride = options.last_stride or found.model.get("last_stride", 2)
    body = {place: names[name] for name, place in found.body.items()}
    if not body:
        raise ArtefactError(f"{path} has no backbone under the names of {found.layout}: it begins with {next(iter(names))!r}.")
    renamed: dict[str, str] = {}
    for backbone in candidates(body, options.backbone):
        renamed = fitting(body, backbone, size, mixed=str(found.model.get("norm", "batch")))
        if renamed:
            break
    else:
        tried = candidates(body, options.backbone)
        near = misfit(body, tried, size, mixed=str(found.model.get("norm", "batch")))
        why = f"{near}. Is the file whole?" if near else f"it has {len(body)} tensors of a backbone, from {listing(body, 2)}."
        raise ArtefactError(
            f"{path} ({found.layout} names) fits no network here: tried {listing(tried, 8)}; {why} "
            "If it is another of timm's networks, name it with --backbone."
        )
    described = {**found.model, "backbone": backbone, "image_size": size}
    described["last_stride"] = stride if _has_stride(backbone) else 2
    if not _is_plain_resnet(body):
        described.pop("stem", None)
    if found.layout == "backbone" and backbone.startswith(("vit_", "deit_")):
        described["pool"] = "token"
    if found.layout == "backbone":
        found.preprocess = _of_timm(backbone)
    try:
        config = ModelConfig(**described)
        model = build_model(config).eval()
    except PasserbyError as error:
        raise ArtefactError(f"{path} ({found.layout} names) describes a network that cannot be made: {error}") from error
    places = {name: renamed[place] for name, place in found.body.items() if place in renamed}
    return model, config, places


def _has_stride(backbone: str) -> bool:
    return backbone.startswith(("resnet", "resnext", "densenet", "mobilenet_v2", "wide_resnet"))


def _is_plain_resnet(body: Names) -> bool:
    return "layer1.0.conv1.weight" in body and "maxpool" not in body


def _of_timm(backbone: str) -> Any:
    """Colours and filter of timm's own weights of this name."""
    from passerby.models.bodies import import_timm
    from passerby.transforms import Preprocess

    told = import_timm().get_pretrained_cfg(backbone)
    if told is None:
        return Preprocess()
    filters = told.interpolation if told.interpolation in ("bicubic", "bilinear") else "bicubic"
    return Preprocess(mean=told.mean, std=told.std, interpolation=filters)


def _filled(
    path: Path, names: Names, found: Described, model: ReidModel, body: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of the network from the file, or a reason; every tensor of the file in the network, or a reason."""
    own = model.state_dict()
    places = {name: f"backbone.body.{place}" for name, place in body.items()}
    places |= {name: f"head.{place}" for name, place in found.head.items()}
    filled, wrong = {}, []
    for name, place in places.items():
        tensor = names[name]
        if place in own and name in found.reshaped:
            tensor = tensor.reshape(own[place].shape) if tensor.numel() == own[place].numel() else tensor
        if place not in own:
            wrong.append(f"{name} has no place")
        elif tensor.shape != own[place].shape:
            wrong.append(f"{name} is {tuple(tensor.shape)}, the network has {tuple(own[place].shape)}")
        else:
            filled[place] = tensor
    lost = [name for name in names if name not in places and name not in found.dropped]
    wrong += [f"{name} has no place" for name in lost]
    filled |= _made(found, own)
    missing = [place for place in own if place not in filled and not is_counter(place)]
    wrong += [f"{place} is missing" for place in missing]
    if wrong:
        raise ArtefactError(
            f"{path} ({found.layout} names) does not fit {model.backbone.name} wholly, so nothing was written: "
            f"{listing(wrong, 4)}. Is it of another version of that project? Name it with --layout and --backbone."
        )
    bad = [name for name, tensor in filled.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise ArtefactError(f"{path} holds NaN or infinity in {listing(bad)}: the training that wrote it had diverged.")
    return {**own, **filled}, places


def _made(found: Described, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that the file needs not have: a neck that changes nothing, a bias of zero, a power of 3."""
    values = {"weight": 1.0, "running_var": 1.0, "p": 3.0}
    return {place: torch.full_like(own[place], values.get(place.rpartition(".")[2], 0.0)) for place in found.made if place in own}


def _try(path: Path, model: ReidModel, config: ModelConfig) -> None:
    """One pass, in which camera-wise norms use their blend: vectors must be numbers and differ between images."""
    from passerby.models.norms.camera import blended

    drawn = torch.Generator().manual_seed(0)
    with torch.inference_mode(), blended():
        vectors = model(torch.randn(2, 3, *config.image_size, generator=drawn)).embedding
    if not torch.isfinite(vectors).all() or torch.equal(vectors[0], vectors[1]):
        raise ArtefactError(f"{path} gives vectors that are not finite, or the same for every image: its weights are damaged.")
