"""`passerby evaluate MODEL --protocol NAME`: a model on data sets that its training never saw, in the field's table."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passerby.cli.stored import is_model
from passerby.errors import UsageError, listing
from passerby.files import write_json
from passerby.metrics.generalization import Protocol, PublishedRow, Target, average, check_trials, protocol, spread

if TYPE_CHECKING:
    from passerby.artefact import Artefact
    from passerby.embedder import Embedder
    from passerby.records import ReidData

__all__ = ["run_protocol"]

_WITH_PROTOCOL = {
    "inputs",
    "protocol",
    "each_trial",
    "trained_on",
    "data",
    "device",
    "precision",
    "batch_size",
    "workers",
    "json",
}
_COLUMNS = {
    "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "map": "mAP", "minp": "mINP", "tpr_1e-2": "TPR@FPR 1e-2",
    "tpr_1e-3": "1e-3", "tpr_1e-4": "1e-4", "published_tpr_1e-2": "published form 1e-2", "published_tpr_1e-3": "1e-3",
    "published_tpr_1e-4": "1e-4",
}  # fmt: skip
_RATES = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}


def run_protocol(options: Any) -> None:
    """Evaluate one artefact by a protocol: check first that it was trained by it, then embed, then print."""
    from passerby.artefact import load, read_description

    chosen = _checked(options)
    model = options.inputs[0]
    facts = read_description(model)
    _check_sources(chosen, facts, model, options.trained_on)
    data = {target: _read(target, chosen, facts, options.data) for target in chosen.targets}  # all, before any is embedded
    embedder = load(
        model, device=options.device, precision=options.precision, batch_size=options.batch_size, workers=options.workers
    )
    trials = {target.dataset: _trials_of(embedder, target, found) for target, found in data.items()}
    report = _report(chosen, facts, trials, {target.dataset: found for target, found in data.items()}, options.trained_on)
    _print(chosen, report, options.each_trial)
    if options.json is not None:
        write_json(options.json, _without_nan(report))


def _checked(options: Any) -> Protocol:
    if not options.protocol:
        raise UsageError("--each-trial and --trained-on go with --protocol: name one.")
    chosen = protocol(_canonical(options.protocol))
    if len(options.inputs) != 1 or not is_model(options.inputs[0]):
        raise UsageError(f"--protocol measures one artefact folder; {listing(options.inputs)} is none.")
    idle = [field.name for field in fields(options) if field.name not in _WITH_PROTOCOL and _changed(options, field)]
    if idle:
        flags = listing(f"--{name.replace('_', '-')}" for name in idle)
        raise UsageError(f"{flags}: --protocol settles that by itself. Leave it out.")
    return chosen


def _canonical(name: str) -> str:
    """``M+D->grid`` with the data sets' own names; names of protocols as they are."""
    left, arrow, right = name.partition("->")
    if not arrow or not left or not right:
        return name
    return _canonical_data(left) + "->" + ",".join(_own_name(text) for text in right.split(","))


def _canonical_data(names: str) -> str:
    return "+".join(_own_name(text) for text in names.split("+"))


def _own_name(text: str) -> str:
    from passerby.datasets.registry import resolve

    dataset, colon, part = text.partition(":")
    return f"{resolve(dataset)}{colon}{part}"


def _changed(options: Any, field: Any) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return getattr(options, field.name) != default


def _check_sources(chosen: Protocol, facts: Artefact, model: Path, declared: str) -> None:
    """A row of a protocol is one of models that were trained on its sources, all of them and nothing else."""
    target = facts.config.get("target")
    if target and facts.config.get("joint", True):
        raise UsageError(
            f"{model} was adapted to images of {target}: a protocol is for models that saw labelled sources and nothing else."
        )
    if generated := facts.config.get("generated"):
        raise UsageError(
            f"{model} learnt from the unlabelled images in {generated} too, and nobody knows whose they are: a protocol is for "
            "models that saw labelled sources and nothing else."
        )
    if facts.cameras:
        cameras = listing(str(camera["name"]) for camera in facts.cameras)
        raise UsageError(
            f"{model} holds statistics of the cameras {cameras}, from images of theirs: a protocol is for models that saw "
            "labelled sources and nothing else. Take the artefact that was adapted."
        )
    trained = tuple(sorted({name for source in facts.data for name in str(source["name"]).split("+")}))
    if trained and declared:
        raise UsageError(f"--trained-on {declared}: {model} says itself that it was trained on {listing(trained)}. Leave it out.")
    if not trained and not declared:
        raise UsageError(
            f"{model} does not say what it was trained on, as imported weights do not: say it with --trained-on "
            f"{chosen.training_data}, which the table then shows as not verified."
        )
    trained = trained or tuple(sorted(_canonical_data(declared).split("+")))
    if trained != tuple(sorted(chosen.sources)):
        raise UsageError(
            f'{model} was trained on {listing(trained)}; protocol "{chosen.name}" is for models trained on '
            f"{listing(chosen.sources)}: passerby train metabin --dataset {chosen.training_data}. "
            f'For this model write --protocol "{"+".join(trained)}->{",".join(target.dataset for target in chosen.targets)}".'
        )


def _read(target: Target, chosen: Protocol, facts: Artefact, folder: Path | None) -> ReidData:
    """A target with the trials that count; refused where the model was trained on any of its people."""
    from dataclasses import replace

    from passerby.datasets.registry import read_parts
    from passerby.records import Trial

    data = read_parts(target.dataset, folder)
    trials = target.chosen(data.trials) if data.trials else [Trial("", data.query, data.gallery)]
    check_trials(data.name, trials, target.count)
    shown = {record.domain for trial in trials for split in (trial.query, trial.gallery) for record in split}
    known = sorted(shown & {domain for domain, _ in facts.label_map})
    if known:
        raise UsageError(
            f'the model was trained on people of {listing(known)}, a target of protocol "{chosen.name}": not unseen.'
        )
    return replace(data, trials=tuple(trials))


