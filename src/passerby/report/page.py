"""The page: sections one after the other, in one file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from passerby.errors import UsageError, listing
from passerby.files import write_text
from passerby.metrics import Convention, RetrievalScores, evaluate
from passerby.metrics.conventions import resolve, usual
from passerby.report.comparison import comparison_section
from passerby.report.markup import Markup, element, figure, items, joined, paragraph
from passerby.report.numbers import scores_section
from passerby.report.origin import origin_section, summary_sentence
from passerby.report.people import camera_section, failure_section, ranking_section
from passerby.report.pictures import Crops, check_names, drawn
from passerby.report.runs import Run
from passerby.report.stylesheet import STYLE

__all__ = ["check_request", "write_report"]

_MOST_BYTES = 5_000_000
# Nothing may be fetched, run or sent: the browser itself refuses what would slip in through a name.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_report(
    runs: Sequence[Run],
    out: str | os.PathLike[str],
    *,
    convention: Convention | None = None,
    preset: str = "",
    references: Mapping[str, RetrievalScores] | None = None,
    each: int = 2,
    top: int = 10,
    failures: int = 8,
    samples: int = 1000,
    seed: int = 0,
    title: str = "",
) -> dict[str, RetrievalScores]:
    """Write one HTML file about one or several runs: numbers, curves, pictures, mistakes, advice, and how to make it again.

    Args:
        runs: see `read_run`. The first one is what the others are compared with.
        out: the file to write.
        convention: how to rank and count; default: the usual one of the data set.
        preset: whose published figures stand beside; default: the nearest preset of the run's recipe and data.
        references: further scores on the same queries to show beside the runs, for instance of a colour histogram.
        each: how many of the best, the median and the worst queries to show of each run.
        top: gallery images of each.
        failures: how many mistakes to show of each run.
        samples: draws of the intervals.
        seed: of the draws.
        title: heading of the page; default: what was trained on what.

    Returns:
        The scores by the name of the run, of those that have embeddings.

    Raises:
        UsageError: no run, two of one name, numbers out of range, or a page that would be over 5 MB.
        DataError: images are missing.
        EmbeddingsError: vectors that cannot be scored.
    """
    check_request(out, each, top, failures, samples)
    if not runs:
        raise UsageError("no run to report: give one or more run folders.")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"two runs have one name: {listing(names)}. Give each a name of its own with --names.")
    for run in runs:
        if run.sets and run.images and run.sees_images:
            check_names(run.images, run.sets.query, run.sets.gallery)
    rules = {run.name: convention or resolve(usual(run.tested_on)) for run in runs}
    scores = {run.name: evaluate(run.sets.query, run.sets.gallery, rules[run.name]) for run in runs if run.sets}
    heading = title or _title(runs)
    sections = [("Numbers", scores_section(runs, scores, references or {}, preset, samples, seed))]
    if len(runs) > 1:
        sections.append(("Comparison", comparison_section(scores, samples, seed)))
    sections.append(("Curves", _curves(runs, scores)))
    sections += [(_named("Cameras", run, runs), camera_section(run, scores[run.name])) for run in runs if run.name in scores]
    for run in runs:
        if run.name not in scores:
            continue
        crops = Crops(run.images) if run.images and run.sees_images else None
        sections.append((_named("Ranked galleries", run, runs), ranking_section(run, scores[run.name], crops, each, top)))
        sections.append((_named("Mistakes", run, runs), failure_section(run, scores[run.name], crops, failures)))
    sections += [(_named("How it was made", run, runs), origin_section(run)) for run in runs]
    page = _page(heading, [summary_sentence(run, scores.get(run.name)) for run in runs], runs, sections)
    size = len(page.encode())
    if size > _MOST_BYTES:
        raise UsageError(f"the page would have {size / 1e6:.1f} MB, allowed are 5: show less with --each, --top or --failures.")
    write_text(out, page)
    return scores


def check_request(out: str | os.PathLike[str], each: int, top: int, failures: int, samples: int) -> None:
    """Refuse what `write_report` would refuse, before the work that comes ahead of it.

    Raises:
        UsageError: a file that is no web page, or numbers out of range.
    """
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f'the report "{out}" is a web page: give a name that ends in .html.')
    for name, value, least in (("each", each, 0), ("top", top, 1), ("failures", failures, 0), ("samples", samples, 1)):
        if value < least:
            raise UsageError(f"{name} is {value}: give {least} or more.")


def _title(runs: Sequence[Run]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs: {listing(run.name for run in runs)}"
    run = runs[0]
    recipe = run.facts.recipe if run.facts else "a run"
    return f"{recipe} trained on {run.trained_on}"


def _named(section: str, run: Run, runs: Sequence[Run]) -> str:
    return section if len(runs) == 1 else f"{section}: {run.name}"


def _curves(runs: Sequence[Run], scores: Mapping[str, RetrievalScores]) -> Markup:
    from passerby.plots import plot_cmc, plot_curves

    names = listing(run.name for run in runs)
    found = []
    ready = list({run.folder.resolve(): run for run in runs if run.history.epochs}.values())
    if ready:
        source = drawn(lambda path: plot_curves([run.folder for run in ready], path, names=[run.name for run in ready]))
        last = ready[0].history.epochs[-1]
        alt = (
            f"Training curves of {names}: loss, accuracy on training batches and what was evaluated, over the epochs. "
            f"{ready[0].name} ends after {last['epoch']} epochs with a loss of {last.get('loss', float('nan')):.3g}."
        )
        found.append(
            figure(
                source, alt, "What the training logged. The evaluation here is the one that the run made by itself.", broad=True
            )
        )
    else:
        found.append(paragraph("No epoch is finished yet: there are no curves."))
    groups: dict[Convention, dict[str, RetrievalScores]] = {}
    for name, each in scores.items():
        groups.setdefault(each.convention, {})[name] = each
    for group in groups.values():
        top = min(20, *(len(each.cmc) for each in group.values()))
        source = drawn(lambda path, group=group, top=top: plot_cmc(group, path, top=top))
        ranks = "; ".join(f"{name}: Rank-1 {each.rank(1):.1%}, Rank-{top} {each.rank(top):.1%}" for name, each in group.items())
        found.append(
            figure(
                source, f"Share of queries with a right answer among the first k. {ranks}.", f"Found among the first k. {ranks}."
            )
        )
    return joined(found)


def _page(heading: str, sentences: Sequence[str], runs: Sequence[Run], sections: Sequence[tuple[str, Markup]]) -> str:
    links = [element("li", element("a", name, attributes={"href": f"#s{number}"})) for number, (name, _) in enumerate(sections)]
    kinds = dict.fromkeys(run.people for run in runs if run.people)
    chips = [element("span", f"{kind}, nobody is real", attributes={"class": "chip"}) for kind in kinds]
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    header = element(
        "header", element("h1", heading), *(paragraph(sentence, kind="lead") for sentence in sentences), *chips,
        *([element("div", items(notes), attributes={"class": "note"})] if notes else []),
        element("nav", element("ul", *links), attributes={"aria-label": "Sections"}),
    )  # fmt: skip
    parts = [
        element(
            "section", element("h2", name, attributes={"id": f"h{number}"}), content,
            attributes={"id": f"s{number}", "aria-labelledby": f"h{number}"},
        )
        for number, (name, content) in enumerate(sections)
    ]  # fmt: skip
    footer = element("footer", f"Written by passerby {version('passerby')}. This file needs nothing else and fetches nothing.")
    head = element(
        "head", element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", attributes={"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("meta", attributes={"name": "color-scheme", "content": "light dark"}),
        element("link", attributes={"rel": "icon", "href": "data:,"}),
        element("title", heading), element("style", Markup(STYLE)),
    )  # fmt: skip
    body = element("body", header, element("main", *parts), footer)
    return "<!DOCTYPE html>\n" + element("html", head, body, attributes={"lang": "en"}) + "\n"
