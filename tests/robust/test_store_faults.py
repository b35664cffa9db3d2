"""Whatever write of the store fails, and however: nothing is lost, and all goes on."""

import asyncio
import logging
from pathlib import Path

import pytest

from tests.robust import attempts, leavings, promises
from tests.robust.faults import Fault, Mode, live_a_day
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


def _live(data: Path, fault: Fault) -> None:
    day = asyncio.run(live_a_day(data, fault))
    found = verdict(day.history, read_record(data), PROMISES)
    assert not found.broken, f"{fault}: {found.broken[:5]}"


def _fail_every_write(folder: Path, mode: Mode, *, length: int, step: int) -> None:
    """Fail the first write, then the second, and so on, until a day passes without a fault."""
    for at in range(1, MOST_WRITES, step):
        fault = Fault(at, mode, length)
        _live(folder / str(at), fault)
        if not fault.fired:
            return
    raise AssertionError("the day never passed without a fault")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)


def test_a_day_without_a_fault_breaks_no_promise(tmp_path: Path):
    _live(tmp_path, Fault(at=0))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["refused", "done_but_refused"])
@pytest.mark.parametrize("length", [1, 5])
def test_any_failing_write_is_healed(tmp_path: Path, mode: Mode, length: int):
    _fail_every_write(tmp_path, mode, length=length, step=1)
