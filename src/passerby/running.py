"""What every recipe does around `fit`: settle what is trained on, measure for the log, write the settings and the artefact."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from passerby.artefact import DESCRIPTION_FILE, Artefact, provenance, read_description, save_artefact
from passerby.configs import plain, write_yaml
from passerby.datasets.modelnet import class_names
from passerby.embedder import EmbeddingRule
from passerby.embedder.camera_statistics import Estimation
from passerby.errors import DataError
from passerby.files import write_json
from passerby.metrics import MARKET1501, Convention
from passerby.models import ModelConfig, ReidModel
from passerby.models.point_models import PointModel, PointModelConfig
from passerby.points import CloudPreprocess
from passerby.records import ReidData, Split
from passerby.training import Evaluate
from passerby.training.checkpoints import CHECKPOINT_FOLDER
from passerby.transforms import Preprocess
from passerby.validation import ClassificationEvaluation, Evaluations, RetrievalEvaluation

__all__ = ["LabelMap", "fingerprint", "fit_to_train", "hold_out_first", "logged_evaluation", "save_run", "write_settings"]

START_WEIGHTS = "start weights"
"""``through`` of a data set, in an artefact's description, that its start weights were trained on."""

_LEARNT_FILE = "learnt.json"

LabelMap = Mapping[tuple[str, int], int]
"""(domain, pid) -> training class, as `Split.label_map` makes it."""


def fit_to_train(data: ReidData) -> ReidData:
    """The data set without junk and distractors in training, with a note where test people are trained on.

    Raises:
        DataError: fewer than two people are left to tell apart.
    """
    train = data.train.where(lambda record: record.pid > 0)
    if len(train.identities) < 2:
        raise DataError(
            f"{data.name} has {len(train)} training images of {len(train.identities)} people (junk and distractors left out): "
            "two people is the least. Try: passerby data check PATH"
        )
    known = set(train.identities)
    seen = [person for person in data.query.identities if person in known]
    notes = data.notes
    if seen:
        notes = (*notes, f"{len(seen)} of {len(data.query.identities)} query people were trained on: the numbers are too high")
    return replace(data, train=train, notes=notes)


def hold_out_first(split: Split) -> tuple[Split, Split]:
    """The published validation: the first image of each identity in sorted order; people with a single image stay in training."""
    counts = Counter((record.domain, record.pid) for record in split)
    seen: set[tuple[str, int]] = set()
    train, val = [], []
    for record in sorted(split, key=lambda record: record.path):
        person = (record.domain, record.pid)
        first = person not in seen and counts[person] > 1
        seen.add(person)
        (val if first else train).append(record)
    return Split(tuple(train)), Split(tuple(val))


def fingerprint(split: Split) -> str:
    """What a resume compares: which images show whom, wherever the folder stands."""
    lines = (f"{record.path.name} {record.pid} {record.camera}" for record in split)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def logged_evaluation(
    network: Callable[[], nn.Module],
    data: ReidData,
    preprocess: Preprocess | CloudPreprocess,
    *,
    val: Split | None = None,
    labels: LabelMap | None = None,
    rule: EmbeddingRule | None = None,
    convention: Convention = MARKET1501,
    device: torch.device | str = "cpu",
    batch_size: int = 64,
    cameras: Estimation | None = None,
) -> Evaluations | None:
    """What `fit` logs: classification of held-out images, and retrieval where the data has a query and a gallery.

    Args:
        network: gives the network to measure.
        data: query and gallery.
        preprocess: the network's input.
        val: held-out images of training people; those of other people do not count.
        labels: training classes; None measures retrieval only.
        rule: how outputs become vectors.
        convention: of the retrieval.
        device: where the network runs.
        batch_size: images a forward pass.
        cameras: see `RetrievalEvaluation`.

    Returns:
        The measurements, or None where the data allows none.
    """
    parts: list[Evaluate] = []
    if val is not None and labels is not None:
        known = val.where(lambda record: (record.domain, record.pid) in labels)
        if len(known):
            parts.append(ClassificationEvaluation(network, known, labels, preprocess, device, batch_size))
    if len(data.query) and len(data.gallery):
        chosen = rule or EmbeddingRule()
        parts.append(RetrievalEvaluation(network, data, preprocess, chosen, convention, device, batch_size, cameras))
    return Evaluations(tuple(parts)) if parts else None


def people_of(labels: LabelMap) -> tuple[tuple[str, int], ...]:
    """(domain, pid) of each class, in the order of the classes."""
    return tuple(sorted(labels, key=lambda person: labels[person]))


