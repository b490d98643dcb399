"""What was found for whom: ranked galleries, mistakes with the nearest wrong neighbours, and the cameras."""

from __future__ import annotations

import numpy as np

from passerby.metrics import RetrievalScores
from passerby.plots import plot_camera_pairs
from passerby.plots.ranking import RankedQuery, choose_queries, rank_query
from passerby.report.advice import camera_advice, looks_of
from passerby.report.failures import Failure, find_failures
from passerby.report.markup import Markup, element, figure, image, items, joined, paragraph, with_code
from passerby.report.pictures import Crops, drawn
from passerby.report.runs import Run

__all__ = ["camera_section", "failure_section", "ranking_section"]

_NO_IMAGES = "The images are not at hand, so names stand for them: name the folder of the data set with --images."


def ranking_section(run: Run, scores: RetrievalScores, crops: Crops | None, each: int, top: int) -> Markup:
    """The best, the median and the worst queries."""
    unfit = _unfit(scores)
    if unfit or not each:
        return paragraph(unfit or "Not asked for.")
    assert run.sets is not None
    parts = [paragraph(_key(scores))] + ([] if crops else [paragraph(_NO_IMAGES, kind="note")])
    for name, rows in choose_queries(scores, each).items():
        parts.append(element("h3", f"{name} by average precision"))
        for row in rows:
            found = rank_query(run.sets.query, run.sets.gallery, row, scores.convention, top=top)
            first = f"first right answer at rank {found.first_rank}" if found.first_rank else "no right answer"
            words = f"{_called(run, row)}: AP {scores.ap[row]:.1%}, {first}, {found.matches} to find."
            cards = [_query_card(run, crops, row)]
            cards += [_card(run, crops, found, place) for place in range(len(found.columns))]
            parts.append(element("div", paragraph(words), *cards, attributes={"class": "row"}))
    return joined(parts)


def failure_section(run: Run, scores: RetrievalScores, crops: Crops | None, most: int) -> Markup:
    """The surest mistakes: the query, the nearest wrong neighbours, and the right one that came later."""
    unfit = _unfit(scores)
    if unfit:
        return paragraph(unfit)
    assert run.sets is not None
    found = find_failures(run.sets, scores, most=most)
    if not found.count:
        return paragraph(f"None: all {found.of} queries find the right person first.")
    parts: list[str] = [
        paragraph(f"{found.count} of {found.of} queries find somebody else first ({found.count / found.of:.0%})."),
        items(found.sentences),
    ]
    if found.shown:
        parts.append(paragraph("The surest mistakes, by how much nearer the wrong person is than the right one:"))
    parts += [_failure(run, crops, failure) for failure in found.shown]
    return joined(parts)


def camera_section(run: Run, scores: RetrievalScores) -> Markup:
    """The matrix of camera pairs, what is hard in it, and what might help."""
    if scores.camera_pairs is None or run.sets is None:
        return paragraph("This convention draws single gallery images: there is no table by camera pair.")
    title = f"{run.name} on {run.tested_on}" if run.tested_on else run.name
    source = drawn(lambda path: plot_camera_pairs(scores, path, title=title))
    facts, at_hand = run.facts, run.images is not None and run.sees_images
    looks = looks_of((run.sets.query, run.sets.gallery), run.images) if at_hand and run.images else None
    norm = str(facts.model.get("norm", "batch")) if facts and run.sees_images else ""
    advice = camera_advice(
        scores, norm=norm, adapted=bool(facts and facts.cameras), looks=looks, model=str(run.folder / "artefact")
    )
    worst = f" The hardest pair is from camera {advice.worst[0]} to camera {advice.worst[1]}." if advice.worst else ""
    parts = [
        figure(
            source,
            f"Rank-1 and mAP from camera to camera.{worst}",
            "Each cell searches in the images of one camera alone.",
            broad=True,
        ),
        items(advice.found),
    ]
    if advice.might_help:
        parts += [
            paragraph("What might help. None of it is measured on this run; compare before and after:"),
            items(with_code(text) for text in advice.might_help),
        ]
    return joined(parts)


def _unfit(scores: RetrievalScores) -> str:
    convention = scores.convention
    if convention.shots == "single" or convention.multi_query != "none":
        return "This convention draws single gallery images or pools queries: there is no one ranked list to show."
    return ""


def _key(scores: RetrievalScores) -> str:
    unit = "distance" if scores.convention.distance == "euclidean" else "similarity"
    return f"Solid green frame and ✓: the same person. Dashed red frame and ✗: somebody else. Below: rank, camera, {unit}."


def _called(run: Run, row: int) -> str:
    assert run.sets is not None
    query = run.sets.query
    return f"Query {query.label(row)} (person {query.pids[row]}, camera {query.camids[row]})"


def _query_card(run: Run, crops: Crops | None, row: int) -> Markup:
    assert run.sets is not None
    query = run.sets.query
    alt = f"query: person {query.pids[row]}, camera {query.camids[row]}"
    return _carded(crops, str(query.names[row]), alt, "", "query", f"camera {query.camids[row]}")


def _card(run: Run, crops: Crops | None, found: RankedQuery, place: int) -> Markup:
    assert run.sets is not None
    gallery, column = run.sets.gallery, found.columns[place]
    right = found.verdicts[place] == "right"
    said = "the same person" if right else f"somebody else, person {gallery.pids[column]}"
    alt = f"rank {found.ranks[place]}: {said}, camera {gallery.camids[column]}"
    line = f"cam {gallery.camids[column]} · {found.nearness[place]:.2f}"
    return _carded(
        crops,
        str(gallery.names[column]),
        alt,
        "right" if right else "wrong",
        f"{'✓' if right else '✗'} {found.ranks[place]}",
        line,
    )


def _carded(crops: Crops | None, name: str, alt: str, verdict: str, head: str, line: str) -> Markup:
    picture = _picture(crops, name, alt)
    kind = f"card {verdict}".strip()
    return element("div", picture, element("b", head), element("small", line), attributes={"class": kind})


def _picture(crops: Crops | None, name: str, alt: str) -> Markup:
    if crops is None:
        return element("code", name)
    source, size = crops(name)
    return image(source, alt, size=size)


def _failure(run: Run, crops: Crops | None, failure: Failure) -> Markup:
    assert run.sets is not None
    gallery, ranked = run.sets.gallery, failure.ranked
    nearest = failure.wrong[0]
    words = (
        f"{_called(run, ranked.row)} was taken for person {gallery.pids[nearest]} in camera {gallery.camids[nearest]} "
        f"({failure.nearness(nearest):.2f}). "
    )
    if failure.right is None:
        words += f"The right person comes at rank {ranked.first_rank}."
    else:
        near = failure.nearness(failure.right)
        words += f"The right person comes at rank {ranked.first_rank} ({near:.2f}), in camera {gallery.camids[failure.right]}."
    shown = [*failure.wrong, *([failure.right] if failure.right is not None else [])]
    places = [int(np.flatnonzero(ranked.columns == column)[0]) for column in shown]
    cards = [_query_card(run, crops, ranked.row), *(_card(run, crops, ranked, place) for place in places)]
    return element("div", paragraph(words), *cards, attributes={"class": "row"})
