"""`passerby evaluate`: vectors, or a model and a data set, in; numbers that say what they mean out."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from passerby.cli.comparing import conditions_of, print_comparison, print_conditions
from passerby.cli.evaluate_protocol import run_protocol
from passerby.cli.parsing import check_report
from passerby.cli.reranking import FLAGS, before_and_after, method_of
from passerby.cli.stored import check_present, holds_both, is_model, named_inputs, read_columns, read_sets
from passerby.cli.trained_on import trained_on
from passerby.embeddings import Embeddings, QueryGallery
from passerby.errors import DataError, UsageError, listing
from passerby.files import write_json, write_text
from passerby.metrics.conventions import Convention, resolve, usual
from passerby.metrics.intervals import MOST_DRAWS

if TYPE_CHECKING:
    from passerby.metrics import Interval, RetrievalScores
    from passerby.records import ReidData

__all__ = ["Options", "run"]

_OF_MODELS = ("dataset", "data", "trial", "trials", "camera_statistics", "device", "precision", "batch_size", "workers")
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

    Two folders, or two files that hold both sets each, are two runs: they are compared on the same queries, pair by pair.
    """

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """file with both sets; or query file and gallery file; or a folder of embeddings; or an artefact folder; or two runs A B"""
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
    camera_statistics: Literal["auto", "own", "pooled", "train", "whole-set", "none"] = "auto"
    """with an artefact: statistics for camera-wise batch norm. auto: those of the model; own: of query images for the query, of
    gallery images for the gallery (published); pooled: of both together; train: of the training images; whole-set: of all
    images whatever their camera; none: a model trained by camera without any (costs 10 points and more)"""
    device: str = "auto"
    """with an artefact: auto, cpu, cuda, cuda:1 ..."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """with an artefact: of the forward pass"""
    batch_size: int = 64
    """with an artefact: images a forward pass"""
    workers: int | None = None
    """with an artefact: threads that decode; 0: none beside the main one"""
    rerank: Literal["none", "k-reciprocal", "graph"] = "none"
    """search again with distances corrected by who else is near, and print the numbers before and after"""
    k1: int | None = None
    """of --rerank: neighbours, about the images of a person in query and gallery (default: 20; graph 26)"""
    k2: int | None = None
    """of --rerank: neighbours that are averaged over (default: 6; graph 7)"""
    weight: float | None = None
    """of --rerank: lambda, the share of the original distance (default: 0.3)"""
    power: Literal[1, 2] | None = None
    """of --rerank k-reciprocal: 1 takes squared Euclidean distances (paper), 2 their squares (layumi, torchreid) (default: 1)"""
    rerank_memory_mb: float = 1000
    """of --rerank: ceiling of its working memory beyond the vectors, in 10^6 bytes"""
    conditions: Path | None = None
    """also print the numbers by what this table knows of the queries (size, pose, visibility): a CSV file with a column path,
    or the manifest.jsonl of a rendered street"""
    by: tuple[str, ...] = ()
    """columns of --conditions (default: all)"""
    protocol: str = ""
    """with an artefact: a protocol of domain generalization, p1, p1-without-duke, p2-m, p3-ms, "market1501->dukemtmc" ...; it
    needs a model that was trained on exactly its sources, and its targets in --data"""
    each_trial: bool = False
    """of --protocol: list every trial of every target too"""
    trained_on: str = ""
    """of --protocol: what imported weights were trained on, which they do not know: cuhk02+market1501; shown as not verified"""
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
    if options.protocol or options.each_trial or options.trained_on:
        run_protocol(options)
        return
    _check(options)
    options = replace(options, inputs=named_inputs(options.inputs))
    check_present(options.inputs)
    two_runs = len(options.inputs) == 2 and all(map(holds_both, options.inputs))
    _check_company(options, two_runs)
    table = {} if options.conditions is None else read_columns(options.conditions)  # one that is none is told before the work
    if two_runs:
        scores, report = _compared(options)
    else:
        jobs, convention, facts = _jobs(options)
        scores, report = {}, {}
        for name, sets in jobs.items():
            scores[name] = _evaluate(sets, convention, options)
            if options.rerank != "none":
                report["before"] = scores[name].summary()
                scores[name] = before_and_after(sets, convention, options, scores[name])
        report = _report(scores, convention, options) | report | facts
        report |= _by_conditions(scores, table, options)
    if options.json is not None:
        write_json(options.json, report)
    if options.per_query is not None:
        _write_per_query(options.per_query, scores)


def _jobs(options: Options) -> tuple[dict[str, QueryGallery], Convention, dict[str, Any]]:
    """What is evaluated, under which convention, and what is known of it."""
    from_model = len(options.inputs) == 1 and is_model(options.inputs[0])
    if not from_model:
        _refuse_model_flags(options)
        _check_effects(options, _convention(options, ""))
    jobs, facts = _of_model(options) if from_model else ({"": read_sets(options.inputs, options.more)}, {})
    return jobs, _convention(options, facts.get("data", "")), facts


def _compared(options: Options) -> tuple[dict[str, RetrievalScores], dict[str, Any]]:
    """Score two runs, print their differences, and give both."""
    scores: dict[str, RetrievalScores] = {}
    for name, path in zip("AB", options.inputs, strict=True):
        jobs, convention, _ = _jobs(replace(options, inputs=(path,)))
        (sets,) = jobs.values()
        scores[name] = _evaluate(sets, convention, options)
        if options.rerank != "none":
            scores[name] = before_and_after(sets, convention, options, scores[name], say=False)
    report = print_comparison(options.inputs, scores["A"], scores["B"], options.bootstrap, options.seed)
    return scores, {"comparison": report, **{name: found.to_dict() for name, found in scores.items()}}


def _by_conditions(scores: dict[str, RetrievalScores], table: dict[str, dict[str, object]], options: Options) -> dict[str, Any]:
    if options.conditions is None:
        return {}
    (found,) = scores.values()
    columns = conditions_of(table, options.conditions, options.by, found.names.tolist())
    return {"conditions": print_conditions(found, columns, options.seed)}


def _check_company(options: Options, two_runs: bool) -> None:
    """Refuse flags that would change nothing, or have no meaning, beside others."""
    defaults = {field.name: field.default for field in fields(Options)}
    if options.rerank == "none":
        given = [name for name in FLAGS if getattr(options, name) != defaults[name]]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')} acts only with --rerank k-reciprocal or graph.")
    else:
        method_of(options, _convention(options, ""))
    if options.trials and (options.rerank != "none" or options.conditions or two_runs):
        raise UsageError("--trials: re-ranking, --conditions and two runs go with a single split; name one with --trial.")
    if options.by and options.conditions is None:
        raise UsageError("--by names columns of a table: give the table with --conditions.")
    if options.conditions is not None and two_runs:
        raise UsageError("--conditions goes with one run; compare the tables of both.")
    if two_runs and options.bootstrap < 1:
        raise UsageError("--bootstrap 0 with two runs: a comparison is made of draws; give 1 or more.")
    if two_runs and options.unit != "query":
        raise UsageError("--unit with two runs: intervals by query and by person are both printed. Leave it out.")


def _check(options: Options) -> None:
    if len(options.inputs) not in (1, 2):
        raise UsageError(
            f"{len(options.inputs)} inputs: give one file or folder that holds both sets, or a query and a gallery file."
        )
    if not 0 <= options.bootstrap <= MOST_DRAWS:
        raise UsageError(f"--bootstrap is {options.bootstrap}: it counts draws, 0 to {MOST_DRAWS:,}.")
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


def _of_model(options: Options) -> tuple[dict[str, QueryGallery], dict[str, Any]]:
    """Embed what is to be evaluated. An image that stands in several splits goes through the network once."""
    from passerby import datasets
    from passerby.artefact import load
    from passerby.datasets.registry import data_folder
    from passerby.embedder import Numbering, embed
    from passerby.embedder.camera_statistics import SOURCES, embedders_for
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
        without_statistics=options.camera_statistics == "none",
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
    facts = {"data": data.name, "model": str(options.inputs[0]), "artefact": embedder.facts.get("artefact")}
    if options.camera_statistics in SOURCES:  # every split has statistics of its own
        jobs = {}
        for trial, chosen in trials.items():
            splits = {"query": chosen.query, "gallery": chosen.gallery} | ({"multi_query": more} if len(more) else {})
            ready = embedders_for(embedder, splits, options.camera_statistics, train=chosen.train)
            sets = {
                each: embed(ready[each], split, root=root, numbering=Numbering.of(every), meta=meta)
                for each, split in splits.items()
            }
            jobs[trial] = QueryGallery(**(sets | ({"multi_query": Embeddings.load(options.more)} if options.more else {})))
        return jobs, facts
    embedder = embedders_for(embedder, {"": every}, options.camera_statistics)[""]
    found = embed(embedder, every, root=root, numbering=Numbering.of(every), meta=meta)

    def rows(split: Split) -> Embeddings:
        return found[[row[record] for record in split]]

    extra = Embeddings.load(options.more) if options.more else rows(more) if len(more) else None
    jobs = {trial: QueryGallery(rows(chosen.query), rows(chosen.gallery), extra) for trial, chosen in trials.items()}
    return jobs, facts


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
            + _how_else(options.inputs[0])
        )
    return {options.trial: chosen}


def _how_else(model: Path) -> str:
    """How a classifier of objects is measured, which searches nothing."""
    from passerby.artefact import read_description

    facts = read_description(model)
    return (
        f" This model is a classifier: passerby train {facts.recipe} --eval-only --out RUN measures it." if facts.classes else ""
    )


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
