"""Projects whose files are known: how to tell them by their names, and what of them goes where.

Everything here is names, shapes and settings; nothing is a project's code. Where a project writes its settings beside the weights
(opts.yaml, config.yaml), they decide what names do not show: size, last stride, pooling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from passerby.errors import ArtefactError, listing
from passerby.importing.described import (
    Described,
    Names,
    classifier,
    inside,
    linear_block,
    neck,
    pooled_only,
)
from passerby.transforms import Preprocess

__all__ = ["LAYOUTS", "Settings", "recognise"]

Settings = Mapping[str, Any]
"""What the project's own settings say; keys as in its file."""

_BILINEAR = Preprocess(interpolation="bilinear")
_HALF = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bilinear")
_LAYUMI_HEAD = re.compile(r"classifier(\d*)\.(add_block|classifier)\.(\d+)\.(\w+)$")


def _layumi(names: Names, settings: Settings) -> Described:
    """layumi/Person_reID_baseline_pytorch: `model.` or bare backbone, `classifier.add_block`, PCB's `classifier0` to 5."""
    found = Described("layumi", flip=True)
    parts = {match[1] for name in names if (match := _LAYUMI_HEAD.match(name)) and match[1]}
    for name, rest in (*inside(names, "model."), *inside(names, "features.")):
        if re.match(r"(fc|classifier|head)\.", rest):
            found.dropped[name] = "the classifier of ImageNet, which the project leaves in"
        elif name not in found.dropped:
            found.body[name] = rest if name.startswith("model.") else name
    if parts:
        for name in names:
            if _LAYUMI_HEAD.match(name):
                found.dropped[name] = "a stripe's own layers: the pooled stripes are searched"
        found.model |= {"head": "pcb", "parts": len(parts), "last_stride": 1}
        found.size = (384, 192)
    elif not linear_block(names, "classifier.add_block.0.", "classifier.add_block.1.", found):
        found.model |= {"head": "block", "linear_dim": 0}
        neck(names, "classifier.add_block.0.", found, "block.norm.")
    classifier(names, r"classifier\.classifier\.\d+\.\w+", found)
    if not parts:
        found.model["last_stride"] = int(settings.get("stride", 2))
    if settings.get("use_swin"):
        found.size = (224, 224)
    if settings.get("pool") in ("avg", "max", "avg+max", "gem"):
        found.model["pool"] = settings["pool"]
    return found


def _torchreid(names: Names, settings: Settings) -> Described:
    """torchreid: bare backbone, `fc.N` (linear, norm, ReLU) where there is one, `classifier`."""
    found = Described("torchreid", preprocess=_BILINEAR)
    for name in names:
        if not re.match(r"(fc|classifier)\.", name):
            found.body[name] = name
    if "fc.1.running_mean" in names and linear_block(names, "fc.0.", "fc.1.", found):
        found.model |= {"relu": True, "last_stride": 1 if "layer1.0.conv1.weight" in names else 2}
    else:
        pooled_only(found)
    classifier(names, r"classifier\.(weight|bias)|fc\.(weight|bias)", found)
    found.notes = ("its project compares vectors of any length by their Euclidean distance; here they are unit vectors",)
    return found


def _fast_reid(names: Names, settings: Settings) -> Described:
    """fast-reid: `backbone.`, `heads.`, `pixel_mean` and `pixel_std`."""
    found = Described("fast-reid", body=dict(inside(names, "backbone.")))
    beyond = [name for name in names if re.match(r"backbone\.NL_|b\d+\.", name)]
    if beyond:
        raise ArtefactError(
            f"a fast-reid network with {'non-local blocks' if 'NL_' in beyond[0] else 'branches (MGN)'} ({listing(beyond, 2)}): "
            "passerby has no such network. Networks of BoT and of BoT with GeM come in, with ResNets and their IBN-a."
        )
    if not linear_block(names, "heads.bottleneck.0.", "heads.bottleneck.1.", found):
        found.model["head"] = "bnneck"
        if neck(names, "heads.bottleneck.0.", found) is None and neck(names, "heads.bnneck.", found) is None:
            pooled_only(found)
    if "heads.pool_layer.p" in names:
        found.head["heads.pool_layer.p"] = "pool.p"
        found.reshaped.add("heads.pool_layer.p")
        found.model["pool"] = "gem"
    else:
        told = str(_at(settings, "MODEL", "HEADS", "POOL_LAYER") or "").lower()
        found.model["pool"] = "max" if "max" in told and "avg" not in told else "gem" if "gem" in told else "avg"
        if found.model["pool"] == "gem":
            found.made["head.pool.p"] = "3: fast-reid's power that is not learnt"
    classifier(names, r"heads\.(weight|classifier\.\w+|cls_layer\.\w+)", found)
    found.preprocess = _colours(names, found)
    found.model["last_stride"] = int(_at(settings, "MODEL", "BACKBONE", "LAST_STRIDE") or 1)
    found.model["stem"] = "ceil"
    found.size = _size(_at(settings, "INPUT", "SIZE_TEST"), (256, 128))
    return found


