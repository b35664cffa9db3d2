"""Moments: the instants at which a cron expression fires in a time zone.

Clock changes, in the words of `docs/schedules.md`: a time that the clocks skip fires once,
at the first instant after the gap. A time that comes twice fires once, the first time; only
an expression that counts every hour goes on through the repeated one, because it names no
time of day.
"""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from jobplane.engine.schedules.cron import Cron

_MINUTE = timedelta(minutes=1)
_SECOND = timedelta(seconds=1)
_TICK = timedelta(microseconds=1)
# No clock was ever turned back by more in modern times.
_LONGEST_REPEAT = timedelta(hours=3)
# Names that a machine gives to its own zone or to none.
_NO_ZONES = frozenset({"localtime", "Factory", "posixrules"})
_HASH_BYTES = 8


class ZoneError(ValueError):
    """A name that is no IANA zone."""


@cache
def find_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises ZoneError with the names that are like it."""
    known = _zone_names()
    if name not in known:
        lowered = {zone.casefold(): zone for zone in known}
        near = difflib.get_close_matches(name.casefold(), lowered, n=2, cutoff=0.75)
        hint = f"; did you mean {' or '.join(lowered[one] for one in near)}?" if near else ""
        raise ZoneError(f"{name!r} is no IANA zone{hint}")
    return ZoneInfo(name)


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_ZONES)


@dataclass(frozen=True, slots=True)
class Moments:
    """The nominal times of one expression in one zone, in UTC."""

    cron: Cron
    zone: ZoneInfo

    def next(self, after: datetime) -> datetime | None:
        """The first nominal time after an instant; None when there is none to come."""
        try:
            return self._next(after)
        except OverflowError:
            # The last day of the calendar has no tomorrow in some zone.
            return None

    def upcoming(self, after: datetime, count: int) -> Iterator[datetime]:
        """The next so many nominal times."""
        moment = self.next(after)
        while moment is not None and count > 0:
            yield moment
            count -= 1
            moment = self.next(moment) if count else None

    def latest(self, first: datetime, until: datetime) -> datetime:
        """The last nominal time that is not after `until`; `first` is one that is not."""
        low, high = first, until
        # No nominal time lies in (high, until]; `low` is one.
        while high - low > _MINUTE:
            middle = low + (high - low) / 2
            found = self.next(middle)
            if found is not None and found <= high:
                low = found
            else:
                high = middle
        found = self.next(low)
        return found if found is not None and found <= high else low

    def fire_at(self, nominal: datetime, *, name: str, jitter_s: float) -> datetime:
        """When the nominal time of that schedule fires: always equally late, never out of turn."""
        if not jitter_s:
            return nominal
        following = self.next(nominal)
        room_s = jitter_s
        if following is not None:
            room_s = min(jitter_s, (following - nominal).total_seconds())
        digest = hashlib.sha256(f"{name}@{nominal.isoformat()}".encode()).digest()
        share = int.from_bytes(digest[:_HASH_BYTES]) / 2 ** (8 * _HASH_BYTES)
        return nominal + timedelta(seconds=int(share * room_s))

    def _next(self, after: datetime) -> datetime | None:
        local = after.astimezone(self.zone).replace(tzinfo=None)
        for wall in self.cron.after(local):
            instant = self._first_instant(wall)
            if instant > after:
                return self._repeated(after, instant) or instant
        return None

    def _first_instant(self, wall: datetime) -> datetime:
        """When the clocks show the time for the first time, or would have."""
        instant = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if instant.astimezone(self.zone).replace(tzinfo=None) == wall:
            return instant
        # Skipped: between its readings by the clock after the change and by the one before.
        before = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        offset = self._offset(before)
        while instant - before > _SECOND:
            middle = before + (instant - before) // _SECOND // 2 * _SECOND
            if self._offset(middle) == offset:
                before = middle
            else:
                instant = middle
        return instant

    def _repeated(self, after: datetime, first: datetime) -> datetime | None:
        """A minute that an hourly expression names for the second time, before `first`."""
        if not self.cron.is_hourly:
            return None
        end = min(first, after + _LONGEST_REPEAT)
        in_repeat = after.astimezone(self.zone).fold
        if not in_repeat and self._offset(end) >= self._offset(after):
            return None
        moment = after.replace(second=0, microsecond=0) + _MINUTE
        while moment < end:
            local = moment.astimezone(self.zone)
            if local.fold and self.cron.matches(local.replace(tzinfo=None)):
                return moment
            moment += _MINUTE
        return None

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()


def just_before(moment: datetime) -> datetime:
    """The instant before, so that `next` gives the moment itself when it is nominal."""
    return moment - _TICK
