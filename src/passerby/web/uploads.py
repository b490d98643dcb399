"""Pictures that were sent to be searched with: held in memory for a while, never on a disk."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Person", "Upload", "Uploads"]


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in a picture, or the picture as a whole.

    Attributes:
        box: left, top, width, height, pixels of the picture as it is shown.
        confidence: of the detector, 0 to 1; None: nobody detected it, it is the whole picture.
        jpeg: what is cut out.
    """

    box: tuple[float, float, float, float]
    confidence: float | None
    jpeg: bytes


@dataclass(frozen=True, eq=False)
class Upload:
    """One picture.

    Attributes:
        token: names it; nobody can guess it.
        jpeg: the picture, made small enough to be shown.
        size: its width and height.
        people: number 0 is the whole picture, then those who were found.
        chosen: who is searched for unless somebody else is picked; None: it must be said.
        camera: whose statistics the model uses; None: none.
        vectors: of those who were searched for.
    """

    token: str
    jpeg: bytes
    size: tuple[int, int]
    people: tuple[Person, ...]
    chosen: int | None
    camera: str | None = None
    vectors: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return len(self.jpeg) + sum(len(person.jpeg) for person in self.people)


class Uploads:
    """The latest pictures, the one that nobody asked for for the longest time being forgotten first.

    Args:
        most: so many are held.
        most_bytes: so much memory is used.
    """

    def __init__(self, most: int = 400, most_bytes: int = 200_000_000) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._held: OrderedDict[str, Upload] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    @staticmethod
    def token() -> str:
        """A new name."""
        return secrets.token_urlsafe(16)

    def keep(self, upload: Upload) -> None:
        """Hold a picture, and let the oldest go where there are too many."""
        with self._lock:
            self._held[upload.token] = upload
            self._bytes += upload.bytes
            while len(self._held) > 1 and (len(self._held) > self._most or self._bytes > self._most_bytes):
                _, gone = self._held.popitem(last=False)
                self._bytes -= gone.bytes

    def get(self, token: str) -> Upload | None:
        """The picture of a name; None: never heard of, or forgotten."""
        with self._lock:
            found = self._held.get(token)
            if found is not None:
                self._held.move_to_end(token)
            return found
