"""What the JSON interface takes and gives."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from passerby.gallery import Event, Hit, Identity, Sighting, Track
from passerby.web.query import Id
from passerby.web.service import Result
from passerby.web.uploads import Upload

__all__ = [
    "Done",
    "EventShape",
    "Found",
    "GalleryFacts",
    "HitShape",
    "IdentityShape",
    "Judged",
    "MergeWith",
    "Naming",
    "NewIdentity",
    "PictureShape",
    "Problem",
    "SightingShape",
    "Split",
    "TrackShape",
    "moment",
]

Name = Annotated[str, Field(min_length=1, max_length=200)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=5000, description="numbers of stored crops")]


def moment(time: float | None) -> datetime | None:
    """A point in time as JSON has it; None where unknown, or beyond what a date can say."""
    try:
        return None if time is None else datetime.fromtimestamp(time, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


class Taken(BaseModel):
    """What is sent; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why something was not done: one line."""

    error: str


class GalleryFacts(BaseModel):
    """What a gallery holds; `same` and `different` are the thresholds of its calibration."""

    crops: int
    identities: int
    cameras: list[str]
    first: datetime | None
    last: datetime | None
    model: str
    dim: int
    same: float | None
    different: float | None
    pictures: bool = Field(description="pictures can be searched with")
    finds_people: bool = Field(description="people are found in whole pictures")


class SightingShape(BaseModel):
    """A stored crop."""

    id: int
    key: str
    camera: str
    time: datetime | None
    track: str | None
    identity: int | None
    quality: float | None
    source: str
    frame: int | None
    box: tuple[float, float, float, float] | None

    @classmethod
    def of(cls, row: Sighting) -> SightingShape:
        """From a row."""
        return cls(
            id=row.id, key=row.key, camera=row.camera, time=moment(row.time), track=row.track, identity=row.identity,
            quality=row.quality, source=row.source, frame=row.frame, box=row.box,
        )  # fmt: skip


class TrackShape(BaseModel):
    """The crops of one camera that a tracker took for one person; `best` is the one to show."""

    camera: str
    name: str
    start: datetime | None
    end: datetime | None
    crops: list[int]
    best: int

    @classmethod
    def of(cls, track: Track) -> TrackShape:
        """From a track."""
        return cls(
            camera=track.camera, name=track.name, start=moment(track.start), end=moment(track.end), crops=list(track.ids),
            best=track.best,
        )  # fmt: skip


class PersonShape(BaseModel):
    """Somebody in a picture: `query` is what to search with. Number 0 is the picture as a whole."""

    person: int
    query: str
    box: tuple[float, float, float, float]
    confidence: float | None


class PictureShape(BaseModel):
    """An uploaded picture, held in memory for a while. `chosen` is who is searched for unless somebody else is named."""

    picture: str
    width: int
    height: int
    chosen: int | None
    people: list[PersonShape]

    @classmethod
    def of(cls, held: Upload) -> PictureShape:
        """From an upload."""
        people = [
            PersonShape(person=number, query=f"{held.token}.{number}", box=each.box, confidence=each.confidence)
            for number, each in enumerate(held.people)
        ]
        return cls(picture=held.token, width=held.size[0], height=held.size[1], chosen=held.chosen, people=people)


class HitShape(BaseModel):
    """A result: `word` is what the calibration says, `note` why it cannot be the person although it looks so."""

    sighting: SightingShape
    similarity: float
    word: Literal["same", "unsure", "different"] | None
    note: str | None

    @classmethod
    def of(cls, hit: Hit) -> HitShape:
        """From a hit."""
        return cls(sighting=SightingShape.of(hit.sighting), similarity=hit.similarity, word=hit.word, note=hit.note)


class IdentityShape(BaseModel):
    """A person with a name."""

    id: int
    name: str
    crops: int
    rejected: int

    @classmethod
    def of(cls, found: Identity) -> IdentityShape:
        """From an identity."""
        return cls(id=found.id, name=found.name, crops=found.size, rejected=found.rejected)


class Found(BaseModel):
    """What a search gave, the best first; `identity` is whom a confirmation goes to, `searched_with` the stored crops."""

    hits: list[HitShape]
    identity: IdentityShape | None
    searched_with: list[int]
    took_s: float

    @classmethod
    def of(cls, result: Result) -> Found:
        """From a result."""
        return cls(
            hits=[HitShape.of(hit) for hit in result.hits],
            identity=IdentityShape.of(result.identity) if result.identity else None,
            searched_with=[row.id for row in result.rows],
            took_s=result.took_s,
        )


class EventShape(BaseModel):
    """One line of the log."""

    id: int
    time: datetime | None
    action: str
    identities: list[int]
    text: str
    undone: bool

    @classmethod
    def of(cls, event: Event) -> EventShape:
        """From an event."""
        return cls(
            id=event.id, time=moment(event.time), action=event.action, identities=list(event.identities), text=event.text,
            undone=event.undone,
        )  # fmt: skip


class Judged(Taken):
    """Crops that are, or are not, the person of a search."""

    crops: Ids
    whole_tracks: bool = True


class NewIdentity(Taken):
    """A name, and the crops that belong to it."""

    name: Name
    crops: list[Id] = Field(default_factory=list, max_length=5000)
    whole_tracks: bool = True


class Naming(Taken):
    """Another name."""

    name: Name


class MergeWith(Taken):
    """An identity that is the same person, and is gone afterwards."""

    other: Id


class Split(Taken):
    """Crops of an identity that are another person; without a name it gets one."""

    crops: Ids
    name: str = Field("", max_length=200)


class Done(BaseModel):
    """What was changed: the identity, the event in the log that `undo` takes back, and how many crops were erased."""

    identity: int | None = None
    event: int | None = None
    erased: int | None = None