def _colours(names: Names, found: Described) -> Preprocess:
    """fast-reid keeps its colours, of 0 to 255, among the weights."""
    values = {}
    for what in ("mean", "std"):
        tensor = names.get(f"pixel_{what}")
        if tensor is not None and tensor.numel() == 3:
            values[what] = tuple(round(float(value) / 255, 6) for value in tensor.flatten())
            found.dropped[f"pixel_{what}"] = "became the preprocessing"
    return replace(Preprocess(), **values)


def _strong_baseline(names: Names, settings: Settings) -> Described:
    """reid-strong-baseline: `base.` a ResNet, `bottleneck` the neck, `classifier`."""
    found = Described("strong-baseline", body=dict(inside(names, "base.")), preprocess=_BILINEAR)
    found.model |= {"head": "bnneck", "last_stride": int(_at(settings, "MODEL", "LAST_STRIDE") or 1)}
    if not any(".IN." in name for name in names):
        found.model["stem"] = "linear"
    if neck(names, "bottleneck.", found) is None:
        pooled_only(found)
    if str(_at(settings, "TEST", "NECK_FEAT") or "after") == "before":
        found.model["search_before_neck"] = True
    for name, rest in inside(names, "base."):
        if rest.startswith("fc."):
            found.dropped[name] = "the classifier of ImageNet"
            del found.body[name]
    classifier(names, r"classifier\.\w+", found)
    found.size = _size(_at(settings, "INPUT", "SIZE_TEST"), (256, 128))
    return found


def _transreid(names: Names, settings: Settings) -> Described:
    """TransReID and plain ViTs of its kind: `base.` a ViT; with its jigsaw branch the global branch is `b1`."""
    if "base.sie_embed" in names:
        raise ArtefactError(
            "a TransReID network with side information (base.sie_embed): its vector depends on the number of the camera it was "
            "trained with, which other cameras have not. A network trained without SIE comes in."
        )
    found = Described("transreid", body=dict(inside(names, "base.")), preprocess=_HALF)
    found.model |= {"head": "bnneck", "pool": "token"}
    depth = 1 + max((int(rest.split(".")[0]) for _, rest in inside(names, "base.blocks.")), default=-1)
    if any(inside(names, "b1.")):
        for name in [name for name in found.body if re.match(rf"base\.(blocks\.{depth - 1}|norm)\.", name)]:
            del found.body[name]
            found.dropped[name] = "the last block before it was copied into two branches"
        found.body |= {name: f"blocks.{depth - 1}.{rest[2:]}" for name, rest in inside(names, "b1.") if rest.startswith("0.")}
        found.body |= {name: f"norm.{rest[2:]}" for name, rest in inside(names, "b1.") if rest.startswith("1.")}
        for name in names:
            if re.match(r"b2\.|(bottleneck|classifier)_\d+\.", name):
                found.dropped[name] = "of the jigsaw branch: the global vector alone is searched"
        found.notes = ("the global vector alone; its project adds four of the jigsaw branch, so published numbers are of more",)
    if neck(names, "bottleneck.", found) is None:
        pooled_only(found)
    if str(_at(settings, "TEST", "NECK_FEAT") or "before") == "before":
        found.model["search_before_neck"] = True
    for name, rest in inside(names, "base."):
        if re.match(r"(fc|head|pre_logits)\.", rest):
            found.dropped[name] = "the classifier of ImageNet"
            found.body.pop(name, None)
    classifier(names, r"classifier\.\w+", found)
    found.size = _size(_at(settings, "INPUT", "SIZE_TEST"), (256, 128))
    return found


def _camera_bn(names: Names, settings: Settings) -> Described:
    """Camera-based batch norm: a ResNet-50, a neck in a sequence of one, a classifier without bias; told by the shapes.

    Its names are not relied on: the backbone is what has a ResNet's names behind one prefix, the neck is the norm outside it.
    """
    prefix = _prefix_of(names, "layer1.0.conv1.weight")
    if prefix is None:
        raise ArtefactError(
            "no ResNet in it (no name ends in layer1.0.conv1.weight): camera-bn weights are those of a ResNet-50."
        )
    found = Described("camera-bn", preprocess=_BILINEAR, flip=True)
    outside = [name for name in names if not _of_resnet(name, prefix)]
    found.body = {name: name[len(prefix) :] for name in names if _of_resnet(name, prefix)}
    norms = [name.removesuffix("running_mean") for name in outside if name.endswith("running_mean")]
    if len(norms) != 1:
        raise ArtefactError(f"{len(norms)} norms outside the ResNet ({listing(norms)}): camera-bn weights have one, the neck.")
    neck(names, norms[0], found)
    for name in outside:
        if name not in found.left and names[name].ndim == 2:
            found.dropped[name] = f"a classifier of {len(names[name])} classes: search needs none"
    found.model |= {"head": "bnneck", "last_stride": 1, "norm": "camera"}
    return found


