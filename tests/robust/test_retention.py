"""Retention under load and kills: what is needed stays, and nothing else does."""

from pathlib import Path

import pytest

from tests.robust import runs

# Long beside any write, even on a busy machine: content that has no row yet is spared so long.
GRACE_S = 1.5


def _run(folder: Path, *, kills: int, timeout_s: float) -> runs.Run:
    arguments = ["--kills", str(kills), "--grace", str(GRACE_S), "--seed", str(runs.seed())]
    arguments += ["--sitters", "0", "--failpoint", "sweep_before_remove:exit@2"]
    run = runs.run_harness(folder / "retention", *arguments, timeout_s=timeout_s)
    run.keep()
    return run


def _assert_kept(run: runs.Run) -> None:
    assert not run.errors, run.explain()
    assert run.summary["looked_at"]["retention"], run.explain()
    assert run.summary["sometimes"]["job purged after its retention"], run.explain()
    assert run.summary["died_at"] == ["sweep_before_remove:exit@2"], run.explain()


@pytest.mark.timeout(300)
def test_retention_under_load_and_kills_loses_nothing_and_leaves_nothing(tmp_path: Path):
    _assert_kept(_run(tmp_path, kills=3, timeout_s=280))


@pytest.mark.robust
@pytest.mark.timeout(1800)
def test_retention_under_load_and_many_kills_loses_nothing_and_leaves_nothing(tmp_path: Path):
    _assert_kept(_run(tmp_path, kills=80, timeout_s=1700))