def learnt_before(weights: str | Path) -> tuple[tuple[Mapping[str, Any], ...], tuple[tuple[str, int], ...]]:
    """What a model was trained on whose weights a training begins with: its data sets and its people.

    Args:
        weights: an artefact folder, a file in one, or a checkpoint of a run; nothing is known of any other file, nor of words
            like ``auto``.

    Raises:
        DataError: the run's file about it is damaged.
    """
    path = Path(weights)
    folder = path if path.is_dir() else path.parent
    if not weights or not path.exists():
        return (), ()
    if (folder / DESCRIPTION_FILE).is_file():
        facts = read_description(folder)
        return facts.data, facts.label_map
    learnt = folder.parent / _LEARNT_FILE
    if folder.name != CHECKPOINT_FOLDER or not learnt.is_file():
        return (), ()
    try:
        found = json.loads(learnt.read_text(encoding="utf-8"))
        return tuple(found["data"]), tuple((str(domain), int(pid)) for domain, pid in found["people"])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{learnt} is damaged, which says what {path} was trained on. Take the run's artefact as start weights, or a "
            "copy of the checkpoint in another folder, of which nothing is known then."
        ) from None


def _learnt(
    data: ReidData, labels: LabelMap, config: Any, stage_before: Path | None
) -> tuple[tuple[Mapping[str, Any], ...], tuple[tuple[str, int], ...]]:
    """What a run's model has learnt from at its end: its own data set first, then what it began with.

    Start weights are ``weights`` of the recipe's options; their data sets say so under ``through``. An earlier stage of the same
    run knows of its own.
    """
    data_before, people_before = learnt_before(stage_before or str(plain(config).get("weights", "")))
    if stage_before is None:
        data_before = tuple({**entry, "through": START_WEIGHTS} for entry in data_before)
    people = people_of(labels)
    return (provenance(data), *data_before), (*people, *(person for person in people_before if person not in labels))


def write_settings(run_dir: Path, data: ReidData, config: Any, labels: LabelMap, *, stage_before: Path | None = None) -> None:
    """Write what a run is beside it, before it begins.

    That is: config.yaml, the resolved options (`--config` takes it); labels.json, the person of each training class; and
    learnt.json, all data sets and people that its weights will have learnt from, for trainings that go on from a checkpoint.

    Args:
        run_dir: folder of the run.
        data: what is trained on.
        config: the recipe's options.
        labels: training classes.
        stage_before: see `save_run`.
    """
    trained_on = {"dataset": data.name} | ({"trial": data.trial} if data.trial else {})
    write_yaml(Path(run_dir) / "config.yaml", {**trained_on, **plain(config)})
    write_json(Path(run_dir) / "labels.json", people_of(labels))
    entries, people = _learnt(data, labels, config, stage_before)
    write_json(Path(run_dir) / _LEARNT_FILE, {"data": entries, "people": people})


def save_run(
    path: Path,
    model: ReidModel | PointModel,
    *,
    recipe: str,
    config: Any,
    network: ModelConfig | PointModelConfig,
    preprocess: Preprocess | CloudPreprocess,
    data: ReidData,
    labels: LabelMap,
    seed: int,
    rule: EmbeddingRule | None = None,
    stage_before: Path | None = None,
    keep_classifier: bool = False,
) -> Artefact:
    """Write a trained network as an artefact folder, without its classifier or with that beside it; see
    `artefact.save_artefact`.

    Args:
        path: folder to make.
        model: the trained network.
        recipe: name of the recipe.
        config: its options. What the start weights that they name were trained on, this model was trained on too.
        network: what makes the network again.
        preprocess: the network's input.
        data: what it was trained on.
        labels: training classes.
        seed: of the run.
        rule: how outputs become vectors.
        stage_before: artefact of the stage of the same run that this one went on from, instead of from start weights.
        keep_classifier: the model is for telling its training classes apart.
    """
    entries, people = _learnt(data, labels, config, stage_before)
    facts = Artefact(
        recipe=recipe,
        config=plain(config),
        model=plain(network),
        preprocess=preprocess,
        rule=rule or EmbeddingRule(),
        embedding_dim=model.embedding_dim,
        label_map=people,
        data=entries,
        seed=seed,
        notes=data.notes,
    )
    bare = model.without_classifier()
    if not keep_classifier:
        return save_artefact(path, bare, facts)
    names, searching = class_names(data.train), bare.state_dict()
    classifier = {name: tensor for name, tensor in model.state_dict().items() if name not in searching}
    return save_artefact(
        path, bare, replace(facts, classes=tuple(names[kind] for kind in people_of(labels))), classifier=classifier
    )
