"""Cron expressions: five fields, read strictly, and the wall-clock times that they name."""

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

# 29 February on a given day of the week can be as far away as this.
HORIZON_YEARS = 41
LAST_YEAR = 9998
HOURS_OF_A_DAY = 24
WEEK = 7
MAX_NTH = 5
SUNDAY_AT_THE_END = 7
_MINUTE = timedelta(minutes=1)


@dataclass(eq=False)
class CronError(ValueError):
    """An expression that names no times; says which field is wrong, where and why."""

    field: str
    column: int
    description: str

    def __str__(self) -> str:
        name = f"{self.field}: " if self.field else ""
        return f"column {self.column}: {name}{self.description}"


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict[str, int])


_MONTHS = dict(  # noqa: C408  reads as a calendar does
    JAN=1, FEB=2, MAR=3, APR=4, MAY=5, JUN=6, JUL=7, AUG=8, SEP=9, OCT=10, NOV=11, DEC=12
)  # fmt: skip
_WEEKDAYS = dict(SUN=0, MON=1, TUE=2, WED=3, THU=4, FRI=5, SAT=6)  # noqa: C408  the same
_MINUTES = _Field("minute", 0, 59)
_HOURS = _Field("hour", 0, 23)
_DAYS = _Field("day of month", 1, 31)
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of week", 0, 7, _WEEKDAYS)
_FIELDS = (_MINUTES, _HOURS, _DAYS, _MONTH, _WEEKDAY)


