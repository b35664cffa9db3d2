"""The server dies inside each window between two things that must both happen or neither."""

import random
from pathlib import Path

import pytest

from jobplane.engine import failpoint
from tests.robust import runs

# These are passed once in the life of a database, so they must come first.
FIRST = ("migrate_before_commit", "migrate_after_commit")
# These are passed once in a life of the server.
ONCE = frozenset({"recover_before_commit", "recover_after_commit"})
# Content that nobody needs is spared for an hour: no run is so long.
BEYOND = frozenset({"sweep_before_remove"})
POINTS = (*FIRST, *sorted(failpoint.NAMES - set(FIRST) - BEYOND))
LIGHT = ["--kills", "0", "--sitters", "0", "--processes", "0.5"]


def _order(seed: int) -> list[str]:
    """Every point in the order of the seed, with the visit at which it has its effect."""
    rng = random.Random(seed)
    later = list(POINTS[len(FIRST) :])
    rng.shuffle(later)
    armed = [f"{name}:exit@{1 if name in ONCE else rng.randint(1, 3)}" for name in later]
    return [*(f"{name}:exit@1" for name in FIRST), *armed]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """One run in which a life of the server ends at each point."""
    seed = runs.seed()
    points = [word for point in _order(seed) for word in ("--failpoint", point)]
    folder = tmp_path_factory.mktemp("robust") / "failpoints"
    return runs.run_harness(folder, *LIGHT, "--seed", str(seed), *points, timeout_s=280)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", POINTS)
def test_the_server_dies_at_the_failpoint(name: str, run: runs.Run):
    died = [point.partition(":")[0] for point in run.summary["died_at"]]
    assert name in died, run.explain()


def test_dying_at_each_failpoint_breaks_no_promise(run: runs.Run):
    run.keep()
    assert not run.errors, run.explain()


@pytest.mark.robust
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", POINTS)
def test_dying_at_a_failpoint_again_and_again_breaks_no_promise(name: str, tmp_path: Path):
    visits = (1,) if name in FIRST else (1,) * 6 if name in ONCE else (1, 2, 3, 5, 8, 13)
    points = [word for visit in visits for word in ("--failpoint", f"{name}:exit@{visit}")]
    arguments = [*LIGHT, "--seed", str(runs.seed()), *points]
    run = runs.run_harness(tmp_path / name, *arguments, timeout_s=580)
    assert len(run.summary["died_at"]) >= 1, run.explain()
    assert not run.errors, run.explain()
