"""`passerby evaluate`: vectors, or a model and a data set, in; numbers that say what they mean out."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from passerby.cli.parsing import check_report
from passerby.cli.trained_on import trained_on
from passerby.embeddings import SUFFIXES, Embeddings, QueryGallery
from passerby.errors import DataError, UsageError, listing
from passerby.files import write_json, write_text
from passerby.metrics.conventions import Convention, resolve, usual

if TYPE_CHECKING:
    from passerby.metrics import Interval, RetrievalScores
    from passerby.records import ReidData

__all__ = ["Options", "run"]

_OF_MODELS = ("dataset", "data", "trial", "trials", "device", "precision", "batch_size", "workers")
_OF_CONVENTIONS = (
    "ap",
    "junk",
    "same_camera",
    "distractors",
    "without_match",
    "distance",
    "ties",
    "shots",
    "repeats",
    "multi_query",
)


@dataclass(frozen=True)
class Options:
    """Rank-1/5/10, mAP and mINP with their convention, 95 % intervals, and a table by camera pair.

    INPUTS is one file that holds query and gallery (.npz, .safetensors, or the .mat of older tools); or two files, query and
    gallery; or a folder that `passerby embed` wrote; or an artefact folder, which embeds the data set of --dataset and --data.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """file with both sets; or query file and gallery file; or a folder of embeddings; or an artefact folder"""
    convention: str = ""
    """market1501, market1501-multi-query, layumi, cail-mixup, cuhk03-classic or any-camera; the flags below change single choices
    (default: market1501; cuhk03-classic for the classic CUHK03 splits)"""
    ap: Literal["rank", "trapezoid"] | None = None
    """rule of average precision"""
    junk: Literal["drop", "keep"] | None = None
    """gallery images of pid -1"""
    same_camera: Literal["drop", "keep"] | None = None
    """right answers from the query's own camera"""
    distractors: Literal["keep", "drop"] | None = None
    """gallery images of pid 0"""
    without_match: Literal["skip", "count"] | None = None
    """queries without a right answer: leave them out, or count them as 0"""
    distance: Literal["cosine", "euclidean", "dot"] | None = None
    """how near two vectors are"""
    ties: Literal["pessimistic", "optimistic"] | None = None
    """whether a wrong answer exactly as near as a right one stands before or after it"""
    shots: Literal["all", "single"] | None = None
    """single: one random gallery image of each person"""
    repeats: int | None = None
    """draws of a single-shot gallery"""
    multi_query: Literal["none", "mean", "max"] | None = None
    """make each query of all its person's images in its camera; they come with the data, or from --more"""
    more: Path | None = None
    """file of the multi-query images' embeddings"""
    dataset: str = ""
    """with an artefact: the data set, market1501, msmt17, ... (default: what lies in --data)"""
    data: Path | None = None
    """with an artefact: folder that holds the data set (default: PASSERBY_DATA)"""
    trial: str = ""
    """with an artefact: one of a small data set's repeated splits, by its name or its number"""
    trials: bool = False
    """with an artefact: all of a small data set's repeated splits, their mean and population standard deviation"""
    device: str = "auto"
    """with an artefact: auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """with an artefact: of the forward pass"""
    batch_size: int = 64
    """with an artefact: images a forward pass"""
    workers: int | None = None
    """with an artefact: threads that decode; 0: none beside the main one"""
    bootstrap: int = 1000
    """draws for the 95 % intervals; 0 leaves them out"""
    unit: Literal["query", "person"] = "query"
    """what the intervals draw: queries, or persons with all their queries (wider, and right where persons have many)"""
    seed: int = 0
    """of the intervals and of single-shot galleries"""
    memory_mb: float = 256
    """ceiling of the evaluator's working memory beyond the vectors, in 10^6 bytes"""
    json: Path | None = None
    """write everything that was found to this file too"""
    per_query: Path | None = None
    """write one line a query to this CSV file: trial, name, pid, camid, matches, ap, inp, first_rank"""


def run(options: Options) -> None:
    """Evaluate what the options name."""
    _check(options)
    from_model = len(options.inputs) == 1 and (options.inputs[0] / "passerby.json").is_file()
    if not from_model:
        _refuse_model_flags(options)
        _check_effects(options, _convention(options, ""))
    jobs, facts = _of_model(options) if from_model else (_of_files(options), {})
    convention = _convention(options, facts.get("data", ""))
    scores = {name: _evaluate(sets, convention, options) for name, sets in jobs.items()}
    report = _report(scores, convention, options) | facts
    if options.json is not None:
        write_json(options.json, report)
    if options.per_query is not None:
        _write_per_query(options.per_query, scores)


