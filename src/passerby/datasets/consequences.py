"""What a data set means for its evaluation, found from its records alone: no image is opened.

Matches follow the rule of the field: a gallery image counts for a query if it shows the same pid in another camera.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from passerby.datasets.layouts import persons
from passerby.datasets.walking import shown
from passerby.errors import DataError, listing
from passerby.records import Record, ReidData, Split

__all__ = ["Finding", "check_evaluable", "consequences"]

Camera = tuple[str, int]


@dataclass(frozen=True)
class Finding:
    """One thing to know about a data set.

    Attributes:
        kind: what it is, in two or three words with hyphens.
        severity: ``problem`` makes a number wrong or impossible, ``consequence`` changes what it means, ``note`` is good to know.
        text: the one-line message.
        count: how many images, persons or files it is about.
    """

    kind: str
    severity: Literal["problem", "consequence", "note"]
    text: str
    count: int


def check_evaluable(data: ReidData) -> None:
    """Refuse a data set that cannot give a number, before anything is computed.

    Raises:
        DataError: no query or no gallery, one camera only, no query identity in the gallery, or no match in another camera.
    """
    problem = next((finding for finding in _impossible(data) if finding.severity == "problem"), None)
    if problem is None and not (len(data.query) and len(data.gallery)):
        problem = _no_test(data)
    if problem is not None:
        raise DataError(f"{data.name}: {problem.text}")


def consequences(data: ReidData) -> list[Finding]:
    """Everything that the records say about training and evaluation, the gravest first."""
    found = [*_impossible(data), *_partly(data), *_paths(data), *_people(data), *_cameras(data)]
    if not (len(data.query) or len(data.gallery)) and len(data.train):
        found.append(_no_test(data))
    return found


def _no_test(data: ReidData) -> Finding:
    text = (
        f"{len(data.query)} queries and {len(data.gallery)} gallery images, so nothing can be evaluated. "
        "People can be held out: passerby data prepare FOLDER --out NEW_FOLDER --test-share 0.5"
    )
    return Finding("no-test-images", "consequence", text, 0)


def _impossible(data: ReidData) -> Iterator[Finding]:
    """What leaves no query with a match."""
    queries, gallery = len(data.query), len(data.gallery)
    if bool(queries) != bool(gallery):
        there, gone = ("queries", "gallery images") if queries else ("gallery images", "queries")
        yield Finding(
            "no-test-images", "problem", f"{queries or gallery} {there} but no {gone}, so nothing can be evaluated.", queries
        )
    if not (queries and gallery):
        return
    cameras = {record.camera for split in (data.query, data.gallery) for record in split}
    matches, absent, _ = _matches(data)
    if len(cameras) == 1:
        text = (
            f"all {queries + gallery:,} query and gallery images are of one camera (camid {min(cameras)[1]}), and images of the "
            "query's own camera never count, so nothing can be evaluated. Are cameras missing in the file names or the manifest? "
            "Data of one camera: --convention any-camera counts its own images."
        )
        yield Finding("one-camera", "problem", text, queries)
    elif not matches and len(absent) == queries:
        people = sorted({record.pid for record in absent})
        text = (
            f"none of the {len(people):,} query identities ({listing(people)}) is in the gallery, so nothing can be evaluated. "
            "Do query and gallery belong together?"
        )
        yield Finding("absent-from-gallery", "problem", text, queries)
    elif not matches:
        text = (
            f"none of the {queries:,} queries has a match in another camera, so nothing can be evaluated. "
            "To count matches in the query's own camera: --convention any-camera."
        )
        yield Finding("no-match", "problem", text, queries)


def _matches(data: ReidData) -> tuple[int, list[Record], list[Record]]:
    """Number of queries with a match, queries whose person is not in the gallery, queries seen there by their own camera only."""
    seen: dict[int, set[Camera]] = defaultdict(set)
    for record in data.gallery:
        seen[record.pid].add(record.camera)
    absent = [query for query in data.query if query.pid not in seen]
    alone = [query for query in data.query if query.pid in seen and seen[query.pid] == {query.camera}]
    return len(data.query) - len(absent) - len(alone), absent, alone


def _partly(data: ReidData) -> Iterator[Finding]:
    """Queries without a match, where others have one."""
    matches, absent, alone = _matches(data)
    if not matches:
        return
    rule = "an evaluation skips them or counts them as failures, by its convention"
    if absent:
        people = sorted({record.pid for record in absent})
        text = (
            f"{len(people):,} query identities ({listing(people)}) are not in the gallery: "
            f"{len(absent):,} queries have no match; {rule}."
        )
        yield Finding("absent-from-gallery", "consequence", text, len(absent))
    if alone:
        text = f"{len(alone):,} of {len(data.query):,} queries ({_names(alone)}) match only in their own camera; {rule}."
        yield Finding("no-match", "consequence", text, len(alone))


def _names(records: Iterable[Record]) -> str:
    return listing((f'"{shown(record.path.name)}"' for record in records), 3)


def _paths(data: ReidData) -> Iterator[Finding]:
    """One file in training and test."""
    trained = {record.path for split in (data.train, data.val) for record in split}
    leaked = sorted({record for split in (data.query, data.gallery) for record in split if record.path in trained}, key=_path)
    if leaked:
        text = f"{len(leaked):,} files ({_names(leaked)}) are in training and test: every number is made on training images."
        yield Finding("leak", "problem", text, len(leaked))


def _path(record: Record) -> str:
    return str(record.path)


def _people(data: ReidData) -> Iterator[Finding]:
    known = persons(data.train) | persons(data.val)
    shared = known & persons(data.query)
    if shared:
        pids = listing(sorted(pid for _, pid in shared))
        text = (
            f"{len(shared):,} of {len(persons(data.query)):,} query persons ({pids}) are also in training: "
            "the number says how well known people are found again, not new ones."
        )
        yield Finding("known-people", "consequence", text, len(shared))
    for name, splits in (("train", (data.train,)), ("test", (data.query, data.gallery))):
        yield from _single_camera(name, splits)
    nobody = sum(record.pid <= 0 for record in data.train)
    if nobody:
        text = f"{nobody:,} training images are junk or distractors (pid -1 or 0): each such pid would be learnt as one person."
        yield Finding("junk-in-training", "consequence", text, nobody)
    lonely = [identity for identity, count in Counter((r.domain, r.pid) for r in data.train if r.pid > 0).items() if count == 1]
    if lonely:
        text = f"{len(lonely):,} training persons have one image only: no pair of theirs can be learnt from."
        yield Finding("single-image-people", "consequence", text, len(lonely))


def _single_camera(name: str, splits: Sequence[Split]) -> Iterator[Finding]:
    cameras: dict[int, set[Camera]] = defaultdict(set)
    for split in splits:
        for record in split:
            if record.pid > 0:
                cameras[record.pid].add(record.camera)
    alone = sorted(pid for pid, seen in cameras.items() if len(seen) == 1)
    if not alone:
        return
    effect = (
        "nothing across cameras is learnt from them" if name == "train" else "no query of theirs has a match; they only distract"
    )
    text = f"{len(alone):,} of {len(cameras):,} {name} persons (pid {listing(alone)}) are seen by one camera only: {effect}."
    yield Finding("single-camera-people", "consequence", text, len(alone))


def _cameras(data: ReidData) -> Iterator[Finding]:
    trained = set(data.train.cameras) | set(data.val.cameras)
    domains = {domain for domain, _ in trained}
    new = sorted({c for split in (data.query, data.gallery) for c in split.cameras if c[0] in domains} - trained)
    if new:
        text = f"{len(new)} cameras occur in test only (camid {listing(camid for _, camid in new)}), never in training."
        yield Finding("unknown-cameras", "consequence", text, len(new))
    twice: dict[int, set[str]] = defaultdict(set)
    for domain, pid in persons(data.query) | persons(data.gallery):
        twice[pid].add(domain)
    several = sorted(pid for pid, where in twice.items() if len(where) > 1)
    if several:
        text = f"{len(several):,} pids (pid {listing(several)}) occur in several domains: evaluation takes each for one person."
        yield Finding("shared-pids", "consequence", text, len(several))
