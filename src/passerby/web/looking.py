"""Pictures that visitors send: take them in, find people in them, and make vectors of those who are searched for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from passerby.errors import UsageError
from passerby.web.holdings import NotThereError
from passerby.web.pictures import Limits, as_jpeg, read_upload
from passerby.web.uploads import Person, Upload, Uploads

__all__ = ["Looking", "Picked"]

_SHOWN_PX = 1600
_CROP_PX = 640
_MOST_PEOPLE = 40
_LEAST_HEIGHT_PX = 24
_CONFIDENT = 0.3  # as in films
_ALONE = 0.6  # of the picture: one person who fills so much of it is a crop already


@dataclass(frozen=True)
class Picked:
    """Somebody in an uploaded picture who is searched for."""

    upload: Upload
    person: int

    @property
    def name(self) -> str:
        """As a `Query` names it."""
        return f"{self.upload.token}.{self.person}"


@dataclass
class Looking:
    """What is needed to search by pictures. Safe to be called by threads.

    Attributes:
        embedder: (pictures, camera) -> (N, D); None: pictures cannot be searched with.
        detector: (H, W, 3) uint8 -> boxes with ``corners`` and ``confidences``; None: every picture is taken as a crop.
        cameras: of the model's camera statistics, one of which must be named with a picture; empty: none are needed.
        limits: of uploads.
        uploads: those that are held.
    """

    embedder: Callable[..., np.ndarray] | None = None
    detector: Callable[[np.ndarray], Any] | None = None
    cameras: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    uploads: Uploads = field(default_factory=Uploads)

    def __post_init__(self) -> None:
        self._model = threading.Lock()  # a network computes in all cores, and two decoded pictures may be too many

    def warm(self) -> None:
        """Look once, so that the first visitor does not wait for code to be loaded."""
        picture = Image.new("RGB", (64, 128))
        if self.detector is not None:
            self.detector(np.asarray(picture))
        if self.embedder is not None:
            self._embedded(picture, self.cameras[0] if self.cameras else None)

    def take(self, content: bytes, kind: str = "auto", camera: str | None = None) -> Upload:
        """Take an uploaded picture in: decode it, find people, choose whom to search for where that is clear.

        Args:
            content: of the file.
            kind: ``crop``: it shows one person and nothing else; ``picture``: people are to be found in it; ``auto``: see.
            camera: see `Looking.cameras`.

        Raises:
            ImageError: see `pictures.read_upload`.
            UsageError: searching by pictures is off; another kind; a camera where none is needed, or none where one is.
        """
        self._check_look(kind, camera)
        with self._model:
            picture = read_upload(content, self.limits)
            shown = picture if max(picture.size) <= _SHOWN_PX else picture.copy()
            shown.thumbnail((_SHOWN_PX, _SHOWN_PX))
            people = [] if kind == "crop" else self._people(picture, shown.width / picture.width)
            chosen = _chosen(kind, people, shown.size)
            whole = Person((0.0, 0.0, float(shown.width), float(shown.height)), None, as_jpeg(shown, _CROP_PX, 95))
            upload = Upload(Uploads.token(), as_jpeg(shown, _SHOWN_PX), shown.size, (whole, *people), chosen, camera)
            if chosen == 0:
                upload.vectors[0] = self._embedded(picture, camera)
        self.uploads.keep(upload)
        return upload

    def _check_look(self, kind: str, camera: str | None) -> None:
        if self.embedder is None:
            raise UsageError("searching by pictures is off: passerby serve was not given the model of this gallery (--model).")
        if kind not in ("auto", "crop", "picture"):
            raise UsageError('kind: say "auto", "crop" (one person and nothing else) or "picture" (people are found in it).')
        if kind == "picture" and self.detector is None:
            raise UsageError('nobody can be found in a picture here: pip install "passerby[video]", or send a crop.')
        if self.cameras and camera not in self.cameras:
            raise UsageError(f"camera: the model needs to know whose picture it is, one of {', '.join(self.cameras[:12])}.")
        if camera is not None and not self.cameras:
            raise UsageError("camera: the model of this gallery has no statistics of cameras, so none can be named.")

    def _people(self, picture: Image.Image, scale: float) -> list[Person]:
        if self.detector is None:
            return []
        found = self.detector(np.asarray(picture))
        found = found[~found.doubtful()]  # parts of bodies are nothing to choose from
        order = np.argsort(-found.confidences, kind="stable")
        people = []
        for corners, sure in zip(found.corners[order].astype(float), found.confidences[order].astype(float), strict=True):
            left, top, right, bottom = (round(side) for side in corners)
            if sure < _CONFIDENT or bottom - top < _LEAST_HEIGHT_PX or right - left < self.limits.least_px:
                continue
            crop = picture.crop((left, top, right, bottom))
            box = (left * scale, top * scale, (right - left) * scale, (bottom - top) * scale)
            people.append(Person(box, sure, as_jpeg(crop, _CROP_PX, 95)))
        return people[:_MOST_PEOPLE]

    def _embedded(self, picture: Image.Image, camera: str | None) -> np.ndarray:
        assert self.embedder is not None
        return np.asarray(self.embedder([picture], camera), np.float32)[0]

    def upload(self, token: str) -> Upload:
        """A picture that was uploaded.

        Raises:
            NotThereError: it was forgotten.
        """
        found = self.uploads.get(token)
        if found is None:
            raise NotThereError(
                "that picture is not held any more: pictures are kept in memory only, and not for long. Send it again."
            )
        return found

    def picked(self, name: str) -> Picked:
        """Somebody in an uploaded picture, by the name that a `Query` has.

        Raises:
            NotThereError: no such picture or person.
            UsageError: nobody is picked.
        """
        token, _, number = name.partition(".")
        upload = self.upload(token)
        person = int(number) if number else upload.chosen
        if person is None:
            raise UsageError(f"{len(upload.people) - 1} people are in that picture: pick one.")
        if person >= len(upload.people):
            raise NotThereError(f"person {person}: that picture has {len(upload.people) - 1}.")
        return Picked(upload, person)

    def vector(self, picked: Picked) -> np.ndarray:
        """(D,) vector of somebody in an uploaded picture, made when it is asked for first."""
        from passerby.datasets import decode_image

        held = picked.upload.vectors
        if picked.person not in held:
            with self._model:
                if picked.person not in held:
                    crop = decode_image(picked.upload.people[picked.person].jpeg, "uploaded")
                    held[picked.person] = self._embedded(crop, picked.upload.camera)
        return held[picked.person]


def _chosen(kind: str, people: Sequence[Person], size: tuple[int, int]) -> int | None:
    if kind == "crop" or (kind == "auto" and not people):
        return 0
    if len(people) != 1:
        return None
    if kind == "auto" and people[0].box[2] * people[0].box[3] >= _ALONE * size[0] * size[1]:
        return 0
    return 1
