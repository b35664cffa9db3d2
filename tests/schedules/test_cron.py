"""Cron expressions: what they name, and what is said about those that name nothing."""
# ruff: noqa: DTZ001 - a clock on the wall has no zone

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobplane.engine.schedules.cron import CronError, parse_cron

START = datetime(2026, 3, 1)


def first(text, count=3, start=START):
    times = parse_cron(text).after(start)
    return [f"{next(times):%a %d %b %H:%M}" for _ in range(count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 6 * * *", ["Sun 01 Mar 06:30", "Mon 02 Mar 06:30", "Tue 03 Mar 06:30"]),
        ("0 6 * * MON-FRI", ["Mon 02 Mar 06:00", "Tue 03 Mar 06:00", "Wed 04 Mar 06:00"]),
        ("0 6 * * 5-7", ["Sun 01 Mar 06:00", "Fri 06 Mar 06:00", "Sat 07 Mar 06:00"]),
        ("0 6 * * fri-sun", ["Sun 01 Mar 06:00", "Fri 06 Mar 06:00", "Sat 07 Mar 06:00"]),
        ("*/20 5,7 * * *", ["Sun 01 Mar 05:00", "Sun 01 Mar 05:20", "Sun 01 Mar 05:40"]),
        ("50/5 5 * * *", ["Sun 01 Mar 05:50", "Sun 01 Mar 05:55", "Mon 02 Mar 05:50"]),
        ("0 0 L * *", ["Tue 31 Mar 00:00", "Thu 30 Apr 00:00", "Sun 31 May 00:00"]),
        ("0 0 15,L FEB,MAR ?", ["Sun 15 Mar 00:00", "Tue 31 Mar 00:00", "Mon 15 Feb 00:00"]),
        ("0 0 * * FRIL", ["Fri 27 Mar 00:00", "Fri 24 Apr 00:00", "Fri 29 May 00:00"]),
        ("0 0 ? * MON#2", ["Mon 09 Mar 00:00", "Mon 13 Apr 00:00", "Mon 11 May 00:00"]),
        ("0 0 13 * FRI", ["Fri 06 Mar 00:00", "Fri 13 Mar 00:00", "Fri 20 Mar 00:00"]),
        ("0 0 */2 * FRI", ["Fri 13 Mar 00:00", "Fri 27 Mar 00:00", "Fri 03 Apr 00:00"]),
        ("0 0 29 2 *", ["Tue 29 Feb 00:00", "Sun 29 Feb 00:00", "Fri 29 Feb 00:00"]),
    ],
)
def test_an_expression_names_these_times(text, expected):
    assert first(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("61 * * * *", "column 1: minute: 61 is not within 0 to 59"),
        ("0  24 * * *", "column 4: hour: 24 is not within 0 to 23"),
        ("0 0 0 * *", "column 5: day of month: 0 is not within 1 to 31"),
        ("0 0 * 1,13 *", "column 9: month: 13 is not within 1 to 12"),
        ("0 0 * * FOO", "column 9: day of week: 'FOO' is none of 0 to 7, SUN, MON"),
        ("5-1 * * * *", "column 3: minute: the range 5-1 runs backwards"),
        ("1,,2 * * * *", "column 3: minute: a value is missing"),
        ("*/0 * * * *", "column 3: minute: the step '0' must be a number from 1 to 59"),
        ("*/90 * * * *", "column 3: minute: the step '90' must be"),
        ("? * * * *", "column 1: minute: '?' stands for any day"),
        ("0 0 L-3 * *", "column 5: day of month: 'L' is none of 1 to 31"),
        ("0 0 * * MON#6", "column 13: day of week: must be 1 to 5 after '#'"),
        ("0 0 30 2 *", "column 5: day of month: names a day that none of the months has"),
        ("* * * *", "column 8: has 4 fields and must have five"),
        ("0 0 * * * *", "column 11: has 6 fields and must have five"),
        ("", "column 1: has 0 fields"),
        ("٣ * * * *", "column 1: minute: '٣' is none of"),
    ],
)
def test_a_bad_expression_is_told_by_field_and_column(text, said):
    with pytest.raises(CronError) as caught:
        parse_cron(text)
    assert str(caught.value).startswith(said)


def test_a_day_that_comes_once_in_forty_years_is_found():
    # 29 February 2072 is a Monday; 1 is the step that makes the day of month open.
    assert first("0 0 */28 2 MON#5", 1, datetime(2045, 1, 1)) == ["Mon 29 Feb 00:00"]


def test_the_end_of_the_calendar_has_no_next_time():
    assert list(parse_cron("* * * * *").after(datetime(9999, 12, 31))) == []


numbers = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


@st.composite
def fields(draw, low, high):
    def item():
        start = draw(st.integers(low, high))
        end = draw(st.integers(start, high))
        step = draw(st.integers(1, high - low))
        shapes = ["*", f"*/{step}", f"{start}", f"{start}-{end}", f"{start}-{end}/{step}"]
        return draw(st.sampled_from(shapes))

    return ",".join(item() for _ in range(draw(st.integers(1, 3))))


def numbers_of(text, low, high):
    found = set()
    for item in text.split(","):
        base, _, step = item.partition("/")
        start, _, end = base.partition("-")
        values = (
            range(low, high + 1)
            if base == "*"
            else range(int(start), int(end or (high if step else start)) + 1)
        )
        found |= set(values[:: int(step or 1)])
    return found


def naive_match(text, wall):
    """Read an expression the slow way, with nothing shared with the code under test."""
    words = text.split()
    minute, hour, day, month, weekday = (
        numbers_of(word, low, high)
        for word, (low, high) in zip(words, numbers.values(), strict=True)
    )
    by_day = wall.day in day
    by_weekday = bool({wall.isoweekday(), wall.isoweekday() % 7} & weekday)
    open_day = words[2].startswith("*") or words[4].startswith("*")
    days = by_day and by_weekday if open_day else by_day or by_weekday
    return wall.minute in minute and wall.hour in hour and wall.month in month and days


expressions = st.tuples(*(fields(low, high) for low, high in numbers.values())).map(" ".join)
moments = st.datetimes(datetime(1999, 1, 1), datetime(2060, 1, 1))


@settings(max_examples=60, deadline=None)
@given(expressions, moments)
def test_the_times_are_those_that_a_scan_of_every_minute_finds(text, start):
    try:
        cron = parse_cron(text)
    except CronError as error:
        assert "none of the months" in error.description  # noqa: PT017  any other is a defect
        return
    minute = start.replace(second=0, microsecond=0)
    scanned = [
        wall
        for wall in (minute + timedelta(minutes=n) for n in range(1, 2881))
        if naive_match(text, wall)
    ]
    times = cron.after(start)
    found = []
    while (wall := next(times, None)) is not None and wall <= minute + timedelta(minutes=2880):
        found.append(wall)
    assert found == scanned