def _check(options: Options) -> None:
    if len(options.inputs) not in (1, 2):
        raise UsageError(
            f"{len(options.inputs)} inputs: give one file or folder that holds both sets, or a query and a gallery file."
        )
    if options.bootstrap < 0:
        raise UsageError(f"--bootstrap is {options.bootstrap}: it counts draws, so 0 is the least.")
    if options.seed < 0:
        raise UsageError(f"--seed is {options.seed}: give 0 or more.")
    if not 1 <= options.memory_mb < float("inf"):
        raise UsageError(f"--memory-mb is {options.memory_mb}: give 1 or more.")
    if options.trial and options.trials:
        raise UsageError("--trial and --trials: one split, or all of them.")
    check_report(options.per_query, "--per-query")
    _convention(options, "")


def _refuse_model_flags(options: Options) -> None:
    given = [name for name in _OF_MODELS if getattr(options, name) != getattr(Options(()), name)]
    if given and (options.inputs[0] / "artefact").is_dir():
        raise UsageError(f"{options.inputs[0]} is a run; its model is in it: give {options.inputs[0] / 'artefact'}.")
    if given:
        flags = listing(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags}: only an artefact folder embeds a data set; {listing(options.inputs)} is no such folder.")


def _check_effects(options: Options, convention: Convention) -> None:
    """Refuse what would be accepted and change nothing."""
    single, drawn = convention.shots == "single", options.bootstrap > 0 and not options.trials
    changed = [field.name for field in fields(Options) if getattr(options, field.name) != field.default]
    for name, needed, acts in (
        ("repeats", "--shots single", single),
        ("bootstrap", "a single split, not with --trials", not options.trials),
        ("unit", "intervals: --bootstrap above 0, and no --trials", drawn),
        ("seed", "intervals (--bootstrap above 0, no --trials) or --shots single", drawn or single),
        ("more", "--multi-query mean or max", convention.multi_query != "none"),
    ):
        if name in changed and not acts:
            given = getattr(options, name)
            raise UsageError(f"--{name} is {given}, but it acts only with {needed}. Leave it out, or add that.")


def _convention(options: Options, data: str) -> Convention:
    name = options.convention or usual(data)
    changed = {field: getattr(options, field) for field in _OF_CONVENTIONS if getattr(options, field) is not None}
    return replace(resolve(name), **changed)


def _of_files(options: Options) -> dict[str, QueryGallery]:
    first = options.inputs[0]
    gone = [path for path in options.inputs if not path.exists()]
    if gone:
        raise DataError(f"{listing(gone)}: no such file or folder. Give embeddings, or the artefact folder that training wrote.")
    if len(options.inputs) == 2:
        sets = QueryGallery(*(Embeddings.load(path) for path in options.inputs))
    elif first.is_dir():
        sets = _of_folder(first)
    else:
        sets = QueryGallery.load(first)
    return {"": replace(sets, multi_query=Embeddings.load(options.more)) if options.more else sets}


def _of_folder(folder: Path) -> QueryGallery:
    found = {name: _set_file(folder, name) for name in ("query", "gallery", "multi_query")}
    missing = [name for name in ("query", "gallery") if found[name] is None]
    if missing and (folder / "artefact").is_dir():
        raise DataError(f"{folder} is a run; its model is in it: passerby evaluate {folder / 'artefact'} --data DIR")
    if missing:
        raise DataError(
            f"{folder} is no artefact (no passerby.json) and lacks {listing(f'{name}.npz' for name in missing)}: give what "
            "training or passerby embed wrote."
        )
    return QueryGallery(**{name: Embeddings.load(path) for name, path in found.items() if path is not None})


def _set_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()), None)


