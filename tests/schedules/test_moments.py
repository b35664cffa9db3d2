"""Moments: cron expressions in zones whose clocks change."""
# ruff: noqa: DTZ001 - a clock on the wall has no zone

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobplane.engine.schedules.cron import CronError, parse_cron
from jobplane.engine.schedules.moments import Moments, ZoneError, find_zone, just_before
from tests.schedules.test_cron import expressions, naive_match

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"
# Around a change of the clocks each; UTC.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, 0)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, 0)),
    ("America/New_York", datetime(2026, 3, 8, 7, 0)),
    ("America/New_York", datetime(2026, 11, 1, 6, 0)),
    # Half an hour.
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 0)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    # Two hours.
    ("Antarctica/Troll", datetime(2026, 3, 29, 1, 0)),
    ("Antarctica/Troll", datetime(2026, 10, 25, 1, 0)),
    # At midnight: the gap takes 00:00 away, the overlap repeats the last hour of a day.
    ("Asia/Beirut", datetime(2026, 3, 28, 22, 0)),
    ("Asia/Beirut", datetime(2026, 10, 24, 21, 0)),
    # One minute past midnight.
    ("America/St_Johns", datetime(2008, 3, 9, 3, 31)),
    ("America/St_Johns", datetime(2008, 11, 2, 2, 31)),
    # A whole day that never was.
    ("Pacific/Apia", datetime(2011, 12, 30, 10, 0)),
    # No change at all.
    ("Asia/Kathmandu", datetime(2026, 6, 1, 0, 0)),
    ("UTC", datetime(2026, 3, 29, 1, 0)),
]


def local(text, zone, start, count=3):
    moments = Moments(parse_cron(text), find_zone(zone))
    return [
        moment.astimezone(find_zone(zone)).strftime("%d %H:%M %z")
        for moment in moments.upcoming(start.replace(tzinfo=UTC), count)
    ]


def test_a_time_that_is_skipped_fires_at_the_first_instant_after_the_gap():
    start = datetime(2026, 3, 28, 12)
    assert local("30 2 * * *", BERLIN, start, 2) == ["29 03:00 +0200", "30 02:30 +0200"]


def test_several_skipped_times_and_the_one_after_them_fire_once():
    start = datetime(2026, 3, 29, 0, 30)
    assert local("*/20 2,3 * * *", BERLIN, start) == [
        "29 03:00 +0200",
        "29 03:20 +0200",
        "29 03:40 +0200",
    ]


def test_a_time_that_comes_twice_fires_once():
    start = datetime(2026, 10, 24, 12)
    assert local("30 2 * * *", BERLIN, start, 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_an_expression_of_every_hour_goes_on_through_the_repeated_one():
    start = datetime(2026, 10, 24, 23, 59)
    assert local("0 * * * *", BERLIN, start, 4) == [
        "25 02:00 +0200",
        "25 02:00 +0100",
        "25 03:00 +0100",
        "25 04:00 +0100",
    ]


def test_midnight_can_be_the_time_that_is_skipped():
    start = datetime(2026, 3, 28, 12)
    assert local("0 0 * * *", "Asia/Beirut", start, 1) == ["29 01:00 +0300"]


def test_a_day_that_never_was_fires_when_the_next_begins():
    start = datetime(2011, 12, 29, 23)
    assert local("0 12 * * *", "Pacific/Apia", start) == [
        "31 00:00 +1400",
        "31 12:00 +1400",
        "01 12:00 +1400",
    ]


def scan(text, zone, start, end):
    """Every minute's walk over the clock on the wall, as slow as it is plain."""
    hourly = {hour for hour in range(24) if naive_hour(text, hour)} == set(range(24))
    fires = []
    before = (start - MINUTE).astimezone(zone).replace(tzinfo=None)
    moment = start
    while moment < end:
        shown = moment.astimezone(zone)
        wall = shown.replace(tzinfo=None)
        skipped = before + MINUTE
        fires_now = naive_match(text, wall) and (hourly or not shown.fold)
        while skipped < wall:
            fires_now = fires_now or naive_match(text, skipped)
            skipped += MINUTE
        if fires_now:
            fires.append(moment)
        before, moment = wall, moment + MINUTE
    return fires


def naive_hour(text, hour):
    words = text.split()
    return naive_match(f"* {words[1]} * * *", datetime(2026, 1, 1, hour))


hours = st.one_of(expressions, st.sampled_from(["* * * * *", "*/15 * * * *", "30 2 * * *"]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CHANGES), hours, st.integers(-3 * 60, 60))
@example(CHANGES[1], "*/15 * * * *", -60)
@example(CHANGES[9], "*/15 * * * *", -60)
@example(CHANGES[11], "*/7 * * * *", -30)
@example(CHANGES[12], "15 */3 * * *", -60)
def test_the_moments_are_those_that_a_scan_of_every_minute_finds(change, text, shift):
    name, at = change
    zone = ZoneInfo(name)
    try:
        moments = Moments(parse_cron(text), find_zone(name))
    except CronError:
        return
    start = at.replace(tzinfo=UTC) + timedelta(minutes=shift)
    end = start + timedelta(hours=7)
    found = []
    moment = moments.next(just_before(start))
    while moment is not None and moment < end:
        found.append(moment)
        moment = moments.next(moment)
    assert found == scan(text, zone, start, end)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHANGES), hours, st.integers(0, 60 * 24 * 3))
def test_the_latest_moment_is_the_last_of_those_in_between(change, text, minutes):
    try:
        moments = Moments(parse_cron(text), find_zone(change[0]))
    except CronError:
        return
    first = moments.next(change[1].replace(tzinfo=UTC) - timedelta(hours=30))
    assert first is not None
    until = first + timedelta(minutes=minutes)
    last = first
    while (moment := moments.next(last)) is not None and moment <= until:
        last = moment
    assert moments.latest(first, until) == last


@given(st.integers(0, 3600), st.integers(0, 1000))
def test_jitter_is_always_the_same_and_keeps_the_order(jitter_s, at):
    moments = Moments(parse_cron("*/5 * * * *"), find_zone("UTC"))
    nominal = datetime(2026, 1, 1, tzinfo=UTC) + at * timedelta(minutes=5)
    fires = [moments.fire_at(nominal, name="s", jitter_s=jitter_s) for _ in range(2)]
    assert fires[0] == fires[1]
    assert nominal <= fires[0] <= nominal + timedelta(seconds=min(jitter_s, 300))


def test_jitter_spreads_schedules():
    moments = Moments(parse_cron("0 0 * * *"), find_zone("UTC"))
    nominal = datetime(2026, 1, 1, tzinfo=UTC)
    fires = {moments.fire_at(nominal, name=f"s{n}", jitter_s=3600) for n in range(100)}
    assert len(fires) > 90
    assert max(fires) - min(fires) > timedelta(minutes=50)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Berln", "'Europe/Berln' is no IANA zone; did you mean Europe/Berlin"),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("CEST+2", "is no IANA zone"),
        ("Europe", "is no IANA zone"),
        ("localtime", "is no IANA zone"),
        ("../../etc/passwd", "is no IANA zone"),
        ("", "is no IANA zone"),
    ],
)
def test_a_zone_that_is_none_is_told_with_what_is_like_it(name, said):
    with pytest.raises(ZoneError) as caught:
        find_zone(name)
    assert said in str(caught.value)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_end_of_the_calendar_has_no_next_time(zone):
    moments = Moments(parse_cron("* * * * *"), find_zone(zone))
    assert moments.next(datetime(9999, 12, 31, 23, 59, tzinfo=UTC)) is None
