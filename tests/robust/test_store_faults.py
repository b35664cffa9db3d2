"""Whatever write of the store fails, and however: nothing is lost, and all goes on."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.robust import attempts, leavings, promises, runs
from tests.robust.faults import Day, Fault, Mode, live_a_day
from tests.robust.promises import Promise, verdict
from tests.robust.record import read_record

PROMISES = (
    Promise(
        "all",
        "What holds without any fault.",
        (
            promises.acknowledged_is_there,
            promises.nothing_unexpected,
            promises.one_key_one_job,
            promises.every_job_ends,
            promises.history_is_gapless,
            attempts.moves_are_allowed,
            attempts.attempts_are_fenced,
            attempts.checkpoints_are_kept,
            leavings.artifacts_are_whole,
            leavings.database_is_sound,
        ),
    ),
)
# More writes than the day has: the loop must end by itself before.
MOST_WRITES = 300
MODES: tuple[Mode, ...] = ("refused", "done_but_refused")


def _live(data: Path, fault: Fault, caplog: pytest.LogCaptureFixture) -> Day:
    caplog.clear()
    day = asyncio.run(live_a_day(data, fault))
    found = verdict(day.history, read_record(data), PROMISES)
    assert not found.broken, f"{fault}: {found.broken[:5]}"
    bugs = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert not bugs, f"{fault}: {bugs[:5]}"
    return day


def _fail_every_write(
    folder: Path, fault: Fault, *, step: int, caplog: pytest.LogCaptureFixture
) -> int:
    """Fail the first write, then the next, and so on, until a day passes without a fault."""
    refusals = 0
    for at in range(fault.at, MOST_WRITES, step):
        today = replace(fault, at=at)
        refusals += len(_live(folder / str(at), today, caplog).refusals)
        if not today.fired:
            return refusals
    raise AssertionError("the day never passed without a fault")


def test_a_day_without_a_fault_breaks_no_promise(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert not _live(tmp_path, Fault(at=0), caplog).refusals


@pytest.mark.parametrize("mode", MODES)
def test_a_failing_write_is_healed(mode: Mode, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    # Another third of all writes with each seed.
    first = 1 + runs.seed() % 3
    fault = Fault(first, mode)
    assert _fail_every_write(tmp_path, fault, step=3, caplog=caplog) > 0


@pytest.mark.robust
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("length", [1, 2, 5, 20])
def test_any_row_of_failing_writes_is_healed(
    mode: Mode, length: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    assert _fail_every_write(tmp_path, Fault(1, mode, length), step=1, caplog=caplog) > 0