def _trials_of(embedder: Embedder, target: Target, data: ReidData) -> dict[str, dict[str, float]]:
    """Trial -> numbers. Every image goes through the network once, however many trials show it."""
    from passerby.embedder import Numbering, embed
    from passerby.metrics import evaluate, verify
    from passerby.records import Split

    every = Split(tuple(dict.fromkeys(r for trial in data.trials for split in (trial.query, trial.gallery) for r in split)))
    row = {record: number for number, record in enumerate(every)}
    root = Path(os.path.commonpath({record.path.parent for record in every}))
    found = embed(embedder, every, root=root, numbering=Numbering.of(every), meta={"data": data.name})
    numbers = {}
    for trial in data.trials:
        query, gallery = (found[[row[record] for record in split]] for split in (trial.query, trial.gallery))
        scores = evaluate(query, gallery)
        pairs = verify(query, gallery, scores.convention, tuple(_RATES.values()))
        numbers[trial.name] = {
            **{name: float(value) for name, value in scores.summary().items()},
            **{f"tpr_{name}": value for name, value in zip(_RATES, pairs.tpr, strict=True)},
            **{f"published_tpr_{name}": value for name, value in zip(_RATES, pairs.inverted, strict=True)},
        }
    return numbers


def _report(
    chosen: Protocol,
    facts: Artefact,
    trials: Mapping[str, dict[str, dict[str, float]]],
    data: Mapping[str, ReidData],
    declared: str,
) -> dict[str, Any]:
    from passerby.models.backbones import resolve_backbone

    targets = {}
    for name, found in trials.items():
        mean, std = spread(name, list(found.values()))
        targets[name] = {"mean": mean, "std": std, "num_trials": len(found), "trials": found, "notes": list(data[name].notes)}
    named = str(facts.model.get("backbone", ""))  # as it was typed; clouds of points have none
    backbone = resolve_backbone(named) if named else ""
    row = next((row for row in chosen.published if row.backbone == backbone), None)
    everywhere = average({name: row["mean"] for name, row in targets.items()})
    notes = [
        *facts.notes,
        *([f"trained on {declared}: so it was declared, and is not verified"] if declared else []),
        *_start_weights(facts),
    ]
    return {
        "protocol": chosen.name, "title": chosen.title, "sources": list(chosen.sources), "targets": targets,
        "all_average": everywhere, "published": None if row is None else _published(row), "notes": notes,
        "trained_epochs": facts.config.get("epochs"),
    }  # fmt: skip


def _start_weights(facts: Artefact) -> list[str]:
    """What training began with, and what is known of it."""
    from passerby.running import START_WEIGHTS

    weights = str(facts.config.get("weights") or "")
    if not weights:
        return []
    if weights in ("auto", "scratch"):
        return [f"start weights: {weights}"]
    before = [str(source["name"]) for source in facts.data if source.get("through") == START_WEIGHTS]
    return [
        f"start weights: {weights}, " + (f"trained on {listing(before)}" if before else "what they have seen is not verified")
    ]


def _published(row: PublishedRow) -> dict[str, Any]:
    """The published figures by target and their mean, by the names that the table's columns have."""
    figures = {name: row.figures(name) for name in row.targets}
    return {
        "backbone": row.backbone, "source": row.source, "targets": figures, "rank1_std": dict(row.rank1_std),
        "all_average": average(figures),
    }  # fmt: skip


def _print(chosen: Protocol, report: Mapping[str, Any], each: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{chosen.title}, %")
    for heading in ("", *_COLUMNS.values()):
        table.add_column(heading, justify="right" if heading else "left")
    published = report["published"] or {"targets": {}, "rank1_std": {}, "all_average": {}}

    def of_others(title: str, figures: Mapping[str, float]) -> None:
        if figures:
            table.add_row(title, *(_percent(figures[column]) if column in figures else "" for column in _COLUMNS))

    for name, row in report["targets"].items():
        for trial, numbers in row["trials"].items() if each else ():
            table.add_row(f"{name} {trial}", *(_percent(numbers[column]) for column in _COLUMNS))
        table.add_row(f"{name}_average", *(_percent(row["mean"][column]) for column in _COLUMNS))
        if row["num_trials"] > 1:
            table.add_row(f"{name}_std", *(_percent(row["std"][column]) for column in _COLUMNS))
        of_others("  published", published["targets"].get(name, {}))
        if name in published["rank1_std"]:
            of_others("  published std", {"rank1": published["rank1_std"][name]})
    table.add_row("all_average", *(_percent(report["all_average"][column]) for column in _COLUMNS))
    of_others("  published", published["all_average"])
    console = Console(width=max(Console().width, 160))
    console.print(table)
    say = console.print
    counts = ", ".join(f"{name} {row['num_trials']}" for name, row in report["targets"].items())
    say(f"trials: {counts}; population standard deviation; all_average is the unweighted mean of targets", highlight=False)
    say("TPR@FPR: share of pairs of one person accepted (similarity, interpolated); n/a: fewer than 1/FPR negative pairs.")
    say("published form: distance as score, other people as positives, nearest point of the curve; with one right answer")
    say("a query its false rate has steps of 1/queries, hence its zeros.")
    if report["published"]:
        say(f"published: {report['published']['backbone']}, {report['published']['source']}; not measured here", highlight=False)
    for note in dict.fromkeys([*report["notes"], *(note for row in report["targets"].values() for note in row["notes"])]):
        say(f"note: {note}", highlight=False)


def _percent(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{100 * value:.2f}"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: null stands for "n/a"."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
