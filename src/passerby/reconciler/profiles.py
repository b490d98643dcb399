"""One ranking, seen by all conventions at once.

What conventions differ in is which gallery images count as right, wrong or not at all. So for every right answer of every query
the wrong ones before it are counted by kind: other people, junk (pid -1), distractors (pid 0). Every convention's ranks are sums
of these counts, and its numbers follow in milliseconds without touching a vector again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from passerby.embeddings import Embeddings
from passerby.metrics import Convention
from passerby.metrics.counting import wrong_before
from passerby.metrics.scores import precision_at_hits
from passerby.records import DISTRACTOR_PID, JUNK_PID
from passerby.rerank.joined import Workers

__all__ = ["Gallery", "Numbers", "Profile", "View"]

_ORDINARY, _JUNK, _DISTRACTOR = range(3)


@dataclass(frozen=True)
class Numbers:
    """What one convention gives, as fractions; `spread` has the standard errors that random draws leave in the four, in order."""

    map: float
    rank1: float
    rank5: float
    rank10: float
    spread: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    @property
    def drawn(self) -> bool:
        """Whether the numbers rest on random draws."""
        return any(self.spread)


class Gallery:
    """The labels of queries and gallery, indexed once for all rankings.

    Args:
        query: labels of the queries.
        gallery: labels of the gallery.
        zero_is_nobody: whether pid 0 marks distractors.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings, *, zero_is_nobody: bool) -> None:
        kind = np.where(gallery.pids == JUNK_PID, _JUNK, _ORDINARY)
        if zero_is_nobody:
            kind[gallery.pids == DISTRACTOR_PID] = _DISTRACTOR
        self.order = np.argsort(kind, kind="stable")
        self.ends = np.searchsorted(kind[self.order], np.arange(4))
        self.num_queries = len(query)
        self.same_camera = query.camids[:, None]
        self.camids = gallery.camids[self.order]
        pids = gallery.pids[self.order]
        by_person = np.argsort(pids, kind="stable")
        self.people, starts = np.unique(pids[by_person], return_index=True)
        self.members = np.split(by_person, starts[1:])
        self.kind_of_person = kind[self.order][by_person[starts]]
        self.grouped, self.starts = by_person, starts
        self.sizes = np.diff(np.append(starts, len(pids)))
        self.person = np.searchsorted(self.people, query.pids)
        self.person[~np.isin(query.pids, self.people)] = -1
        names = gallery.names[self.order]
        self.own = [
            self._others(p, str(name), names) if p >= 0 else np.zeros(0, dtype=np.int64)
            for p, name in zip(self.person, query.names, strict=True)
        ]  # every image of the query's person but itself
        self.from_own_camera = [self.camids[own] == camid for own, camid in zip(self.own, query.camids, strict=True)]
        everything = [np.zeros(0, dtype=np.int64), *self.own]
        self.flat = (
            self.order,
            self.ends,
            np.concatenate(everything),
            np.concatenate([[0], np.cumsum([len(own) for own in self.own])]),
            np.concatenate([np.zeros(0, dtype=bool), *self.from_own_camera]),
            by_person,
            np.append(starts, len(pids)),
            self.person,
        )

    def _others(self, person: int, name: str, names: np.ndarray) -> np.ndarray:
        members = self.members[person]
        return members[names[members] != name] if name else members


