"""The table of scores: with intervals, beside what others published, each with its rule of average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from passerby.metrics import Interval, RetrievalScores, bootstrap, evaluate
from passerby.metrics.conventions import resolve
from passerby.report.markup import Markup, details, element, items, joined, paragraph, table
from passerby.report.published import Beside, published_beside
from passerby.report.runs import Run

__all__ = ["NAMES", "percent", "scores_section"]

NAMES = {"rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "map": "mAP", "minp": "mINP"}


def percent(value: float) -> str:
    """``67.2``, of a fraction."""
    return f"{100 * value:.1f}"


def _with_interval(value: float, interval: Interval) -> Markup:
    ends = f"({percent(interval.low)} to {percent(interval.high)})"
    return joined([percent(value), element("small", ends)])


def scores_section(
    runs: Sequence[Run],
    scores: Mapping[str, RetrievalScores],
    references: Mapping[str, RetrievalScores],
    preset: str,
    samples: int,
    seed: int,
) -> Markup:
    """Scores of all runs and references, then the published row of each run."""
    parts: list[str] = []
    rows = [_row(name, found, samples, seed) for name, found in [*scores.items(), *references.items()]]
    if rows:
        caption = "Percent, with 95 % intervals (bootstrap over persons with all their queries)"
        parts.append(table(caption, ["", *NAMES.values(), "queries", "gallery"], rows))
        said = dict.fromkeys(found.convention.in_words() for found in (*scores.values(), *references.values()))
        parts += [paragraph(f"Convention: {words}.", kind="faint") for words in said]
    for run in runs:
        if run.name not in scores:
            parts.append(_logged(run))
        parts.append(_published(run, scores.get(run.name), preset))
    return joined(parts)


def _row(name: str, found: RetrievalScores, samples: int, seed: int) -> list[str]:
    intervals = bootstrap(found, samples=samples, unit="person", seed=seed)
    cells = [_with_interval(value, intervals[key]) for key, value in found.summary().items()]
    return [name, *cells, f"{found.num_valid} of {found.num_queries}", str(found.num_gallery)]


def _logged(run: Run) -> Markup:
    """What the run measured by itself, where there are no vectors to score."""
    if not run.history.evaluations:
        return paragraph(f"{run.name} has no embeddings and logged no evaluation: there are no numbers. Run passerby embed.")
    last = run.history.evaluations[-1]
    cells = [f"{said} {percent(last[key])} %" for key, said in NAMES.items() if last.get(key) is not None]
    return paragraph(
        f"{run.name} has no embeddings here. Its own log says after epoch {last['epoch']}: "
        f"{', '.join(cells) or 'nothing about search'}. "
        "No interval can be given; embed with passerby embed RUN/artefact --data DIR --out RUN/embeddings."
    )


def _published(run: Run, found: RetrievalScores | None, preset: str) -> Markup:
    if run.facts is None:
        return paragraph(f"{run.name} is not finished: nothing published is set beside it.", kind="faint")
    row = published_beside(run.facts.recipe, run.facts.config, run.trained_on, run.tested_on, preset)
    if row is None:
        return paragraph(
            f"Nothing is published for the recipe {run.facts.recipe} trained on {run.trained_on}: no figure of others stands "
            f"beside {run.name}.",
            kind="faint",
        )
    return joined([_published_table(run, found, row), _differences(run, row)])


def _published_table(run: Run, found: RetrievalScores | None, row: Beside) -> Markup:
    published = row.preset.published
    assert published is not None
    rule = resolve(published.convention)
    comparable = row.tested_alike and found is not None and run.sets is not None
    rows = []
    if comparable and run.sets is not None:
        same = evaluate(run.sets.query, run.sets.gallery, replace(rule, multi_query="none"))
        rows.append([run.name, percent(same.rank(1)), percent(same.map), "measured here"])
    rows.append([f"{row.preset.title} ({row.preset.name})", percent(published.rank1), percent(published.map), published.source])
    for further in published.further:
        figures = [percent(float(further[key])) if further.get(key) is not None else "" for key in ("rank1", "map")]
        rows.append([f"  {further.get('what', '')}", *figures, published.source])
    words = f"AP by the {rule.ap} rule, convention {published.convention}"
    found_table = table(f"Published by others, not measured here ({words}); percent", ["", "Rank-1", "mAP", "source"], rows)
    if comparable:
        return found_table
    where = f"this run was tested on {run.tested_on}" if run.tested_on else "this run's vectors are not here"
    warning = f"The published figures are of another test ({row.preset.dataset}); {where}. The two must not be compared."
    return joined([found_table, paragraph(warning, kind="note")])


def _differences(run: Run, row: Beside) -> Markup:
    parts: list[str] = []
    if not row.trained_alike:
        parts.append(
            paragraph(f"The published row trained on {row.preset.dataset}, {run.name} on {run.trained_on}.", kind="note")
        )
    if not row.differs:
        return joined([*parts, paragraph(f"{run.name} has every option of the published row.")])
    said = items(f"{name}: {here} here, {there} published" for name, here, there in row.differs)
    return joined([*parts, details(f"{run.name} differs from the published row in {len(row.differs)} options", said)])
