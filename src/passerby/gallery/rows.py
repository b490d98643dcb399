"""What stands in a gallery, and what a search gives back. Plain frozen values; nothing here touches a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

import numpy as np

from passerby.embeddings import rounded_form
from passerby.errors import GalleryError, UsageError

__all__ = ["Event", "Hit", "Identity", "Model", "NewSighting", "Sighting", "Thresholds", "Track", "Word", "clock"]

Word: TypeAlias = Literal["same", "unsure", "different"]
Box: TypeAlias = tuple[float, float, float, float]


def clock(time: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Seconds since 1970 as a point in time for people, UTC; a dash where unknown, the seconds where no calendar reaches."""
    if time is None:
        return "-"
    try:
        return datetime.fromtimestamp(time, timezone.utc).strftime(form)
    except (OverflowError, ValueError, OSError):
        return f"{time:.0f} s"


@dataclass(frozen=True)
class Model:
    """What made the vectors of a gallery. Vectors of two models cannot be compared.

    Attributes:
        fingerprint: names weights, camera statistics, embedding rule and precision; equal means comparable.
        name: for people: recipe, network and the artefact's short name.
        dim: D, length of a vector.
    """

    fingerprint: str
    name: str
    dim: int

    @classmethod
    def of(cls, embedder: Any, *, precision: str | None = None) -> Model:
        """The model behind an `Embedder`, as `artefact.load` gives it.

        Args:
            embedder: makes the vectors.
            precision: of its forward pass, if not its own; an exported file in int8 or fp16 has only its own.

        Raises:
            GalleryError: an embedder that does not know which artefact it is.
        """
        facts = embedder.facts
        if not facts.get("artefact"):
            raise GalleryError(
                "this embedder does not say which artefact it is (facts['artefact']): load it with passerby.load, or open the "
                "gallery with a Model of your own."
            )
        rule = {key: getattr(embedder.rule, key) for key in sorted(embedder.rule.__dataclass_fields__)}
        form = rounded_form(facts)  # int8 and fp16 give other vectors
        number = form or precision or embedder.precision
        how = json.dumps([rule, number, facts.get("camera_statistics", "")], sort_keys=True, default=list)
        named = " ".join(str(facts[key]) for key in ("recipe", "backbone") if facts.get(key))
        return cls(
            fingerprint=f"{facts['artefact']}-{hashlib.sha256(how.encode()).hexdigest()[:8]}",
            name=" ".join(filter(None, (named, str(facts["artefact"]), form))),
            dim=embedder.dim,
        )


@dataclass(frozen=True, eq=False)
class NewSighting:
    """One crop of one person, to be added.

    Attributes:
        key: names it for ever: adding a key that the gallery holds already changes nothing.
        vector: (D,) of the gallery's model; brought to length 1 when it is added.
        camera: name.
        time: seconds since 1970 UTC; None where unknown.
        track: name of the track inside its camera; None: the crop stands alone.
        identity: number of an identity of this gallery; None: unknown.
        quality: 0 to 1, the larger the better; None: not judged.
        source: the file that it comes from.
        frame: frame number in `source`, from 0.
        box: (left, top, width, height) in pixels of the frame.
        thumbnail: the crop as JPEG; None: none is kept.
    """

    key: str
    vector: np.ndarray
    camera: str
    time: float | None = None
    track: str | None = None
    identity: int | None = None
    quality: float | None = None
    source: str = ""
    frame: int | None = None
    box: Box | None = None
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Sighting:
    """A stored row, without its vector and thumbnail (`Gallery.vectors`, `Gallery.thumbnail`). `id` is never given twice."""

    id: int
    key: str
    camera: str
    time: float | None
    track: str | None
    identity: int | None
    quality: float | None
    source: str
    frame: int | None
    box: Box | None


@dataclass(frozen=True)
class Hit:
    """One result of a search.

    Attributes:
        sighting: the row; with grouping, the most similar row of its track.
        similarity: cosine, -1 to 1; with several vectors of one person, its mean over them.
        word: what the calibration says of this similarity; None where the gallery has no thresholds.
        note: why this cannot be the person although it may look so: two places at one time, or a way that nobody walks so
            fast; None where nothing is known against it.
    """

    sighting: Sighting
    similarity: float
    word: Word | None = None
    note: str | None = None


@dataclass(frozen=True)
class Track:
    """One track: the rows of one camera that a tracker took for one person.

    Attributes:
        camera, name: what it is called.
        start, end: seconds since 1970 UTC, of its first and last row with a time; None where there is none.
        ids: its rows, by time.
        best: the row with the best quality, else the first.
    """

    camera: str
    name: str
    start: float | None
    end: float | None
    ids: tuple[int, ...]
    best: int


@dataclass(frozen=True)
class Identity:
    """A person with a name. `size` counts the sightings, `rejected` those that were said not to be this person."""

    id: int
    name: str
    size: int
    rejected: int


@dataclass(frozen=True)
class Event:
    """One line of the audit log.

    Attributes:
        id: rising.
        time: seconds since 1970 UTC.
        action: ``create``, ``assign``, ``reject``, ``rename``, ``merge``, ``split``, ``link``, ``undo``, ``erase``, ``retain``,
            ``re-embed``.
        identities: numbers of those concerned.
        text: what happened, in words. Of an erased identity no name remains.
        undone: it was taken back.
    """

    id: int
    time: float
    action: str
    identities: tuple[int, ...]
    text: str
    undone: bool


@dataclass(frozen=True)
class Thresholds:
    """From which similarity on two crops are taken for one person, and below which for two; see `metrics.Calibration`.

    Raises:
        UsageError: values out of order or range.
    """

    same: float
    different: float
    far: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not -1 <= self.different <= self.same <= 1:
            raise UsageError(
                f"thresholds same {self.same} and different {self.different}: they are cosines, -1 to 1, and different is not "
                "above same."
            )

    @classmethod
    def of(cls, calibration: Any) -> Thresholds:
        """The thresholds of a `metrics.calibration.Calibration`."""
        return cls(calibration.threshold, calibration.reject_threshold, calibration.far)

    @property
    def middle(self) -> float:
        """Between the two: from which mean similarity on `link` puts tracks together, where nothing else is asked for."""
        return (self.same + self.different) / 2

    def word(self, similarity: float) -> Word:
        """What a similarity is taken for."""
        if similarity >= self.same:
            return "same"
        return "different" if similarity < self.different else "unsure"
