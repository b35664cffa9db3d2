"""The server is killed at random moments under load, and keeps its promises."""

import os
from pathlib import Path

import pytest

from tests.robust import runs

SMALL, LARGE = 40, 500


def _assert_kept(run: runs.Run) -> None:
    run.keep()
    assert not run.errors, run.explain()
    assert not run.summary["never"], f"never came by: {run.summary['never']}; {run.explain()}"


@pytest.mark.timeout(300)
def test_forty_kills_break_no_promise(tmp_path: Path):
    arguments = ["--kills", str(SMALL), "--seed", str(runs.seed())]
    run = runs.run_harness(tmp_path / "kills", *arguments, timeout_s=280)
    assert run.summary["kills"] == SMALL
    _assert_kept(run)


@pytest.mark.robust
@pytest.mark.timeout(3600)
def test_five_hundred_kills_break_no_promise(tmp_path: Path):
    kills = os.environ.get(runs.KILLS, str(LARGE))
    arguments = ["--kills", kills, "--seed", str(runs.seed()), "--drain", "600"]
    run = runs.run_harness(tmp_path / "many-kills", *arguments, timeout_s=3500)
    _assert_kept(run)
