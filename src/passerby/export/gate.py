"""Is an exported network still the same? Its vectors, its mAP and its threshold against those of the network in torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from passerby.embeddings import Embeddings
from passerby.errors import ArtefactError, EmbeddingsError, UsageError
from passerby.metrics import evaluate
from passerby.metrics.calibration_pairs import similarities_of

__all__ = ["FAR", "Budget", "Comparison", "compare_forms"]

FAR = 0.01
"""False-accept rate at which thresholds are compared: a probe set of a few hundred images shows it."""

_DIFFERENCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": None}
_MAP_DRIFT = {"fp32": 0.002, "fp16": 0.002, "int8": 0.01}
_FAR_DRIFT = {"fp32": 0.0005, "fp16": 0.002, "int8": 0.005}


@dataclass(frozen=True)
class Budget:
    """How far an exported network may be from the one that it was made from.

    Attributes:
        difference: greatest difference of a number in two unit vectors of one image; None: any.
        map_drift: of mAP, as a fraction, up or down.
        far_drift: of the false-accept rate (`FAR` in torch) at torch's threshold, as a fraction, up or down.

    Raises:
        UsageError: a number below 0.
    """

    difference: float | None
    map_drift: float
    far_drift: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value >= 0:
                raise UsageError(f"the budget for {name.replace('_', ' ')} is {value}: it is 0 or more.")

    @classmethod
    def usual(
        cls, precision: str, *, difference: float | None = None, map_drift: float | None = None, far_drift: float | None = None
    ) -> Budget:
        """The usual budget of a precision, with other numbers where some are given."""
        return cls(
            _DIFFERENCE[precision] if difference is None else difference,
            _MAP_DRIFT[precision] if map_drift is None else map_drift,
            _FAR_DRIFT[precision] if far_drift is None else far_drift,
        )


@dataclass(frozen=True)
class Comparison:
    """An exported network beside the one that it was made from, on one probe set.

    Attributes:
        probe: on what.
        images, queries: how many.
        difference: greatest difference of a number in two unit vectors of one image.
        cosine: least cosine of the two vectors of one image.
        map_torch, map_exported: mAP of both, fractions; None where the probe has no queries with a right answer.
        threshold: cosine similarity at which torch's false-accept rate is `FAR`; None where there are too few pairs.
        threshold_exported: the same of the exported network.
        far_exported: false-accept rate of the exported network at `threshold`.
    """

    probe: str
    images: int
    queries: int
    difference: float
    cosine: float
    map_torch: float | None = None
    map_exported: float | None = None
    threshold: float | None = None
    threshold_exported: float | None = None
    far_exported: float | None = None

    @property
    def map_drift(self) -> float | None:
        """mAP of the exported network less that of torch's."""
        return None if self.map_torch is None or self.map_exported is None else self.map_exported - self.map_torch

    @property
    def far_drift(self) -> float | None:
        """False-accept rate at torch's threshold, less `FAR`."""
        return None if self.far_exported is None else self.far_exported - FAR

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "map_drift": self.map_drift, "far_drift": self.far_drift}

    def check(self, budget: Budget, name: str) -> None:
        """Refuse a network that drifts too far.

        Args:
            budget: what is allowed.
            name: of the exported network, for the message.

        Raises:
            ArtefactError: the first number that is above its budget.
        """
        lines = (
            ("a number of a unit vector differs by", self.difference, budget.difference, "--max-difference"),
            ("mAP drifts by", self.map_drift, budget.map_drift, "--max-map-drift"),
            ("the false-accept rate at the old threshold drifts by", self.far_drift, budget.far_drift, "--max-far-drift"),
        )
        for what, found, allowed, flag in lines:
            if found is not None and allowed is not None and not abs(found) <= allowed:
                raise ArtefactError(
                    f"{name} is not faithful on {self.probe}: {what} {found:.3g}, {allowed:g} is allowed. Nothing was written; "
                    "take a higher precision, or for int8 other numbers of --calibration images or --exact-layers, or allow more "
                    f"with {flag}."
                )


def compare_forms(probe: str, old: tuple[Embeddings, Embeddings], new: tuple[Embeddings, Embeddings]) -> Comparison:
    """Compare two forms of one network on the same images.

    Args:
        probe: name of the images.
        old: query and gallery as torch embeds them.
        new: the same by the exported network.
    """
    before, after = (np.concatenate([_unit(each.vectors) for each in sets]) for sets in (old, new))
    difference = float(np.abs(before - after).max()) if np.isfinite(after).all() else float("inf")
    found = Comparison(
        probe, len(before), len(old[0]), difference, float(np.einsum("nd,nd->n", before, after).min())
    )  # fmt: skip
    if not np.isfinite(after).all():
        return found
    numbers: dict[str, Any] = {}
    if _answerable(*old):
        numbers["map_torch"], numbers["map_exported"] = (float(evaluate(*sets).map) for sets in (old, new))
    numbers |= _thresholds(_together(old), _together(new))
    return Comparison(**{**asdict(found), **numbers})


def _answerable(query: Embeddings, gallery: Embeddings) -> bool:
    """Whether some query has a right answer from another camera."""
    seen = set(zip(gallery.pids.tolist(), gallery.camids.tolist(), strict=True))
    people = {pid for pid, _ in seen if pid > 0}
    return any(
        pid in people and any(other != camid for p, other in seen if p == pid)
        for pid, camid in set(zip(query.pids.tolist(), query.camids.tolist(), strict=True))
    )


def _together(sets: tuple[Embeddings, Embeddings]) -> Embeddings:
    """Query and gallery, each image once."""
    query, gallery = sets
    known = set(gallery.names.tolist())
    fresh = np.array([name not in known for name in query.names], dtype=bool)

    def both(column: str) -> np.ndarray:
        return np.concatenate([getattr(query, column)[fresh], getattr(gallery, column)])

    return Embeddings(_unit(both("vectors")), both("pids"), both("camids"), both("names"), dict(gallery.meta))


def _thresholds(old: Embeddings, new: Embeddings) -> dict[str, float]:
    """Thresholds of both at `FAR`, and what becomes of the old one; empty where there are too few pairs."""
    try:
        tails = [similarities_of(each, far=3 * FAR) for each in (old, new)]
    except EmbeddingsError:  # too few people, or one camera
        return {}
    accepted = int(FAR * tails[0].num_impostor)
    if accepted < 1:
        return {}
    threshold, other = (float(each.tail[accepted - 1]) for each in tails)
    above = int((tails[1].tail >= threshold).sum())
    exact = int((tails[0].tail >= threshold).sum())
    return {
        "threshold": threshold,
        "threshold_exported": other,
        "far_exported": FAR + (above - exact) / tails[0].num_impostor,
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
