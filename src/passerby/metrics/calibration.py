"""At which similarity two images show one person, and how often that is wrong: thresholds with intervals over people.

Pairs of one person are alike, and one person who looks like another makes many false accepts at once. So intervals draw
people, with all their images, and never pairs: intervals over pairs would be several times too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import UsageError
from passerby.metrics.calibration_pairs import BINS, EDGES, Pairs, similarities_of
from passerby.metrics.identification import identification_rate
from passerby.metrics.intervals import MOST_DRAWS, Interval

__all__ = ["Calibration", "CameraThreshold", "Drift", "calibrate", "drift"]

_FEWEST_ACCEPTS = 10  # false accepts that a threshold must rest on


@dataclass(frozen=True)
class CameraThreshold:
    """What one pair of cameras needs for the same false-accept rate."""

    camids: tuple[int, int]
    threshold: float
    frr: float
    num_genuine: int
    num_impostor: int


@dataclass(frozen=True)
class Calibration:
    """What a set of people says about similarities.

    Attributes:
        far: the false-accept rate that was asked for: share of pairs of different people at or above the threshold.
        threshold: cosine similarity from which on a pair is taken for one person.
        threshold_interval: where the threshold lies for other people of this kind, as many.
        far_interval: where the false-accept rate at the threshold lies for people that were not seen, `people_ahead` of them.
        frr: false-reject rate at the threshold: share of pairs of one person below it.
        frr_interval: its interval, for as many people as were seen.
        reject_threshold: below it a pair is taken for different people, at the cost of `reject_frr`; never above `threshold`.
        reject_frr: share of pairs of one person below `reject_threshold`.
        level: of all intervals.
        people_ahead: of `far_interval`.
        similarity, far_curve, frr_curve: (K,) false-accept and false-reject rate at rising similarities.
        identification: open-set identification rate at the false-accept rate; see `identification_rate`.
        cameras: thresholds by camera pair, where there are pairs enough.
        num_people, num_images, num_genuine, num_impostor: what it rests on.
        pairs: "cross-camera" or "all".
        notes: what must be said beside every number.
    """

    far: float
    threshold: float
    threshold_interval: Interval
    far_interval: Interval
    frr: float
    frr_interval: Interval
    reject_threshold: float
    reject_frr: float
    level: float
    people_ahead: int
    similarity: tuple[float, ...]
    far_curve: tuple[float, ...]
    frr_curve: tuple[float, ...]
    identification: float
    cameras: tuple[CameraThreshold, ...]
    num_people: int
    num_images: int
    num_genuine: int
    num_impostor: int
    pairs: str
    notes: tuple[str, ...]

    def rates(self, similarity: float) -> tuple[float, float]:
        """False-accept and false-reject rate of a threshold at `similarity`."""
        far = np.interp(similarity, self.similarity, self.far_curve)
        return float(far), float(np.interp(similarity, self.similarity, self.frr_curve))

    def verdict(self, similarity: float) -> Literal["same", "different", "unsure"]:
        """What a pair of this similarity is taken for."""
        if similarity >= self.threshold:
            return "same"
        return "different" if similarity < self.reject_threshold else "unsure"


def calibrate(
    images: Embeddings,
    far: float = 0.001,
    *,
    reject_frr: float = 0.01,
    pairs: Literal["cross-camera", "all"] = "cross-camera",
    people_ahead: int | None = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Find the threshold for a false-accept rate, and say how far it can be trusted.

    Args:
        images: labelled images; those without a person are left out.
        far: false-accept rate of pairs, 0 to 1.
        reject_frr: share of pairs of one person that may be called different.
        pairs: which pairs are meant.
        people_ahead: how many people the calibrated system will meet, for `far_interval`; left out, as many as here. Few people
            vary more than many.
        samples: bootstrap draws of people.
        level: of the intervals.
        seed: of the draws.

    Raises:
        UsageError: arguments out of range, or a rate that so few pairs cannot show.
        EmbeddingsError: see `similarities_of`.

    Source:
        Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap", CVIU 2004: draw people,
        not pairs. Here both people of a pair are drawn, as for a U-statistic.
    """
    for name, value in (("far", far), ("reject_frr", reject_frr), ("level", level)):
        if not 0 < value < 1:
            raise UsageError(f"calibration with {name} {value}: a share between 0 and 1 is needed.")
    if not 1 <= samples <= MOST_DRAWS:
        raise UsageError(f"calibration with {samples} draws: 1 to {MOST_DRAWS:,} can be made.")
    if people_ahead is not None and people_ahead < 2:
        raise UsageError(f"calibration for {people_ahead} people to be met: 2 are the least.")
    measured = similarities_of(images, pairs=pairs, far=far)
    accepted = int(far * measured.num_impostor)
    if accepted < _FEWEST_ACCEPTS:
        least = _FEWEST_ACCEPTS / measured.num_impostor
        raise UsageError(
            f"a false-accept rate of {far:g} is {far * measured.num_impostor:.1f} of {measured.num_impostor} pairs of different "
            f"people: too few to see. Ask for {least:.2g} or more, or bring more people."
        )
    P = len(measured.people)
    ahead = people_ahead or P
    threshold = float(measured.tail[accepted - 1])
    random = np.random.default_rng(seed)
    ends = [(1 - level) / 2, (1 + level) / 2]
    drawn_far, drawn_threshold, drawn_frr = _drawn(measured, threshold, far, P, samples, random)
    met, _, _ = _drawn(measured, threshold, far, ahead, samples, random)
    floor = 0.5 / measured.num_impostor
    ratio = np.maximum(met, floor)[random.permutation(samples)] / np.maximum(drawn_far, floor)
    similarity = np.append(EDGES[::_STEP][:-1], 1.0)
    far_curve, frr_curve = _curves(measured)
    frr = float(measured.genuine[:, : _bin(threshold)].sum() / measured.num_genuine)
    reject = min(threshold, float(np.interp(reject_frr, frr_curve, similarity)))
    return Calibration(
        far=far,
        threshold=threshold,
        threshold_interval=Interval(*np.quantile(drawn_threshold, ends).tolist()),
        far_interval=Interval(*np.minimum(far * np.quantile(ratio, ends), 1).tolist()),  # a few people allow of any rate
        frr=frr,
        frr_interval=Interval(*np.nanquantile(drawn_frr, ends).tolist()),
        reject_threshold=reject,
        reject_frr=float(np.interp(reject, similarity, frr_curve)),
        level=level,
        people_ahead=ahead,
        similarity=tuple(similarity.tolist()),
        far_curve=tuple(far_curve.tolist()),
        frr_curve=tuple(frr_curve.tolist()),
        identification=identification_rate(images, far, seed=seed),
        cameras=_by_cameras(measured, far),
        num_people=P,
        num_images=int(measured.images.sum()),
        num_genuine=measured.num_genuine,
        num_impostor=measured.num_impostor,
        pairs=pairs,
        notes=tuple(dict.fromkeys((*images.notes, *measured.notes))),
    )


