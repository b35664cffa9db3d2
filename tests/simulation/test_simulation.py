"""Schedules of faults, each out of one seed, with every promise checked after every step."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.planted import PLANTS
from tests.simulation.schedule import plan_of, run

FIRST_SEED = int(os.environ.get("JOBPLANE_SIMULATION_SEED", "0"))
FEW = 200
MANY = int(os.environ.get("JOBPLANE_SIMULATION_SCHEDULES", "10000"))
# Within so many schedules a planted bug must show.
PATIENCE = 120
# A run that never came by one of these has proved nothing about it.
SOMETIMES = (
    "answered",
    "asked",
    "cancelled",
    "crash",
    "deduplicated",
    "drained",
    "failed_inside",
    "hung",
    "jumped",
    "late_report",
    "lost_answer",
    "lost_steering",
    "lost_wakeup",
    "paused_by_work",
    "poison",
    "resumed",
    "stale_attempt_works",
    "unavailable",
)


def kept(seeds):
    """Run schedules; the first that breaks a promise fails with its story."""
    counts = Counter()
    for seed in seeds:
        outcome = run(plan_of(seed))
        if outcome.error is not None:
            again = f"python -m tests.simulation --seed {seed} --schedules 1"
            pytest.fail(f"{outcome.story}\n\nreplay: {again}", pytrace=False)
        counts += outcome.counts
    return counts


@pytest.mark.timeout(300)
def test_every_promise_holds_in_a_few_schedules():
    counts = kept(range(FIRST_SEED, FIRST_SEED + FEW))
    assert [name for name in SOMETIMES if not counts[name]] == []


@pytest.mark.robust
@pytest.mark.timeout(7200)
def test_every_promise_holds_in_many_schedules():
    counts = kept(range(FIRST_SEED + FEW, FIRST_SEED + FEW + MANY))
    assert [name for name in SOMETIMES if not counts[name]] == []


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name, monkeypatch):
    plant, promises = PLANTS[name]
    plant(monkeypatch)
    for seed in range(PATIENCE):
        error = run(plan_of(seed)).error
        if error is not None:
            assert getattr(error, "promise", repr(error)) in promises
            return
    pytest.fail(f"{PATIENCE} schedules did not find it", pytrace=False)


@pytest.mark.parametrize("seed", [0, 4, 16])
def test_a_seed_gives_the_same_schedule_again(seed):
    first = run(plan_of(seed))
    assert len(first.trace) > 50
    assert run(plan_of(seed)).digest == first.digest


def test_a_seed_gives_the_same_schedule_in_another_process():
    seeds = (1, 3, 9)
    program = (
        "from tests.simulation.schedule import plan_of, run\n"
        f"for seed in {seeds}: print(run(plan_of(seed)).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.split() == [run(plan_of(seed)).digest for seed in seeds]


def test_a_broken_promise_is_told_with_its_trace_and_the_history(monkeypatch):
    plant, _ = PLANTS["forgotten_checkpoint"]
    plant(monkeypatch)
    outcome = next(one for one in map(run, map(plan_of, range(PATIENCE))) if one.error)
    assert f"seed={outcome.plan.seed}" in outcome.story
    assert "the last lines of the trace" in outcome.story
    assert "submitted" in outcome.story
