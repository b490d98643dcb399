"""Are these two images of one person? Rates over pairs, the standard way and as MetaBIN's tables have them.

Every pair of a query and a gallery image counts once, except junk and, by the convention, pairs of one person in one camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import EmbeddingsError, UsageError
from passerby.metrics.conventions import MARKET1501, Convention
from passerby.records import DISTRACTOR_PID, JUNK_PID

__all__ = ["FALSE_POSITIVE_RATES", "Verification", "inverted_tpr_at_fpr", "roc", "tpr_at_fpr", "valid_pairs", "verify"]

FALSE_POSITIVE_RATES = (1e-4, 1e-3, 1e-2)
"""The rates of the published tables."""

_MOST_PAIRS = 300_000_000
_STEPS = 1 << 22  # of counted similarities; fp32 itself has 2^24 between 0.5 and 1
_CHUNK = 20_000_000  # pairs that are counted together


@dataclass(frozen=True)
class Verification:
    """True positive rates at given false positive rates.

    Attributes:
        rates: the false positive rates, fractions.
        tpr: true positive rate at each, a fraction; NaN ("n/a") where there is less than one negative pair for 1 / rate.
        inverted: what `inverted_tpr_at_fpr` gives at the same rates: the published form.
        positives: pairs of one person.
        negatives: pairs of two.
    """

    rates: tuple[float, ...]
    tpr: tuple[float, ...]
    inverted: tuple[float, ...]
    positives: int
    negatives: int


def tpr_at_fpr(similarities: np.ndarray, same: np.ndarray, rates: Sequence[float] = FALSE_POSITIVE_RATES) -> tuple[float, ...]:
    """Share of pairs of one person that are accepted where so many pairs of two people are.

    A pair is accepted if its similarity reaches a threshold. Between two thresholds the curve is interpolated; at a rate that a
    threshold meets exactly, the most that any such threshold accepts counts.

    Args:
        similarities: (P,) large is near.
        same: (P,) bool, whether both images show one person.
        rates: false positive rates, above 0 and at most 1.

    Returns:
        One fraction a rate; NaN where negatives * rate is below 1, because no threshold could show such a rate.

    Raises:
        UsageError: a rate out of range.
        EmbeddingsError: other shapes, NaN, no pair of one person, or none of two.

    >>> tpr_at_fpr(np.array([0.9, 0.7, 0.8, 0.1]), np.array([True, True, False, False]), (0.5, 0.1))
    (1.0, nan)
    """
    values, same = _checked(similarities, same, rates)
    return _tpr(*_curve(values, same), rates)


def inverted_tpr_at_fpr(
    distances: np.ndarray, same: np.ndarray, rates: Sequence[float] = FALSE_POSITIVE_RATES
) -> tuple[float, ...]:
    """The published form: the roles of the two kinds of pairs are exchanged, and the nearest point of the curve is taken.

    The distance is the score and *different* people are the positives: the "FPR" is the share of pairs of one person that are
    rejected, the "TPR" that of pairs of two people. With one right answer a query the "FPR" has steps of 1 / queries, so that at
    0.0001 and 0.001 the nearest point is the first one, (0, 0): hence the zeros of the published tables.

    Args:
        distances: (P,) small is near.
        same: (P,) bool.
        rates: as published, above 0 and at most 1.

    Returns:
        One fraction a rate.

    Raises:
        UsageError, EmbeddingsError: see `tpr_at_fpr`.
    """
    values, same = _checked(distances, same, rates)
    return _inverted(*_curve(values, ~same), rates)


def valid_pairs(query: Embeddings, gallery: Embeddings, convention: Convention = MARKET1501) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarity of every pair that counts, and whether it shows one person.

    Args:
        query: (Q, D).
        gallery: (G, D).
        convention: says whether junk, distractors, and pairs of one person in one camera count.

    Returns:
        (P,) float32 similarities and (P,) bool.

    Raises:
        EmbeddingsError: vectors that cannot be compared.
        UsageError: more pairs than memory should hold.
    """
    if len(query) * len(gallery) > _MOST_PAIRS:
        raise UsageError(
            f"{len(query)} queries x {len(gallery)} gallery images are more than {_MOST_PAIRS:,} pairs: take a part of them."
        )
    first, second = _unit_rows(query, gallery)
    same, valid = _kinds(query, gallery, convention)
    return (first @ second.T)[valid], same[valid]