_STEP = 40  # bins between the points of a stored curve


def _bin(similarity: float) -> int:
    return int(np.clip((similarity + 1) * (BINS / 2), 0, BINS - 1))


def _curves(measured: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Rates at every `_STEP`-th edge, and at 1."""
    below_genuine = np.concatenate([[0], np.cumsum(measured.genuine.sum(axis=0))]) / measured.num_genuine
    below_impostor = np.concatenate([[0], np.cumsum(measured.impostor)]) / measured.num_impostor
    return 1 - below_impostor[::_STEP], below_genuine[::_STEP]


def _drawn(
    measured: Pairs, threshold: float, far: float, people: int, samples: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(samples,) false-accept rate at `threshold`, threshold for `far`, and false-reject rate of redrawn sets of `people`.

    Two copies of one person in a draw make no pair of different people: the sums leave the diagonal out.
    """
    P = len(measured.people)
    a, b = measured.tail_people.T
    above = int(np.searchsorted(-measured.tail, -threshold, side="right"))
    own = measured.genuine.sum(axis=1)
    low = measured.genuine[:, : _bin(threshold)].sum(axis=1)
    between = measured.between.astype(np.float64)
    rates, thresholds, rejects = np.empty((3, samples))
    for sample in range(samples):
        times = np.bincount(random.integers(0, P, people), minlength=P).astype(np.float64)
        weight = times[a] * times[b]
        total = times @ between @ times / 2
        rates[sample] = weight[:above].sum() / total if total else 0.0
        place = int(np.searchsorted(np.cumsum(weight), far * total))
        thresholds[sample] = measured.tail[min(place, len(measured.tail) - 1)]
        pairs = times @ own
        rejects[sample] = times @ low / pairs if pairs else np.nan
    return rates, thresholds, rejects


def _by_cameras(measured: Pairs, far: float) -> tuple[CameraThreshold, ...]:
    found = []
    for i, one in enumerate(measured.cameras.tolist()):
        for j, two in enumerate(measured.cameras.tolist()[i:], i):
            impostor, genuine = measured.impostor_cameras[i, j], measured.genuine_cameras[i, j]
            share = 2 if i == j else 1  # a pair from one camera stands twice in its own cell
            if far * impostor.sum() / share < _FEWEST_ACCEPTS:
                continue
            above = np.cumsum(impostor[::-1])[::-1]
            place = int(np.searchsorted(-above, -far * impostor.sum()))  # the first edge above which are no more than that
            rejected = float(genuine[:place].sum() / genuine.sum()) if genuine.any() else float("nan")
            sizes = int(genuine.sum() // share), int(impostor.sum() // share)
            found.append(CameraThreshold((one, two), float(EDGES[place]), rejected, *sizes))
    return tuple(found)


@dataclass(frozen=True)
class Drift:
    """A threshold in another place.

    Attributes:
        far: false-accept rate there.
        far_interval: over the people there.
        frr: false-reject rate there.
        inside: whether `far` lies in the interval that the calibration stated.
        own_threshold: what a calibration there would have given.
    """

    far: float
    far_interval: Interval
    frr: float
    inside: bool
    own_threshold: float


def drift(calibration: Calibration, images: Embeddings, *, samples: int = 1000, seed: int = 0) -> Drift:
    """Apply a calibrated threshold to other labelled images.

    Raises:
        EmbeddingsError: see `similarities_of`.
    """
    pairs: Literal["cross-camera", "all"] = "cross-camera" if calibration.pairs == "cross-camera" else "all"
    reach = calibration.far
    measured = similarities_of(images, pairs=pairs, far=reach)
    while (above := int(np.searchsorted(-measured.tail, -calibration.threshold, side="right"))) == len(
        measured.tail
    ) and reach < 1:
        reach *= 8  # far more are accepted here than where it was calibrated: a longer tail is needed
        measured = similarities_of(images, pairs=pairs, far=reach)
    far = above / measured.num_impostor
    random = np.random.default_rng(seed)
    rates, _, _ = _drawn(measured, calibration.threshold, calibration.far, len(measured.people), samples, random)
    ends = np.quantile(rates, [(1 - calibration.level) / 2, (1 + calibration.level) / 2])
    own = int(calibration.far * measured.num_impostor)
    frr = float(measured.genuine[:, : _bin(calibration.threshold)].sum() / measured.num_genuine)
    inside = calibration.far_interval.low <= far <= calibration.far_interval.high
    return Drift(far, Interval(*ends.tolist()), frr, bool(inside), float(measured.tail[max(own - 1, 0)]))
