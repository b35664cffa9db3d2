"""Clock: times as brokers print them, brought to UTC, and the local trading day."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.arrow import pa, pc
from jobplane.engine.kinds.trade_audit.money import blank_as_null
from jobplane.engine.kinds.trade_audit.trades import DAY, MINUTE, NO_TIME, Flags, Floats, Ints

_CLOCK = (
    r"(?:[t ,;]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9}))?)?\s*(?P<half>[ap]\.?m\.?)?)?"
)
_ZONE = r"\s*(?P<zone>z|utc|gmt|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{2})?$"
_NUMERIC = (
    r"^(?P<first>[0-9]{1,4})[-/.](?P<second_part>[0-9]{1,2})[-/.](?P<third>[0-9]{1,4})"
    + _CLOCK
    + _ZONE
)
_COMPACT = (
    r"^(?P<first>[0-9]{4})(?P<second_part>[0-9]{2})(?P<third>[0-9]{2})"
    r"(?:[t;, ]*(?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2}):?(?P<second>[0-9]{2})?"
    r"(?P<fraction>)(?P<half>))?" + _ZONE
)
_DAY_NAMED = (
    r"^(?P<third>[0-9]{1,2})[ -](?P<month>[a-z]{3})[a-z]*[ ,.-]+(?P<first>[0-9]{2,4})"
    + _CLOCK
    + _ZONE
)
_MONTH_NAMED = (
    r"^(?P<month>[a-z]{3})[a-z]*[ .-]+(?P<third>[0-9]{1,2}),? +(?P<first>[0-9]{4})" + _CLOCK + _ZONE
)
_EPOCH = r"^[0-9]{10}(?:[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.[0-9]+)?$"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MICROSECONDS = pa.timestamp("us")
# Two-digit years below are of this century.
_CENTURY_PIVOT = 70


@dataclass(frozen=True, slots=True)
class Times:
    """A column of times in UTC: NO_TIME where nothing was said or it can't be read."""

    values: Ints
    bad: Flags
    # Rows whose local time came twice, as clocks went back; the earlier one was taken.
    twice: Flags
    # Whether day and month could be either way round.
    order_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class _Local:
    """Times before their zone is known."""

    values: Ints
    bad: Flags
    # Whether the text itself gave the offset.
    fixed: Flags
    order_ambiguous: bool = False


