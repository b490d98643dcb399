"""What is searched for, and among what: one value that the address of a page and the JSON interface share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import ImmutableMultiDict

from passerby.errors import UsageError

__all__ = ["LARGEST_ID", "Id", "Query", "camera_name", "one_line"]

LARGEST_ID = 2**63 - 1
Id = Annotated[int, Field(ge=1, le=LARGEST_ID)]
camera_name = Annotated[str, Field(min_length=1, max_length=300)]


class Query(BaseModel):
    """A search.

    The person is whoever is shown by all of `picture`, `like` and the crops of `identity` together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    picture: tuple[Annotated[str, Field(pattern=r"^[\w-]{1,64}(\.\d{1,3})?$")], ...] = Field(
        (), max_length=20, description="uploaded pictures as NAME or NAME.PERSON, person 0 being the whole picture"
    )
    like: tuple[Id, ...] = Field((), max_length=200, description="stored crops of the person")
    identity: Id | None = Field(None, description="search with all crops of this identity; what was rejected for it is left out")
    hidden: tuple[Id, ...] = Field((), max_length=200, description="crops that are not the person: left out with their tracks")
    camera: tuple[camera_name, ...] = Field((), max_length=500, description="only these cameras")
    not_camera: tuple[camera_name, ...] = Field((), max_length=500, description="none of these cameras")
    since: datetime | None = Field(None, description="from then on; UTC unless it says otherwise")
    until: datetime | None = Field(None, description="before then")
    group: Literal["track", "row"] = Field("track", description="one crop a track, or every crop")
    rerank: bool = Field(False, description="order the nearest candidates by their mutual neighbours (k-reciprocal)")
    k: int = Field(24, ge=1, le=500, description="how many hits")

    @field_validator("since", "until")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        if not 1900 <= moment.year <= 9000:
            raise ValueError("a year from 1900 to 9000 is needed")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)

    @property
    def empty(self) -> bool:
        """Nobody is searched for."""
        return not (self.picture or self.like or self.identity is not None)

    @property
    def filtered(self) -> bool:
        """Some rows cannot be found."""
        return bool(self.camera or self.not_camera or self.since or self.until)

    def seconds(self, name: Literal["since", "until"]) -> float | None:
        """A bound as seconds since 1970 UTC."""
        moment: datetime | None = getattr(self, name)
        return None if moment is None else moment.timestamp()

    def local(self, name: Literal["since", "until"]) -> str:
        """A bound as a date field writes it, UTC."""
        seconds = self.seconds(name)
        if seconds is None:
            return ""
        return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds")

    def but(self, **changes: Any) -> Query:
        """The same with other values."""
        return self.model_copy(update=changes)

    def pairs(self, *without: str) -> list[tuple[str, str]]:
        """As the fields of a form, those that are not as usual."""
        found: list[tuple[str, str]] = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name in without or value == field.default:
                continue
            if name in ("since", "until"):
                found.append((name, self.local(name)))
            elif isinstance(value, tuple):
                found += [(name, str(each)) for each in value]
            else:
                found.append((name, str(value)))
        return found

    @property
    def address(self) -> str:
        """The page that shows it."""
        return "/search?" + urlencode(self.pairs())

    @classmethod
    def of(cls, fields: ImmutableMultiDict[str, Any]) -> Query:
        """From the fields of an address or a form; empty ones count as left out, and foreign ones are passed over.

        Args:
            fields: as Starlette has them.

        Raises:
            UsageError: a value that is none.
        """
        given: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            values = [value for value in fields.getlist(name) if isinstance(value, str) and value.strip()]
            if values:
                given[name] = values if field.default == () else values[-1].strip()
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise UsageError(one_line(error.errors())) from None


def one_line(errors: Any) -> str:
    """What pydantic found, as one line that repeats nothing of what was sent."""
    found = list(errors)
    first = found[0]
    place = ".".join(str(part) for part in first.get("loc", ()) if part not in ("body", "query", "path")) or "the request"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{place[:80]}: {str(first.get('msg', 'is wrong'))[:200]}{more}."
