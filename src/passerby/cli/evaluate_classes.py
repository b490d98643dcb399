"""What a classifier of objects is worth: its errors on held-out objects, as its training ended with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from passerby.cli.parsing import check_report
from passerby.errors import ArtefactError, DataError, listing
from passerby.files import write_json

if TYPE_CHECKING:
    from passerby.artefact import Artefact
    from passerby.recipes import Preset, PublishedAccuracy
    from passerby.records import ReidData

__all__ = ["published_accuracy", "run"]


def run(
    artefact: Path, dataset: str, root: Path | None, *, trial: str, device: str, workers: int,
    preset: Preset | None, json: Path | None,
) -> None:  # fmt: skip
    """Measure the classifier of an artefact on a data set's held-out objects.

    Args:
        artefact: the folder that training wrote.
        dataset: its name.
        root: folder that holds it.
        trial: one of its repeated splits; empty: the first.
        device: where the network runs.
        workers: processes that read objects; 0: none beside this one.
        preset: whose published figures stand beside, where they are of these objects.
        json: file for the errors.

    Raises:
        ArtefactError: the artefact keeps no classifier.
        DataError: no held-out objects, or such as are of other classes.
    """
    from passerby.artefact import load_classifier, read_description
    from passerby.cli.evaluate_tables import ERRORS, print_beside
    from passerby.datasets import one_trial
    from passerby.datasets.registry import read_parts
    from passerby.validation import ClassificationEvaluation

    check_report(json)
    facts = read_description(artefact)
    if not facts.classes:
        raise ArtefactError(
            f"{artefact} keeps no classifier: passerby {facts.passerby} wrote it without. Give --resume instead of --eval-only, "
            "which writes it anew from the last checkpoint of the finished run."
        )
    data = one_trial(read_parts(dataset, root), trial)
    labels = {kind: label for label, kind in enumerate(facts.label_map[: len(facts.classes)])}
    _check_classes(data, facts)
    model, _ = load_classifier(artefact, device=device)
    here = next(model.parameters()).device
    size = int(facts.config.get("batch_size", 64))
    measure = ClassificationEvaluation(
        lambda: model, data.val, labels, facts.preprocess, here, size, by_class=True, workers=workers
    )
    found = measure()
    errors = {name: found[name] for name in ERRORS}
    title = f"{data.name}: {len(data.val):,} held-out objects of {len(data.val.identities)} classes"
    print_beside(title, errors, published_accuracy(preset, data), convention=None, notes=data.notes, artefact=artefact)
    if json is not None:
        about = {"model": str(artefact), "artefact": facts.short_id, "dataset": data.name, "objects": len(data.val)}
        write_json(json, {**about, "scores": errors, "notes": list(data.notes)})


def published_accuracy(preset: Preset | None, data: ReidData) -> PublishedAccuracy | None:
    """A preset's figures of a classifier, where the held-out objects are as many of as many classes of the same data set."""
    from passerby.datasets import resolve

    figures = None if preset is None else preset.published_accuracy
    if preset is None or figures is None or data.name != resolve(preset.dataset):
        return None
    alike = (len(data.val), len(data.val.identities)) == (figures.objects, figures.classes)
    return figures if alike else None


def _check_classes(data: ReidData, facts: Artefact) -> None:
    """Refuse objects that the classifier has no class for, and classes whose numbers stand for others here."""
    from passerby.datasets.modelnet import class_names

    if not len(data.val):
        raise DataError(
            f"{data.name} has no held-out objects to measure a classifier on. Give the data set that it was trained for."
        )
    told = dict(zip(facts.label_map, facts.classes, strict=False))
    here = class_names(data.val)
    unknown = [name for kind, name in here.items() if kind not in told]
    if unknown:
        raise DataError(
            f"{data.name} has held-out objects of {listing(unknown)}, which are none of the classifier's {len(told)} classes. "
            "Give the data set that it was trained for."
        )
    # A number stands for a name that is not known.
    others = [
        f"{name} (there {told[kind]})"
        for kind, name in here.items()
        if name != told[kind] and str(kind[1]) not in (name, told[kind])
    ]
    if others:
        raise DataError(
            f"{data.name} numbers its classes otherwise than the classifier's training did: {listing(others)}. Give the "
            "same classes."
        )