def read_times(column: Any, *, timezone: str, order: str, usual_order: str = "") -> Times:
    """Read a column of text as times; text without an offset is local to `timezone`.

    With order AUTO the values decide; where they can't, `usual_order` does, else MDY.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    column = blank_as_null(column)
    local = _read_iso(column) or _read_any(column, order=order, usual_order=usual_order)
    known = local.values != NO_TIME
    values, twice = _to_utc(local, known=known, timezone=timezone)
    return Times(values, local.bad, twice, local.order_ambiguous)


def local_days(times: Ints, *, timezone: str, boundary_minutes: int, rising: bool = True) -> Ints:
    """Give the number of the trading day of each time; `rising` for times that are sorted."""
    local = times
    if timezone != "UTC":
        stamps = pa.array(times, _MICROSECONDS).cast(pa.timestamp("us", timezone))
        local = pc.local_timestamp(stamps).cast(pa.int64()).to_numpy()
    days = np.floor_divide(local - boundary_minutes * MINUTE, DAY)
    # Clocks that go back over the boundary would begin the same day a second time.
    return np.maximum.accumulate(days) if rising and len(days) else days


def join_date_and_time(dates: Any, times: Any) -> Any:
    """Give one text per row of a date and a time column; HHMMSS may lack its first zero."""
    digits = pc.match_substring_regex(times, pattern="^[0-9]{5,6}$")
    times = pc.if_else(digits, pc.utf8_lpad(times, 6, padding="0"), times)
    times = pc.if_else(
        digits,
        pc.replace_substring_regex(
            times, pattern="^([0-9]{2})([0-9]{2})([0-9]{2})$", replacement=r"\1:\2:\3"
        ),
        times,
    )
    # A date column may carry an empty midnight of its own.
    dates = pc.replace_substring_regex(dates, pattern=r"[T ]+00:00(:00)?(\.0+)?$", replacement="")
    return pc.binary_join_element_wise(dates, times, " ")


def _read_iso(column: Any) -> _Local | None:
    """Read a column that is ISO 8601 throughout; None where it is not."""
    for kind, fixed in ((_MICROSECONDS, False), (pa.timestamp("us", "UTC"), True)):
        try:
            stamps = pc.cast(column, kind)
        except pa.ArrowInvalid:
            continue
        values = pc.fill_null(stamps.cast(pa.int64()), NO_TIME).to_numpy()
        size = len(values)
        return _Local(values, np.zeros(size, np.bool_), np.full(size, fixed))
    return None


def _read_any(column: Any, *, order: str, usual_order: str) -> _Local:
    """Read a column of mixed shapes, each distinct text once."""
    coded = pc.dictionary_encode(pc.fill_null(column, ""))
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(coded.dictionary))
    values = np.full(len(texts), NO_TIME, np.int64)
    fixed = np.zeros(len(texts), np.bool_)
    ambiguous = False
    for pattern in (_EPOCH, _COMPACT, _NUMERIC, _DAY_NAMED, _MONTH_NAMED):
        fits = pc.match_substring_regex(texts, pattern=pattern).to_numpy(zero_copy_only=False)
        index = np.flatnonzero(fits & (values == NO_TIME))
        if not len(index):
            continue
        some = texts.take(pa.array(index))
        if pattern is _EPOCH:
            values[index], fixed[index] = _read_epoch(some), True
            continue
        parts = _Parts.of(some, pattern)
        date_order, unsure = (
            parts.order(order, usual_order) if pattern is _NUMERIC else ("YMD", False)
        )
        values[index], fixed[index] = parts.read(date_order)
        ambiguous = ambiguous or unsure
    empty = pc.equal(texts, "").to_numpy(zero_copy_only=False)
    codes = coded.indices.to_numpy()
    bad = (values == NO_TIME) & ~empty
    return _Local(values[codes], bad[codes], fixed[codes], ambiguous)


def _read_epoch(texts: Any) -> Ints:
    """Read seconds, milli-, micro- or nanoseconds since 1970, told by their digits."""
    whole = pc.replace_substring_regex(texts, pattern=r"\..*$", replacement="")
    digits = pc.utf8_length(whole).to_numpy().astype(np.int64)
    numbers: Ints = pc.cast(whole, pa.int64()).to_numpy()
    factor = np.where(digits == 10, 1_000_000, np.where(digits == 13, 1_000, 1))  # noqa: PLR2004  digits of today
    values: Ints = np.where(digits == 19, numbers // 1_000, numbers * factor)  # noqa: PLR2004  nanoseconds
    fraction = pc.replace_substring_regex(texts, pattern=r"^[0-9]*", replacement="0")
    seconds: Floats = pc.cast(fraction, pa.float64()).to_numpy()
    return values + np.where(digits == 10, np.rint(seconds * 1e6), 0).astype(np.int64)  # noqa: PLR2004  seconds


@dataclass(frozen=True, slots=True)
class _Parts:
    """Numbers of each text by part; -1 where a part is missing."""

    numbers: dict[str, Ints]
    year_digits: Ints
    half: Any
    zone: Any

    @classmethod
    def of(cls, texts: Any, pattern: str) -> "_Parts":
        found = pc.extract_regex(texts, pattern=pattern)
        fields = {field.name: pc.struct_field(found, field.name) for field in found.type}
        numbers = {
            name: _as_ints(fields[name])
            for name in ("first", "second_part", "third", "hour", "minute", "second")
            if name in fields
        }
        if "month" in fields:
            index = pc.index_in(fields["month"], value_set=pa.array(_MONTHS))
            numbers["second_part"] = pc.fill_null(index, -1).to_numpy().astype(np.int64) + 1
        fraction = pc.utf8_rpad(fields["fraction"], 6, padding="0")
        numbers["fraction"] = _as_ints(pc.utf8_slice_codeunits(fraction, 0, 6))
        digits = pc.utf8_length(fields["first"]).to_numpy().astype(np.int64)
        return cls(numbers, digits, fields["half"], fields["zone"])

    def order(self, wanted: str, usual: str) -> tuple[str, bool]:
        """Give the order of date parts, and whether it is a guess."""
        if wanted != "AUTO":
            return wanted, False
        day_first = self.year_digits <= 2  # noqa: PLR2004  four digits are a year
        if not day_first.any():
            return "YMD", False
        first = self.numbers["first"][day_first].max()
        second = self.numbers["second_part"][day_first].max()
        highest_month = 12
        if first > highest_month:
            return "DMY", bool(second > highest_month)
        if second > highest_month:
            return "MDY", False
        return usual or "MDY", not usual

    def read(self, order: str) -> tuple[Ints, Flags]:
        """Give the times, and whether each has its offset."""
        year, month, day = self._date(order)
        month_starts = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        dates = month_starts.astype("datetime64[D]") + (day - 1)
        sound = (month >= 1) & (month <= 12) & (day >= 1)  # noqa: PLR2004  months of a year
        sound &= dates.astype("datetime64[M]") == month_starts
        hour = self._hour()
        minute, second = (np.maximum(self.numbers[name], 0) for name in ("minute", "second"))
        sound &= (hour < 24) & (minute < 60) & (second < 61)  # noqa: PLR2004  a clock's bounds
        seconds = hour * 3600 + minute * 60 + np.minimum(second, 59)
        values = dates.astype(np.int64) * DAY + seconds * 1_000_000
        values += np.maximum(self.numbers["fraction"], 0)
        offset, fixed = self._offset()
        return np.where(sound, values - offset, NO_TIME), fixed

    def _date(self, order: str) -> tuple[Ints, Ints, Ints]:
        first, middle, last = (self.numbers[name] for name in ("first", "second_part", "third"))
        year_first = (self.year_digits > 2) | (order == "YMD")  # noqa: PLR2004  four digits are a year
        year = np.where(year_first, first, last)
        short = year < 100  # noqa: PLR2004  two digits
        year = np.where(short, year + np.where(year < _CENTURY_PIVOT, 2000, 1900), year)
        day_first = np.full(len(first), order == "DMY")
        month = np.where(year_first | day_first, middle, first)
        day = np.where(year_first, last, np.where(day_first, first, middle))
        return year, month, day

    def _hour(self) -> Ints:
        hour = np.maximum(self.numbers["hour"], 0)
        half = pc.utf8_slice_codeunits(self.half, 0, 1)
        noon = 12
        morning = pc.equal(half, "a").to_numpy(zero_copy_only=False)
        evening = pc.equal(half, "p").to_numpy(zero_copy_only=False)
        hour = np.where(morning & (hour == noon), 0, hour)
        return np.where(evening & (hour < noon), hour + noon, hour)

    def _offset(self) -> tuple[Ints, Flags]:
        sign = pc.utf8_slice_codeunits(self.zone, 0, 1)
        fixed = pc.not_equal(self.zone, "").to_numpy(zero_copy_only=False)
        digits = pc.replace_substring_regex(self.zone, pattern="[^0-9]", replacement="")
        number = _as_ints(pc.utf8_rpad(digits, 4, padding="0"))
        minutes = number // 100 * 60 + number % 100
        negative = pc.equal(sign, "-").to_numpy(zero_copy_only=False)
        return np.where(negative, -minutes, np.maximum(minutes, 0)) * MINUTE, fixed


def _as_ints(texts: Any) -> Ints:
    """Cast digits to integers; -1 for no digits."""
    some = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    numbers: Ints = pc.fill_null(pc.cast(some, pa.int64()), -1).to_numpy().astype(np.int64)
    return numbers


def _to_utc(local: _Local, *, known: Flags, timezone: str) -> tuple[Ints, Flags]:
    """Bring local times to UTC: the earlier of two that look alike, and on past a gap."""
    nowhere = np.zeros(len(known), np.bool_)
    floating = known & ~local.fixed
    if timezone == "UTC" or not floating.any():
        return local.values, nowhere
    stamps = pa.array(local.values[floating], _MICROSECONDS)
    early, late = (
        pc.assume_timezone(stamps, timezone, ambiguous=choice, nonexistent="latest")
        .cast(pa.int64())
        .to_numpy()
        for choice in ("earliest", "latest")
    )
    values, twice = local.values.copy(), nowhere
    values[floating] = early
    twice[floating] = early != late
    return values, twice


def day_text(day: int) -> str:
    """Give the date of a trading day."""
    return str(np.datetime64(day, "D"))


def time_text(time: int) -> str:
    """Give a time as RFC 3339; empty where it is unknown."""
    if time == NO_TIME:
        return ""
    whole, _, fraction = str(np.datetime64(time, "us")).partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"