def _unit_rows(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    if query.dim != gallery.dim:
        raise EmbeddingsError(f"queries have {query.dim} dimensions, the gallery {gallery.dim}: one model must make both.")
    return (
        (query.vectors / query.unit_lengths("query vectors")[:, None]).astype(np.float32),
        (gallery.vectors / gallery.unit_lengths("gallery vectors")[:, None]).astype(np.float32),
    )


def _kinds(query: Embeddings, gallery: Embeddings, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """(Q, G) bool each: pairs of one person, and pairs that count."""
    same = query.pids[:, None] == gallery.pids[None, :]
    valid = np.ones_like(same)
    if convention.junk == "drop":
        valid &= gallery.pids != JUNK_PID
    if convention.distractors == "drop":
        valid &= gallery.pids != DISTRACTOR_PID
    if convention.same_camera == "drop":
        valid &= ~(same & (query.camids[:, None] == gallery.camids[None, :]))
    return same, valid


def roc(similarities: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole curve: false and true positive rate at every threshold, from none accepted (0, 0) to all (1, 1).

    Args:
        similarities: (P,) large is near.
        same: (P,) bool.

    Raises:
        EmbeddingsError: see `tpr_at_fpr`.

    >>> [rates.tolist() for rates in roc(np.array([0.9, 0.7, 0.8, 0.1]), np.array([True, True, False, False]))]
    [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    values, same = _checked(similarities, same, ())
    negatives, positives = _curve(values, same)
    return negatives / negatives[-1], positives / positives[-1]


def verify(
    query: Embeddings,
    gallery: Embeddings,
    convention: Convention = MARKET1501,
    rates: Sequence[float] = FALSE_POSITIVE_RATES,
) -> Verification:
    """Both forms for all valid pairs of a query and a gallery image, by cosine similarity.

    Args:
        query: (Q, D).
        gallery: (G, D).
        convention: says whether junk, distractors, and pairs of one person in one camera count.
        rates: false positive rates.

    Where there are more pairs than memory should hold, similarities are counted in 4 million equal steps.

    Raises:
        EmbeddingsError: vectors that cannot be compared, or no pair of one kind.
        UsageError: a rate out of range.
    """
    if len(query) * len(gallery) > _MOST_PAIRS:
        _check_rates(rates)
        same, others = _counted(query, gallery, convention)
        _check_both(int(same.sum()), int(same.sum() + others.sum()))
        return _of_counts(same, others, tuple(rates))
    similarities, pairs = valid_pairs(query, gallery, convention)
    return Verification(
        rates=tuple(rates),
        tpr=tpr_at_fpr(similarities, pairs, rates),
        inverted=inverted_tpr_at_fpr(1 - similarities, pairs, rates),
        positives=int(pairs.sum()),
        negatives=int((~pairs).sum()),
    )


def _counted(query: Embeddings, gallery: Embeddings, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that count by step of similarity, from -1 to 1: those of one person, and those of two."""
    first, second = _unit_rows(query, gallery)
    same_counts, other_counts = np.zeros(_STEPS + 1, dtype=np.int64), np.zeros(_STEPS + 1, dtype=np.int64)
    rows = max(1, _CHUNK // max(1, len(gallery)))
    for start in range(0, len(query), rows):
        part = slice(start, start + rows)
        same, valid = _kinds(query[part], gallery, convention)
        steps = np.clip((first[part] @ second.T + 1) * (_STEPS / 2), 0, _STEPS).astype(np.int32)
        same_counts += np.bincount(steps[valid & same], minlength=_STEPS + 1)
        other_counts += np.bincount(steps[valid & ~same], minlength=_STEPS + 1)
    return same_counts, other_counts


def _of_counts(same: np.ndarray, others: np.ndarray, rates: tuple[float, ...]) -> Verification:
    met = np.flatnonzero(same + others)
    rejected_same, rejected_others = (np.concatenate([[0], np.cumsum(counts[met])]) for counts in (same, others))
    accepted_same, accepted_others = (np.concatenate([[0], np.cumsum(counts[met[::-1]])]) for counts in (same, others))
    return Verification(
        rates,
        tpr=_tpr(accepted_others, accepted_same, rates),
        inverted=_inverted(rejected_same, rejected_others, rates),
        positives=int(same.sum()),
        negatives=int(others.sum()),
    )


def _tpr(negatives: np.ndarray, positives: np.ndarray, rates: Sequence[float]) -> tuple[float, ...]:
    """See `tpr_at_fpr`; counts accepted at every threshold, from none to all."""
    found = []
    for rate in rates:
        wanted = rate * int(negatives[-1])
        if wanted < 1 - 1e-9:
            found.append(float("nan"))
            continue
        at = int(np.searchsorted(negatives, wanted + 1e-9, side="right")) - 1
        accepted = float(positives[at])
        if at + 1 < len(negatives):
            step = negatives[at + 1] - negatives[at]
            share = max(0.0, wanted - negatives[at]) / step
            accepted += share * float(positives[at + 1] - positives[at]) if share > 1e-9 else 0.0
        found.append(accepted / int(positives[-1]))
    return tuple(found)


def _inverted(rejected_same: np.ndarray, rejected_others: np.ndarray, rates: Sequence[float]) -> tuple[float, ...]:
    """See `inverted_tpr_at_fpr`; counts rejected at every threshold, from none to all."""
    corner = np.ones(len(rejected_same), dtype=bool)  # points on a straight line between two others are left out
    corner[2:-1] = (np.diff(rejected_same[1:], 2) != 0) | (np.diff(rejected_others[1:], 2) != 0)
    false_rate = rejected_same[corner] / int(rejected_same[-1])
    true_rate = rejected_others[corner] / int(rejected_others[-1])
    return tuple(float(true_rate[np.argmin(np.abs(false_rate - rate))]) for rate in rates)


def _check_rates(rates: Sequence[float]) -> None:
    for rate in rates:
        if not 0 < rate <= 1:
            raise UsageError(f"a false positive rate is {rate}: it is a fraction, above 0 and at most 1.")


def _check_both(same: int, pairs: int) -> None:
    if same in (0, pairs):
        raise EmbeddingsError(f"{same} of {pairs} pairs show one person: both kinds are needed.")


def _checked(values: np.ndarray, same: np.ndarray, rates: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    _check_rates(rates)
    values, same = np.asarray(values), np.asarray(same, dtype=bool)
    if values.ndim != 1 or values.shape != same.shape:
        raise EmbeddingsError(f"pairs come as {values.shape} values and {same.shape} answers: give two rows of equal length.")
    if np.isnan(values).any():
        raise EmbeddingsError("the similarity of some pairs is NaN: the vectors are damaged.")
    _check_both(int(same.sum()), len(same))
    return values, same


def _curve(values: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of negatives and of positives at or above every threshold, from none on; equal values come together."""
    order = np.argsort(-values, kind="stable")
    sorted_values, hits = values[order], positive[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_values)), len(values) - 1)
    positives = np.concatenate([[0], np.cumsum(hits)[ends]])
    negatives = np.concatenate([[0], np.cumsum(~hits)[ends]])
    return negatives, positives