@dataclass(frozen=True, slots=True)
class _Days:
    """Which days of a month count."""

    days: frozenset[int]
    last_day: bool
    weekdays: frozenset[int]
    # "MON#2", the second Monday.
    nth: frozenset[tuple[int, int]]
    # "FRIL", the last Friday.
    last_weekdays: frozenset[int]
    # Two restricted fields mean either; a field that begins with * means both.
    both: bool

    def match(self, day: date, length: int) -> bool:
        """Whether the day counts, in a month of that many days."""
        by_day = day.day in self.days or (self.last_day and day.day == length)
        weekday = day.isoweekday() % WEEK
        by_weekday = (
            weekday in self.weekdays
            or (weekday, (day.day - 1) // WEEK + 1) in self.nth
            or (weekday in self.last_weekdays and day.day + WEEK > length)
        )
        return by_day and by_weekday if self.both else by_day or by_weekday


@dataclass(frozen=True, slots=True)
class Cron:
    """Wall-clock times: no zone, so no day is shorter or longer than another."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: _Days

    @property
    def is_hourly(self) -> bool:
        """Whether it counts every hour of a day, so that it names none."""
        return len(self.hours) == HOURS_OF_A_DAY

    def matches(self, wall: datetime) -> bool:
        """Whether it names this minute."""
        length = calendar.monthrange(wall.year, wall.month)[1]
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.month in self.months
            and self.days.match(wall.date(), length)
        )

    def after(self, wall: datetime) -> Iterator[datetime]:
        """The times after the minute of `wall`, in order, for as long as a calendar repeats."""
        if wall.year > LAST_YEAR:
            return
        start = wall.replace(second=0, microsecond=0) + _MINUTE
        for day in self._days_from(start.date()):
            is_first = day == start.date()
            for hour in self.hours:
                if is_first and hour < start.hour:
                    continue
                for minute in self.minutes:
                    time = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001  a wall clock has no zone
                    if time >= start:
                        yield time

    def _days_from(self, first: date) -> Iterator[date]:
        last_year = min(first.year + HORIZON_YEARS, LAST_YEAR)
        month, year = first.month, first.year
        while year <= last_year:
            if month in self.months:
                length = calendar.monthrange(year, month)[1]
                begin = first.day if (year, month) == (first.year, first.month) else 1
                for number in range(begin, length + 1):
                    day = date(year, month, number)
                    if self.days.match(day, length):
                        yield day
            year, month = (year, month + 1) if month < _MONTH.high else (year + 1, 1)


def parse_cron(text: str) -> Cron:
    """The expression; raises CronError, also for one that names no day that there is."""
    words = list(re.finditer(r"\S+", text))
    if len(words) != len(_FIELDS):
        column = words[len(_FIELDS)].start() + 1 if len(words) > len(_FIELDS) else len(text) + 1
        names = ", ".join(one.name for one in _FIELDS)
        raise CronError("", column, f"has {len(words)} fields and must have five: {names}")
    minute, hour, day, month, weekday = (
        _Reader(one, word.group().upper(), word.start() + 1)
        for one, word in zip(_FIELDS, words, strict=True)
    )
    days = _days_of(day, weekday)
    cron = Cron(tuple(sorted(minute.values())), tuple(sorted(hour.values())), month.values(), days)
    # A leap year and every weekday of its February come round within the horizon.
    if next(cron.after(datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001  a wall clock has no zone
        raise CronError(_DAYS.name, day.column, "names a day that none of the months has")
    return cron


def _days_of(day: "_Reader", weekday: "_Reader") -> _Days:
    last_day = day.take_last_day()
    nth, last_weekdays = weekday.take_special()
    return _Days(
        days=day.values(),
        last_day=last_day,
        weekdays=frozenset(number % WEEK for number in weekday.values()),
        nth=nth,
        last_weekdays=last_weekdays,
        both=day.is_open or weekday.is_open,
    )


class _Reader:
    """Reads one field; every complaint names the field and the column."""

    def __init__(self, rules: _Field, text: str, column: int) -> None:
        self._rules = rules
        self.column = column
        self.is_open = text[0] in "*?"
        self._items: list[tuple[int, str]] = []
        at = 0
        for item in text.split(","):
            self._items.append((column + at, item))
            at += len(item) + 1
        if text == "?":
            if rules not in (_DAYS, _WEEKDAY):
                raise self._wrong(column, "'?' stands for any day, and this is no day")
            self._items = [(column, "*")]

    def values(self) -> frozenset[int]:
        """Every number that the field names."""
        return frozenset(number for at, item in self._items for number in self._read(at, item))

    def take_last_day(self) -> bool:
        """Whether "L" is among the items; it is taken out."""
        kept = [(at, item) for at, item in self._items if item != "L"]
        found = len(kept) < len(self._items)
        self._items = kept
        return found

    def take_special(self) -> tuple[frozenset[tuple[int, int]], frozenset[int]]:
        """The items like "MON#2" and like "FRIL"; they are taken out."""
        nth: set[tuple[int, int]] = set()
        last: set[int] = set()
        kept: list[tuple[int, str]] = []
        for at, item in self._items:
            name, mark, number = item.partition("#")
            if mark:
                if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= MAX_NTH):
                    raise self._wrong(at + len(name) + 1, f"must be 1 to {MAX_NTH} after '#'")
                nth.add((self._number(at, name) % WEEK, int(number)))
            elif item.endswith("L") and item != "L":
                last.add(self._number(at, item[:-1]) % WEEK)
            else:
                kept.append((at, item))
        self._items = kept
        return frozenset(nth), frozenset(last)

    def _read(self, at: int, item: str) -> range:
        base, slash, step_text = item.partition("/")
        step = self._step(at + len(base) + 1, step_text) if slash else 1
        if base == "*":
            return range(self._rules.low, self._rules.high + 1, step)
        low_text, dash, high_text = base.partition("-")
        low = self._number(at, low_text)
        if not dash:
            return range(low, (self._rules.high if slash else low) + 1, step)
        high_at = at + len(low_text) + 1
        high = self._number(high_at, high_text)
        if self._rules is _WEEKDAY and high == 0 < low:
            high = SUNDAY_AT_THE_END
        if high < low:
            raise self._wrong(high_at, f"the range {base} runs backwards")
        return range(low, high + 1, step)

    def _step(self, at: int, text: str) -> int:
        most = self._rules.high - self._rules.low
        if not (text.isdecimal() and text.isascii() and 1 <= int(text) <= most):
            raise self._wrong(at, f"the step {text!r} must be a number from 1 to {most}")
        return int(text)

    def _number(self, at: int, text: str) -> int:
        rules = self._rules
        if text in rules.names:
            return rules.names[text]
        names = f", {', '.join(rules.names)}" if rules.names else ""
        if not text:
            raise self._wrong(at, f"a value is missing: {rules.low} to {rules.high}{names}")
        if not (text.isdecimal() and text.isascii()):
            raise self._wrong(at, f"{text!r} is none of {rules.low} to {rules.high}{names}")
        if not rules.low <= int(text) <= rules.high:
            raise self._wrong(at, f"{text} is not within {rules.low} to {rules.high}")
        return int(text)

    def _wrong(self, column: int, description: str) -> CronError:
        return CronError(self._rules.name, column, description)
