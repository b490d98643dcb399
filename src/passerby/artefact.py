"""An artefact: one folder with a network's weights and all that is needed to use them. Nothing in it is executed.

model.safetensors       the weights
passerby.json           recipe, configuration, network, preprocessing, embedding rule, label map, data, licence, seed, versions,
                        and the SHA-256 of the weights
cameras.safetensors     where the model was adapted to cameras: their statistics, named and hashed in passerby.json
classifier.safetensors  where the model was trained to tell classes apart, not to search: the classifier's weights, hashed in
                        passerby.json, which names the classes
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from passerby.embedder import Embedder, EmbeddingRule, embedder_for
from passerby.errors import ArtefactError, PasserbyError, UsageError, listing, nearest
from passerby.files import write_json
from passerby.models.exported_files import exported_files, is_exported, read_export
from passerby.models.norms.replacing import camera_norms, use_camera_norms
from passerby.models.norms.statistics import CameraStatistics
from passerby.points import CloudPreprocess
from passerby.records import ReidData
from passerby.training import random_state
from passerby.training.distributed import resolve_device
from passerby.transforms import Preprocess

__all__ = [
    "CAMERAS_FILE",
    "CLASSIFIER_FILE",
    "DESCRIPTION_FILE",
    "WEIGHTS_FILE",
    "Artefact",
    "default_model",
    "load",
    "load_classifier",
    "named_model",
    "provenance",
    "read_artefact",
    "read_cameras",
    "read_description",
    "save_artefact",
    "to_dict",
]

WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "passerby.json"
CAMERAS_FILE = "cameras.safetensors"
CLASSIFIER_FILE = "classifier.safetensors"
FORMAT = 1
_PACKAGE = Path(__file__).parent
_SHIPPED = {"house": "house", "house-int8": "house/model.int8.onnx", "house-scratch": "house-scratch"}
"""Models that come with the package: name on the command line -> artefact folder or exported file."""
_NOTHING = 1e-20
"""What weight decay leaves of dead channels. No fp32 sum shows it, but its products are denormal numbers, on which processors are
slow: they made three quarters of the time of a house model."""
_LATER = ("cameras", "cameras_sha256", "classes", "classifier_sha256")  # fields that older artefacts of this format lack


@dataclass(frozen=True)
class Artefact:
    """What ``passerby.json`` says.

    Attributes:
        recipe: name of the recipe that trained it.
        config: the recipe's whole configuration, JSON-able.
        model: the fields of the `models.ModelConfig`, or of the `PointModelConfig`, that makes the network again, JSON-able.
        preprocess: what the network's input stage expects.
        rule: how its outputs become vectors.
        embedding_dim: length of a vector.
        label_map: (domain, pid) of each training class, in the order of the classes; behind them the people of its start
            weights' training, where those say so.
        data: what it was trained on, one entry a data set (see `provenance`), that of the start weights behind its own.
        licence: under which terms weights and training data stand.
        seed: of the run.
        notes: what must be said beside every number made with it.
        passerby: version that wrote it.
        weights_sha256: of the weights file; its first 12 digits name the artefact in embeddings and galleries.
        cameras: what is known of each camera's statistics: ``name``, images, how they were estimated, drift.
        cameras_sha256: of the file with their statistics; empty where there are none.
        classes: names of the classes that its classifier tells apart, in their order; empty where no classifier was kept.
        classifier_sha256: of the file with the classifier's weights; empty where there is none.
    """

    recipe: str
    config: Mapping[str, Any]
    model: Mapping[str, Any]
    preprocess: Preprocess | CloudPreprocess
    rule: EmbeddingRule
    embedding_dim: int
    label_map: tuple[tuple[str, int], ...] = ()
    data: tuple[Mapping[str, Any], ...] = ()
    licence: str = "unknown"
    seed: int | None = None
    notes: tuple[str, ...] = ()
    passerby: str = field(default_factory=lambda: version("passerby"))
    weights_sha256: str = ""
    cameras: tuple[Mapping[str, Any], ...] = ()
    cameras_sha256: str = ""
    classes: tuple[str, ...] = ()
    classifier_sha256: str = ""

    @property
    def short_id(self) -> str:
        """Twelve hexadecimal digits that name these weights."""
        return self.weights_sha256[:12]


def provenance(data: ReidData) -> dict[str, Any]:
    """What a model was trained on: name, counts, and the notes of the data set."""
    train = data.train
    return {
        "name": data.name,
        "train_images": len(train),
        "train_identities": len(train.identities),
        "train_cameras": len(train.cameras),
        "notes": list(data.notes),
    }


def save_artefact(
    path: str | os.PathLike[str],
    model: nn.Module,
    facts: Artefact,
    *,
    statistics: CameraStatistics | None = None,
    classifier: Mapping[str, Tensor] | None = None,
    further: Mapping[str, Any] | None = None,
) -> Artefact:
    """Write an artefact folder, whole or not at all; an older artefact at `path` is replaced.

    Args:
        path: folder to make.
        model: the bare network, as `build_model` makes it without classes: `ReidModel.without_classifier`.
        facts: the description; hashes are filled in here.
        statistics: of the cameras that `facts` names, in that order.
        classifier: weights that the network has with a classifier of the classes that `facts` names, and without it not.
        further: entries of the description that are no facts of the network, such as a calibration.

    Returns:
        The description as written.

    Raises:
        ArtefactError: `path` holds something that is no artefact, or the description is not JSON-able.
    """
    target = Path(path)
    if target.exists() and not (target / DESCRIPTION_FILE).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise ArtefactError(f"{target} exists and is no artefact: choose another name, or remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", dir=target.parent))
    try:
        _write_weights(temporary / WEIGHTS_FILE, model.state_dict())
        written = replace(facts, weights_sha256=_sha256(temporary / WEIGHTS_FILE), cameras_sha256="", classifier_sha256="")
        if statistics is not None:
            statistics.save(temporary / CAMERAS_FILE)
            written = replace(written, cameras_sha256=_sha256(temporary / CAMERAS_FILE))
        if classifier is None:
            written = replace(written, classes=())
        else:
            _write_weights(temporary / CLASSIFIER_FILE, classifier)
            written = replace(written, classifier_sha256=_sha256(temporary / CLASSIFIER_FILE))
        try:
            write_json(temporary / DESCRIPTION_FILE, {**to_dict(written), **(further or {})})
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"the description of {target.name} cannot be written as JSON: {error}.") from error
        temporary.chmod(0o755)
        _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return written


def _write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    # Clones: safetensors refuses tensors that share memory, and does not keep other strides (channels_last).
    weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(weights, path)
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _swap(temporary: Path, target: Path) -> None:
    """A folder cannot replace a filled one in one step: the old one steps aside first and returns if the second step fails."""
    if not target.exists():
        temporary.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", dir=target.parent))
    target.rename(aside / "old")
    try:
        temporary.rename(target)
    except OSError:
        (aside / "old").rename(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def to_dict(facts: Artefact) -> dict[str, Any]:
    """The content of ``passerby.json``."""
    simple = {f.name: getattr(facts, f.name) for f in fields(facts)}
    return {"format": FORMAT, **simple, "preprocess": facts.preprocess.to_dict(), "rule": asdict(facts.rule)}


def read_artefact(path: str | os.PathLike[str]) -> tuple[Artefact, dict[str, Tensor]]:
    """Read and check an artefact folder without building its network.

    Returns:
        The description and the weights, on the CPU.

    Raises:
        ArtefactError: no artefact, a file missing or damaged, weights that are not those of the description, or a newer format.
    """
    folder = named_model(path)
    facts = read_description(folder)
    if _exported_file(folder) is not None:
        raise ArtefactError(
            f"{folder} is an exported network, whose weights cannot be changed: give the artefact that it came from."
        )
    return facts, _read_weights(folder / WEIGHTS_FILE, facts.weights_sha256)


def _read_weights(file: Path, told: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise ArtefactError(f"{file.parent} lacks {file.name}: the artefact is incomplete; copy the whole folder again.")
    _check_sha256(file, told)
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ArtefactError(f"{file} is no readable safetensors file: {error}.") from error


def read_cameras(path: str | os.PathLike[str]) -> CameraStatistics | None:
    """The statistics of the cameras that an artefact was adapted to; None where it was not.

    Raises:
        ArtefactError: see `read_artefact`.
    """
    facts = read_description(path)
    if not facts.cameras:
        return None
    return _statistics(named_model(path), facts)


def _check_sha256(file: Path, told: str) -> None:
    found = _sha256(file)
    if found != told:
        raise ArtefactError(
            f"{file} has SHA-256 {found[:12]}..., {DESCRIPTION_FILE} says {told[:12]}...: "
            "the file is damaged or belongs to another artefact; copy the whole folder again."
        )


def read_description(path: str | os.PathLike[str]) -> Artefact:
    """Read and check what an artefact, or a file that was exported from one, says of itself; its weights are not opened.

    Raises:
        ArtefactError: no artefact, a damaged description, or a newer format.
    """
    folder = named_model(path)
    exported = _exported_file(folder)
    if exported is not None:
        return _checked(exported, read_export(exported).artefact)
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        if (folder / "artefact" / DESCRIPTION_FILE).is_file():
            raise ArtefactError(f"{folder} is a run; its model is in it: give {folder / 'artefact'}.")
        what = "is no folder" if not folder.is_dir() else f"has no {DESCRIPTION_FILE}"
        raise ArtefactError(
            f"{folder} {what}: an artefact is the folder that training writes, with {DESCRIPTION_FILE} and {WEIGHTS_FILE}."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtefactError(f"{path} is no JSON: {error}.") from error
    return _checked(path, content)


def _exported_file(path: Path) -> Path | None:
    """The file itself, or the only one of a folder that holds no artefact; None for an artefact."""
    if is_exported(path):
        return path
    found = [] if (path / DESCRIPTION_FILE).is_file() else exported_files(path)
    if len(found) > 1:
        raise ArtefactError(f"{path} holds several exported networks: give one of {listing(found)}.")
    return found[0] if found else None


def _checked(path: Path, content: Any) -> Artefact:
    content = dict(content) if isinstance(content, Mapping) else content
    number = content.pop("format", None) if isinstance(content, dict) else None
    if not isinstance(number, int):
        raise ArtefactError(f'{path} is no description of an artefact: it lacks the entry "format".')
    if number > FORMAT:
        raise ArtefactError(f"{path} has format {number}; this passerby reads up to {FORMAT}. Update passerby.")
    names = [f.name for f in fields(Artefact)]
    missing = [name for name in names if name not in content and name not in _LATER]
    if missing:
        raise ArtefactError(f"{path} lacks {listing(missing)}: it was edited or damaged.")
    return _parsed(path, {name: content[name] for name in names if name in content})


def _parsed(path: Path, content: dict[str, Any]) -> Artefact:
    try:
        kind = CloudPreprocess if CloudPreprocess.describes(content["preprocess"]) else Preprocess
        content["preprocess"] = kind.from_dict(content["preprocess"])
        content["rule"] = EmbeddingRule(**content["rule"])
        content["label_map"] = tuple((str(domain), int(pid)) for domain, pid in content["label_map"])
        content["data"], content["notes"] = tuple(content["data"]), tuple(content["notes"])
        if not all(isinstance(entry, dict) for entry in (content["model"], *content["data"])):
            raise TypeError("model and each entry of data must be mappings.")
        content["cameras"] = tuple(content.get("cameras", ()))
        content["classes"] = tuple(str(name) for name in content.get("classes", ()))
        if not all(isinstance(camera["name"], str) for camera in content["cameras"]):
            raise TypeError("each entry of cameras must have a name.")
        for key in ("weights_sha256", "cameras_sha256", "classifier_sha256"):
            if not isinstance(content.get(key, ""), str):
                raise TypeError(f"{key} is {content[key]!r}; it must be text.")
    except (TypeError, ValueError, AttributeError, KeyError, PasserbyError) as error:
        raise ArtefactError(f"{path} does not describe a model that this passerby can use: {error}") from error
    return Artefact(**content)


def default_model() -> Path:
    """The artefact that comes with the package and is used where no model is named: trained on rendered people only.

    Raises:
        ArtefactError: this installation lacks it.
    """
    return _shipped("house")


def _shipped(name: str) -> Path:
    path = _PACKAGE / _SHIPPED[name]
    if not (path / DESCRIPTION_FILE).is_file() and not path.is_file():
        raise ArtefactError(f"this installation has no {name} model: name another, or install passerby from its wheel.")
    return path


def named_model(name: str | os.PathLike[str] | None = None) -> Path:
    """Where a model is that was named, or not: its path, or one of the names of those that come with the package.

    Args:
        name: an artefact folder or an exported file; ``house`` or nothing: the house model; ``house-int8``: its int8 form;
            ``house-scratch``: the one that never saw a real person. A file or folder of that name in the working folder goes
            first.

    Raises:
        ArtefactError: this installation lacks what is named, or it is almost one of the names.

    >>> named_model("house").name, named_model("house-int8").name, named_model("runs/town/artefact").name
    ('house', 'model.int8.onnx', 'artefact')
    """
    if name is None:
        return default_model()
    path = Path(name)
    if str(name) not in _SHIPPED or path.exists():
        meant = get_close_matches(str(name).lower(), _SHIPPED, 1, 0.7)
        if meant and not path.exists():
            raise ArtefactError(f'no model "{name}": there is no such folder or file. Did you mean "{meant[0]}"?')
        return path
    return _shipped(str(name))


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    device: torch.device | str = "auto",
    precision: str = "fp32",
    rule: EmbeddingRule | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    build: Callable[[Mapping[str, Any]], nn.Module] | None = None,
    camera_agnostic: bool = False,
    without_statistics: bool = False,
) -> Embedder:
    """Load an artefact, or a file that `passerby export` made of one, ready to embed images.

    Args:
        path: the artefact folder, or an exported file; None takes the house model, as ``house`` does (`named_model`). A folder
            with one exported file and no artefact stands for that file.
        device: ``auto`` is CUDA where there is one, else the CPU.
        precision: of the forward pass: ``fp32``, ``bf16`` or ``fp16``.
        rule: how outputs become vectors; None takes the artefact's own.
        batch_size: images a forward pass.
        workers: threads that decode; 0: none beside the calling one.
        build: makes a network of your own from the description's ``model``; None takes `models.build_model` without classes.
        camera_agnostic: for an artefact that was adapted to cameras; see `Embedder`.
        without_statistics: use a model that was trained by camera without camera statistics, which costs 10 points and more;
            those of the artefact are left out too.

    Raises:
        UsageError: a device that is not there, or no statistics of a whole set for `camera_agnostic`.
        ArtefactError: see `read_artefact`; or a network that this passerby does not know, or weights that do not fit it.
    """
    path = named_model(path)
    exported = _exported_file(path)
    if exported is not None:
        return _load_exported(
            exported, device=device, precision=precision, rule=rule, batch_size=batch_size, workers=workers,
            camera_agnostic=camera_agnostic, without_statistics=without_statistics,
        )  # fmt: skip
    device = resolve_device(device)
    facts, weights = read_artefact(path)
    model = _filled(path, facts, build or _built, weights)
    cameras = None if without_statistics else read_cameras(path)
    if cameras is not None and not camera_norms(model):
        use_camera_norms(model, camera_trained=False)
    dim = getattr(model, "embedding_dim", facts.embedding_dim)
    if dim != facts.embedding_dim:
        raise ArtefactError(
            f"{path} says embedding_dim {facts.embedding_dim}, its network gives {dim}: it was edited or damaged."
        )
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # twice as fast on CPUs
    return embedder_for(facts.preprocess)(
        model, facts.preprocess, rule or facts.rule, device=device, precision=precision, batch_size=batch_size, workers=workers,
        facts=_meta(facts, cameras is not None), cameras=cameras, camera_agnostic=camera_agnostic,
        without_statistics=without_statistics,
    )  # fmt: skip


def load_classifier(path: str | os.PathLike[str], *, device: torch.device | str = "auto") -> tuple[nn.Module, Artefact]:
    """Load the network of an artefact with the classifier that it keeps.

    Args:
        path: the artefact folder.
        device: ``auto`` is CUDA where there is one, else the CPU.

    Returns:
        The network in evaluation mode, whose ``logits`` follow ``classes`` of the description, and the description.

    Raises:
        ArtefactError: see `load`; or an artefact without a classifier.
    """
    path, device = named_model(path), resolve_device(device)
    facts, weights = read_artefact(path)
    if not facts.classes:
        raise ArtefactError(
            f"{path} keeps no classifier: it is for search, or was written before classifiers of objects were kept."
        )
    weights |= _read_weights(path / CLASSIFIER_FILE, facts.classifier_sha256)
    model = _filled(path, facts, lambda description: _built(description, len(facts.classes)), weights)
    return model.eval().to(device), facts


def _filled(
    path: Path, facts: Artefact, build: Callable[[Mapping[str, Any]], nn.Module], weights: Mapping[str, Tensor]
) -> nn.Module:
    """The network that `facts` describes, with its weights, those below `_NOTHING` as zeros."""
    try:
        with random_state.preserved():  # the start weights that are drawn here are overwritten at once
            model = build(facts.model)
    except PasserbyError as error:
        raise ArtefactError(f"{path} holds a network that cannot be built here: {error}") from error
    except (TypeError, ValueError, AttributeError) as error:  # a description with values of the wrong type
        raise ArtefactError(f"{path} describes its network with values that it cannot have: {error}") from error
    _fill(model, {name: _without_dust(values) for name, values in weights.items()}, path)
    return model


def _without_dust(values: Tensor) -> Tensor:
    """The same numbers but for those below `_NOTHING`, which are zero."""
    return values.masked_fill(values.abs() < _NOTHING, 0) if values.is_floating_point() else values


def _load_exported(
    path: Path, *, device: torch.device | str, precision: str, rule: EmbeddingRule | None, batch_size: int, workers: int | None,
    camera_agnostic: bool, without_statistics: bool,
) -> Embedder:  # fmt: skip
    from passerby.models.exported import open_exported

    export = read_export(path)
    facts = _checked(path, export.artefact)
    rule = rule or facts.rule
    if rule.kind != export.kind:
        raise UsageError(f"{path} gives the {export.kind}, not the {rule.kind}: export it again from an artefact with that rule.")
    if str(device) not in ("auto", "cpu") or precision != "fp32":
        raise UsageError(
            f"{path} was exported as {export.precision} for the CPU: leave device ({device}) and precision ({precision}) as they "
            "are, or load the artefact itself."
        )
    if without_statistics and export.layers:
        raise UsageError(f"{path} takes the statistics of cameras as an input: it cannot be used without them.")
    cameras = _statistics(path.parent, facts) if export.layers else None
    name = {"camera_statistics": facts.cameras_sha256[:12]} if export.layers or export.camera else {}
    return embedder_for(facts.preprocess)(
        open_exported(path, export), facts.preprocess, rule, device="cpu", batch_size=batch_size, workers=workers,
        facts={**_meta(facts, False), **name, "exported": f"{export.to} {export.precision}"}, cameras=cameras,
        camera_agnostic=camera_agnostic,
    )  # fmt: skip


def _statistics(folder: Path, facts: Artefact) -> CameraStatistics:
    """Of the cameras that `facts` names, from the file beside the description or the exported network."""
    file = folder / CAMERAS_FILE
    if not file.is_file():
        raise ArtefactError(f"{folder} lacks {CAMERAS_FILE}: the artefact is incomplete; copy the whole folder again.")
    _check_sha256(file, facts.cameras_sha256)
    return CameraStatistics.read(file, [str(camera["name"]) for camera in facts.cameras])


def _meta(facts: Artefact, adapted: bool) -> dict[str, Any]:
    return {
        **({"camera_statistics": facts.cameras_sha256[:12]} if adapted else {}),
        "artefact": facts.short_id,
        "recipe": facts.recipe,
        "backbone": facts.model.get("backbone", facts.model.get("network", "")),
        "norm": facts.model.get("norm", "batch"),
        "trained_on": [entry.get("name", "") for entry in facts.data],
        "notes": list(facts.notes),
    }


def _built(description: Mapping[str, Any], classes: int = 0) -> nn.Module:
    from passerby.models import ModelConfig, build_model
    from passerby.models.point_models import PointModelConfig, build_point_model, is_point_model

    if is_point_model(description):
        return build_point_model(PointModelConfig(**description), classes)
    known = [f.name for f in fields(ModelConfig)]
    unknown = [name for name in description if name not in known]
    if unknown:
        raise ArtefactError(f'no option "{unknown[0]}". {nearest(unknown[0], known)}')
    return build_model(ModelConfig(**description), classes)


def _fill(model: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    own = model.state_dict()
    wrong: Iterable[str] = [
        *(f"{name} is missing" for name in own if name not in weights),
        *(f"{name} is unknown" for name in weights if name not in own),
        *(
            f"{name} is {tuple(weights[name].shape)}, the network has {tuple(own[name].shape)}"
            for name in own
            if name in weights and weights[name].shape != own[name].shape
        ),
    ]
    wrong = list(wrong)
    if wrong:
        raise ArtefactError(f"the weights of {path} do not fit the network that it describes: {listing(wrong)}.")
    model.load_state_dict(weights)
