"""Cursors of a watch of many jobs: where in the list, or in the feed, its reader stands."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobplane.engine.domain.errors import InvalidPageTokenError, InvalidSpecError, Violation
from jobplane.engine.query.instant import instant_of
from jobplane.engine.query.token import Key, PageTokens

# As long as a delete is surely remembered.
MAX_AGE = timedelta(days=7)
# Reading the list afresh costs less than going through more than this.
MAX_BEHIND = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the feed; while the list is not complete, also a place in the list."""

    revision: int
    at_us: int
    is_listing: bool = False
    listed: int = 0
    last: Key | None = None

    @classmethod
    def of_list(cls, revision: int, now: datetime) -> "Place":
        """The beginning of a list that is read at a position, or later."""
        return cls(revision, instant_of(now), is_listing=True)

    def moved(self, revision: int, now: datetime) -> "Place":
        """The place after what happened up to a position."""
        return Place(revision, instant_of(now))

    def after(self, last: Key, *, listed: int) -> "Place":
        """The place after a job of the list."""
        return replace(self, last=last, listed=listed)

    def refusal(self, *, latest: int, now: datetime) -> str:
        """Why it can't be gone on from here; "" when it can."""
        if self.revision > latest:
            # A backup was restored: what came after it may be anything.
            return "CURSOR_UNKNOWN"
        age = timedelta(microseconds=instant_of(now) - self.at_us)
        if age > MAX_AGE or latest - self.revision > MAX_BEHIND:
            return "CURSOR_TOO_OLD"
        return ""


@dataclass(frozen=True, slots=True)
class SetCursors:
    """Writes places as opaque text, and reads what it wrote for the same query."""

    tokens: PageTokens
    bound: tuple[str, ...]

    def write(self, place: Place) -> str:
        """Text to hand back."""
        key: Key = (place.revision, place.at_us)
        if place.is_listing:
            key = (*key, place.listed, *(place.last or ()))
        return self.tokens.encode(key, self.bound)

    def read(self, cursor: str) -> Place:
        """The place inside; refuses what we did not write for this query."""
        try:
            revision, at_us, *rest = self.tokens.decode(cursor, self.bound)
        except InvalidPageTokenError:
            text = "was altered, or belongs to another project or filter; start without one"
            raise InvalidSpecError([Violation("cursor", text)]) from None
        place = Place(int(revision or 0), int(at_us or 0))
        if not rest:
            return place
        listed, *last = rest
        return replace(
            place, is_listing=True, listed=int(listed or 0), last=tuple(last) if last else None
        )