def _of_model(options: Options) -> tuple[dict[str, QueryGallery], dict[str, Any]]:
    """Embed what is to be evaluated. An image that stands in several splits goes through the network once."""
    from passerby import datasets
    from passerby.artefact import load
    from passerby.datasets.registry import data_folder
    from passerby.embedder import Numbering, embed
    from passerby.records import Split

    name = options.dataset or datasets.detect(data_folder(options.data))
    data = datasets.read(name, options.data)
    trials = _trials(data, options)
    convention = _convention(options, data.name)
    if convention.same_camera == "drop":
        for chosen in trials.values():
            datasets.check_evaluable(chosen)
    _check_effects(options, convention)
    wanted = "none" if options.more else convention.multi_query
    more = data.multi_query if wanted != "none" else Split()
    records = (record for chosen in trials.values() for split in (chosen.query, chosen.gallery) for record in split)
    every = Split(tuple(dict.fromkeys((*records, *more))))
    row = {record: number for number, record in enumerate(every)}
    embedder = load(
        options.inputs[0],
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        workers=options.workers,
    )
    root = Path(os.path.commonpath({record.path.parent for record in every}))
    notes = datasets.without_trials(data.notes, data) if options.trials else trials[options.trial].notes
    embedder.facts["notes"] = datasets.without_trials(embedder.facts["notes"], data)  # the trial that it was trained on
    known = [
        note
        for trial, chosen in trials.items()
        for note in trained_on(options.inputs[0], chosen, trial if options.trials else "")
    ]
    meta = {"data": data.name, "notes": [*notes, *known]}
    found = embed(embedder, every, root=root, numbering=Numbering.of(every), meta=meta)

    def rows(split: Split) -> Embeddings:
        return found[[row[record] for record in split]]

    extra = Embeddings.load(options.more) if options.more else rows(more) if len(more) else None
    jobs = {trial: QueryGallery(rows(chosen.query), rows(chosen.gallery), extra) for trial, chosen in trials.items()}
    return jobs, {"data": data.name, "model": str(options.inputs[0]), "artefact": found.meta.get("artefact")}


def _trials(data: ReidData, options: Options) -> dict[str, ReidData]:
    """What is evaluated, by the names of the trials; one without a name where the split is fixed."""
    from passerby.datasets import one_trial

    if options.trials:
        if not data.trials:
            raise UsageError(f"{data.name} has one fixed split, no trials: leave out --trials.")
        return {trial.name: one_trial(data, trial.name) for trial in data.trials}
    chosen = one_trial(data, options.trial)
    if not len(chosen.query) or not len(chosen.gallery):
        raise DataError(
            f"{data.name} has {len(chosen.query)} queries and {len(chosen.gallery)} gallery images here: both are needed."
        )
    return {options.trial: chosen}


def _evaluate(sets: QueryGallery, convention: Convention, options: Options) -> RetrievalScores:
    from passerby.metrics import evaluate

    more = sets.multi_query if convention.multi_query != "none" else None
    if convention.multi_query != "none" and more is None:
        raise UsageError(
            f"multi-query by {convention.multi_query}: no multi-query images came with the data. Give them with --more FILE."
        )
    return evaluate(
        sets.query, sets.gallery, convention, multi_query=more, memory_mb=options.memory_mb, seed=options.seed, progress=True
    )


def _report(scores: dict[str, RetrievalScores], convention: Convention, options: Options) -> dict[str, Any]:
    """Print what was found, and give it JSON-able."""
    from passerby.cli import evaluate_tables as tables
    from passerby.metrics import bootstrap, over_trials

    if options.trials:
        together = over_trials(list(scores.values()))
        tables.print_trials(scores, together)
        each = {
            name: {**found.summary(), "num_queries": found.num_queries, "num_valid": found.num_valid}
            for name, found in scores.items()
        }
        notes = list(dict.fromkeys(note for found in scores.values() for note in found.notes))
        return {
            "mean": together.mean, "std": together.std, "num_trials": together.num_trials, "trials": each, "notes": notes,
            "convention_in_words": convention.in_words(),
        }  # fmt: skip
    (found,) = scores.values()
    intervals: dict[str, Interval] = {}
    if options.bootstrap:
        intervals = bootstrap(found, samples=options.bootstrap, unit=options.unit, seed=options.seed)
    tables.print_scores(found, intervals, options.unit)
    report = found.to_dict() | {
        "interval_unit": options.unit,
        "intervals": {name: list(ends) for name, ends in intervals.items()},
    }
    return report | ({"trial": options.trial} if options.trial else {})


def _write_per_query(path: Path, scores: dict[str, RetrievalScores]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "name", "pid", "camid", "matches", "ap", "inp", "first_rank"])
    for trial, found in scores.items():
        first = found.first_rank if found.first_rank.ndim == 1 else found.first_rank.mean(axis=1)
        columns = (found.names, found.pids, found.camids, found.num_matches, found.ap, found.inp, first)
        table.writerows([trial, *row] for row in zip(*(column.tolist() for column in columns), strict=True))
    write_text(path, text.getvalue())
