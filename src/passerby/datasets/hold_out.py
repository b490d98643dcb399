"""Hold people out for evaluation, where a data set has no query and gallery of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from passerby.errors import DataError, UsageError, listing, nearest
from passerby.records import Record, Split

__all__ = ["hold_out"]

Person = tuple[str, int]


def hold_out(
    split: Split, *, test_share: float = 0.5, test_domains: Collection[str] = (), queries: int = 4, seed: int = 0
) -> tuple[Split, Split, Split]:
    """Part people into training and test, and the images of test people into queries and gallery.

    Test people are drawn among those that two cameras see, in each domain for itself; or whole domains are the test. Of each
    camera of a test person, `queries` images spread evenly over its time become queries, but never more than half; the rest is
    the gallery. Junk and distractors go to the gallery. Nobody is in both training and test.

    Args:
        split: all images.
        test_share: share of the people (of those that two cameras see) that is held out, 0 to 1; 0 holds nobody out.
        test_domains: domains that are the test; `test_share` then has no part in it.
        queries: most queries a camera of a person, at least 1.
        seed: of the draw, 0 or more.

    Returns:
        train, query, gallery, each in the order of `split`.

    Raises:
        UsageError: a value is out of its range, or there is no such domain.
        DataError: people are to be held out, and no camera pair sees anybody twice.
    """
    if not 0 <= test_share <= 1:
        raise UsageError(f"test_share is {test_share}; allowed are values from 0 to 1.")
    if queries < 1:
        raise UsageError(f"queries is {queries}; at least 1 is needed.")
    if seed < 0:
        raise UsageError(f"seed is {seed}; at least 0 is needed.")
    domains = {record.domain for record in split}
    unknown = [domain for domain in test_domains if domain not in domains]
    if unknown:
        raise UsageError(f'there is no "{unknown[0]}" to test on. {nearest(unknown[0], sorted(domains))}')
    images = _by_person(split)
    if test_domains:
        test = {person for person in images if person[0] in test_domains}
    else:
        test = _draw(images, test_share, seed)
    if (test_domains or test_share) and not any(_cameras(images[person]) > 1 for person in test):
        where = f" of {listing(test_domains)}" if test_domains else ""
        raise DataError(f"nobody{where} is seen by two cameras, so nobody can be held out for evaluation. Set test_share to 0.")
    chosen = {record.path for person in sorted(test) for record in _queries(images[person], queries)}
    extra = {record.path for record in split if record.pid <= 0 and (not test_domains or record.domain in test_domains)}
    tested = {record.path for person in test for record in images[person]} | (extra if test else set())
    return (
        split.where(lambda record: record.path not in tested),
        split.where(lambda record: record.path in chosen),
        split.where(lambda record: record.path in tested and record.path not in chosen),
    )


def _by_person(split: Split) -> dict[Person, list[Record]]:
    images: dict[Person, list[Record]] = defaultdict(list)
    for record in split:
        if record.pid > 0:
            images[record.domain, record.pid].append(record)
    return images


def _cameras(records: Sequence[Record]) -> int:
    return len({record.camid for record in records})


def _draw(images: dict[Person, list[Record]], share: float, seed: int) -> set[Person]:
    """Draw in each domain for itself, so that each is in the test; at least one person where the share is not 0."""
    generator = np.random.default_rng(seed)
    test: set[Person] = set()
    for domain in sorted({person[0] for person in images}):
        eligible = sorted(person for person in images if person[0] == domain and _cameras(images[person]) > 1)
        order = generator.permutation(len(eligible))
        count = min(len(eligible), max(1, round(share * len(eligible)))) if share else 0
        test |= {eligible[i] for i in order[:count]}
    return test


def _queries(records: Sequence[Record], most: int) -> list[Record]:
    """The queries of one person; none where only one camera sees the person."""
    if _cameras(records) < 2:
        return []
    chosen: list[Record] = []
    by_camera: dict[int, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (r.camid, -1 if r.frame is None else r.frame, r.path)):
        by_camera[record.camid].append(record)
    for images in by_camera.values():
        count = min(most, len(images) // 2)
        chosen += [images[int((i + 0.5) * len(images) / count)] for i in range(count)]
    return chosen or by_camera[min(by_camera)][:1]