def _metabin(names: Names, settings: Settings) -> Described:
    """MetaBIN: a fast-reid file whose norms have a `gate`; BN and IN are told apart by the running statistics."""
    found = _fast_reid(names, settings)
    found.layout = "metabin"
    found.model["stem"] = "usual"
    gates = [name for name in found.body if _is_gate(name, names[name])]
    shared = False
    for gate in gates:
        place = gate.rpartition(".")[0]
        shared |= _mixed(names, found, place, gate)
    found.model["norm"] = "bin-shared" if shared else "bin"
    found.flip = False
    return found


def _mixed(names: Names, found: Described, place: str, gate: str) -> bool:
    """Name the tensors of one batch-instance norm; True where both norms share one affine pair."""
    here = found.body[gate].rpartition(".")[0]
    found.body[gate] = f"{here}.gate"
    own = [name for name, _ in inside(names, place + ".")]
    batch = next((name.rpartition(".")[0] for name in own if name.endswith(".running_mean")), place)
    shared = f"{batch}.weight" not in names or (batch == place and len([n for n in own if n.endswith(".weight")]) == 1)
    for name in own:
        group, _, what = name.rpartition(".")
        if name == gate:
            continue
        if what.startswith(("running_", "num_batches")):
            found.body[name] = f"{here}.batch.{what}"
        elif shared:
            found.body[name] = f"{here}.{what}"
        else:
            found.body[name] = f"{here}.{'batch' if group == batch else 'instance'}.{what}"
    return shared


def _plain(names: Names, settings: Settings) -> Described:
    """A backbone of timm or torchvision, with or without its classifier."""
    found = Described("backbone")
    for name in names:
        if re.match(r"(fc|head|classifier)\.", name) and not re.match(r"head\.norm\.", name):
            found.dropped[name] = "the classifier of the pretraining: the pooled feature is searched"
        else:
            found.body[name] = name
    pooled_only(found)
    found.notes = ("a backbone that was not trained on people: its vectors tell categories apart rather than persons",)
    return found


LAYOUTS: dict[str, Callable[[Names, Settings], Described]] = {
    "layumi": _layumi,
    "torchreid": _torchreid,
    "fast-reid": _fast_reid,
    "strong-baseline": _strong_baseline,
    "transreid": _transreid,
    "camera-bn": _camera_bn,
    "metabin": _metabin,
    "backbone": _plain,
}
"""Whose names -> what reads them."""


def recognise(names: Names) -> str:
    """Whose names a file has, a key of `LAYOUTS`.

    Args:
        names: bare, see `described.stripped`.

    Raises:
        ArtefactError: weights of passerby itself.
    """
    if any(name.startswith("backbone.body.") for name in names):
        raise ArtefactError(
            "these are weights of passerby itself: use the artefact folder that they lie in, or give them to passerby train "
            "baseline --weights FILE to start from them."
        )
    begins = {name.split(".")[0] for name in names}
    if any(_LAYUMI_HEAD.match(name) for name in names):
        return "layumi"
    if "backbone" in begins and "heads" in begins:
        return "metabin" if any(_is_gate(name, tensor) for name, tensor in names.items()) else "fast-reid"
    if "base" in begins and ("base.cls_token" in names or "base.patch_embed.proj.weight" in names):
        return "transreid"
    if "base" in begins and "bottleneck.running_mean" in names:
        return "strong-baseline"
    if _neck_in_a_sequence(names):
        return "camera-bn"
    of_osnet = "conv2.0.conv1.conv.weight" in names
    of_mobilenet = "conv9.conv.weight" in names
    if of_osnet or of_mobilenet or "fc.1.running_mean" in names:
        return "torchreid"
    classes = names.get("classifier.weight")
    if classes is not None and "layer1.0.conv1.weight" in names:
        return "torchreid"
    return "backbone"


def _is_gate(name: str, tensor: Tensor) -> bool:
    """A gate of MetaBIN is one number a channel; those of OSNet are small networks."""
    return tensor.ndim == 1 and "gate" in name.rpartition(".")[2]


def _neck_in_a_sequence(names: Names) -> bool:
    prefix = _prefix_of(names, "layer1.0.conv1.weight")
    if prefix is None:
        return False
    outside = [name for name in names if name.endswith(".0.running_mean") and not _of_resnet(name, prefix)]
    return len(outside) == 1


def _prefix_of(names: Names, ending: str) -> str | None:
    return next((name.removesuffix(ending) for name in names if name.endswith(ending)), None)


def _of_resnet(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and re.match(r"(conv1|bn1|layer\d)\.", name[len(prefix) :]) is not None


def _at(settings: Settings, *path: str) -> Any:
    found: Any = settings
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _size(told: Any, usual: tuple[int, int]) -> tuple[int, int]:
    fits = isinstance(told, (list, tuple)) and len(told) == 2 and all(isinstance(value, int) for value in told)
    return (told[0], told[1]) if fits else usual