class View(NamedTuple):
    """How a block's rows become similarities by position in `Gallery.order`, large is near: ``row[columns] * scale - offset``.

    Attributes:
        columns: (G,) where each image stands in a row.
        scale: (G,) float32.
        offset: (G,) float32; infinite for an image that comes after all others.
    """

    columns: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    def __call__(self, row: np.ndarray) -> np.ndarray:
        """(G,) the similarities of one query."""
        return row[self.columns] * self.scale - self.offset

    def at(self, row: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Those of some images alone."""
        return row[self.columns[positions]] * self.scale[positions] - self.offset[positions]


@dataclass(frozen=True, eq=False)
class Profile:
    """One ranking of all queries.

    Attributes:
        start: (Q + 1,) where the right answers of each query begin in the columns.
        own_camera: (M,) whether a right answer is from the query's camera; nearest first within a query.
        as_near: (M, 3) wrong answers at least as near, by kind.
        nearer: (M, 3) wrong answers nearer.
        shots: (Q, repeats, 2, 2, 3) the same for drawn single shots, by tie rule (pessimistic, optimistic) and by whether the
            right answer was drawn without or with those of the query's camera; None where they were not drawn.
    """

    start: np.ndarray
    own_camera: np.ndarray
    as_near: np.ndarray
    nearer: np.ndarray
    shots: np.ndarray | None

    @staticmethod
    def empty(labels: Gallery, repeats: int = 0) -> Profile:
        """To be filled by `enter`; with `repeats`, by that many draws of single shots and nothing else."""
        start = np.concatenate([[0], np.cumsum([len(own) for own in labels.own])])
        as_near, nearer = np.zeros((2, start[-1], 3), dtype=np.int32)
        shots = np.zeros((labels.num_queries, repeats, 2, 2, 3), dtype=np.int32) if repeats else None
        return Profile(start, np.concatenate([np.zeros(0, dtype=bool), *labels.from_own_camera]), as_near, nearer, shots)

    def enter(self, block: np.ndarray, first: int, labels: Gallery, view: View, workers: Workers, seed: int = 0) -> None:
        """Count a block (rows, .) of the queries from `first` on; `seed` is of the draws of single shots."""
        if workers.numba and self.shots is None:
            from passerby.reconciler.compiled import count_kinds

            columns = (self.start, self.own_camera, self.as_near, self.nearer)
            workers.share(lambda a, b: count_kinds(block, first, view, labels.flat, *columns, a, b), len(block))
            return

        def count(start: int, stop: int) -> None:
            for row in range(start, stop):
                if not len(labels.own[first + row]):
                    continue
                if self.shots is None:
                    self._enter(view(block[row]), first + row, labels)
                else:
                    self._draw(block[row], view, first + row, labels, seed, workers)

        workers.share(count, len(block))

    def _enter(self, similar: np.ndarray, query: int, labels: Gallery) -> None:
        own = labels.own[query]
        values = similar[own]
        nearest = np.argsort(-values, kind="stable")
        values = values[nearest]
        here = slice(self.start[query], self.start[query + 1])
        self.own_camera[here] = labels.from_own_camera[query][nearest]
        similar[labels.members[labels.person[query]]] = -np.inf
        for kind in range(3):
            segment = similar[labels.ends[kind] : labels.ends[kind + 1]]
            if len(segment):
                self.as_near[here, kind], self.nearer[here, kind] = wrong_before(segment, values)

    def _draw(self, row: np.ndarray, view: View, query: int, labels: Gallery, seed: int, workers: Workers) -> None:
        """Draw an image a person and count those that stand before a right answer, drawn too."""
        assert self.shots is not None
        repeats, own, of_camera = self.shots.shape[1], labels.own[query], labels.from_own_camera[query]
        random = np.random.default_rng((seed, query))
        draw = random.random((repeats, len(labels.sizes)))
        shots = labels.grouped[labels.starts + (draw * labels.sizes).astype(np.int64)]
        for with_own, right in enumerate((own[~of_camera], own)):
            if not len(right):
                continue
            values = view.at(row, right[(random.random(repeats) * len(right)).astype(np.int64)])
            found = self.shots[query, :, :, with_own]
            if workers.numba:
                from passerby.reconciler.compiled import count_shots

                count_shots(row, view, shots, values, labels.kind_of_person, labels.person[query], found)
                continue
            drawn = view.at(row, shots)
            drawn[:, labels.person[query]] = -np.inf
            for kind in range(3):
                some = drawn[:, labels.kind_of_person == kind]
                found[:, 0, kind] = (some >= values[:, None]).sum(axis=1)
                found[:, 1, kind] = (some > values[:, None]).sum(axis=1)

    @property
    def tied(self) -> bool:
        """Whether the rule for ties changes anything."""
        return bool((self.as_near != self.nearer).any())

    def numbers(self, convention: Convention) -> Numbers | None:
        """The numbers under a convention of this ranking; None where no query has a right answer."""
        if convention.shots == "single":
            return self._single(convention)
        _, of, counts, hit = self._right(convention.same_camera)
        if not len(of):
            return None
        rank = self._rank(convention.same_camera, convention.ties, convention.junk, convention.distractors)
        total = len(counts) if convention.without_match == "count" else int((counts > 0).sum())
        precision = precision_at_hits(hit, rank, convention.ap) / counts[of]
        best = rank[hit == 1]
        rank1, rank5, rank10 = (float((best <= k).sum() / total) for k in (1, 5, 10))
        return Numbers(float(precision.sum() / total), rank1, rank5, rank10)

    @lru_cache(maxsize=4)  # noqa: B019  # a profile lives for some dozen conventions
    def _right(self, same_camera: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows of the right answers that count, the query of each, how many each query has, and the hit number of each."""
        kept = np.flatnonzero(~self.own_camera) if same_camera == "drop" else np.arange(len(self.own_camera))
        of = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))[kept]
        counts = np.bincount(of, minlength=len(self.start) - 1)
        first = np.cumsum(counts) - counts
        return kept, of, counts, np.arange(len(of)) - first[of] + 1

    @lru_cache(maxsize=32)  # noqa: B019
    def _rank(self, same_camera: str, ties: str, junk: str, distractors: str) -> np.ndarray:
        kept, _, _, hit = self._right(same_camera)
        wrong = (self.as_near if ties == "pessimistic" else self.nearer)[kept]
        return hit + wrong @ _kinds(junk, distractors)

    def _single(self, convention: Convention) -> Numbers | None:
        assert self.shots is not None
        with_own = int(convention.same_camera == "keep")
        matches = np.diff(self.start) if with_own else np.add.reduceat(
            np.append(~self.own_camera, False), self.start[:-1]
        ) * (np.diff(self.start) > 0)  # fmt: skip
        valid = matches > 0
        if not valid.any():
            return None
        total = len(valid) if convention.without_match == "count" else int(valid.sum())
        rank = 1 + self.shots[valid, :, int(convention.ties == "optimistic"), with_own] @ _kinds(
            convention.junk, convention.distractors
        )
        precision = precision_at_hits(np.ones_like(rank), rank, convention.ap)
        by_draw = np.stack([precision.sum(axis=0), *((rank <= k).sum(axis=0) for k in (1, 5, 10))]) / total
        spread = by_draw.std(axis=1, ddof=1) / np.sqrt(by_draw.shape[1]) if by_draw.shape[1] > 1 else np.zeros(4)
        mean, (a, b, c, d) = by_draw.mean(axis=1).tolist(), spread.tolist()
        return Numbers(mean[0], mean[1], mean[2], mean[3], spread=(a, b, c, d))


def _kinds(junk: str, distractors: str) -> np.ndarray:
    """(3,) which kinds of wrong answers count."""
    return np.array([1, junk == "keep", distractors == "keep"], dtype=np.int32)
