"""The harness finds each planted bug: one that does not would prove nothing."""

from pathlib import Path

import pytest

from tests.robust import runs
from tests.robust.planted import PLANTS

# By planted bug, the errors that must be among those found.
EXPECTED = {
    "early_ack": {"lost", "not_found_after_ack"},
    "silent_cancel": {"not_finished_once_and_last", "row_and_events_differ"},
    "memory_sequence": {"gap", "went_back", "heard_something_else"},
    "no_fence": {"stale_attempt_wrote", "move_not_allowed"},
    "no_recovery": {"never_ended"},
    "resume_hang": {"watch_hangs"},
    "forgotten_key": {"duplicated", "repeat_not_told"},
    "forgotten_checkpoint": {"checkpoint_forgotten", "progress_lost"},
    "torn_content": {"artifact_broken"},
    "lost_wake": {"watch_hangs"},
    "eager_dependent": {"ran_too_early", "ran_in_spite"},
    "deaf_dependent": {"never_ended"},
    "skipped_fire": {"time_left_out"},
    "fire_beside": {"jobs_overlap"},
    "undead": {"delete_lost", "came_back"},
    "greedy_sweep": {"artifact_broken", "needed_is_lost", "upload_broken"},
    "idle_sweep": {"content_stays"},
}
SMALL, LARGE = 5, 25
# Bugs that show without kills, and the sorts of jobs that show them.
CALM = {
    "silent_cancel": "noop long",
    "eager_dependent": "noop long failing",
    "deaf_dependent": "noop long failing",
    "skipped_fire": "noop",
    "fire_beside": "noop",
    "undead": "noop",
}
# What a drain that can't end costs is what these runs take.
HASTE = ["--stall", "2.5", "--drain", "8", "--watches", "2.5", "--sitters", "0", "--processes", "0"]


def test_every_planted_bug_has_its_test():
    assert EXPECTED.keys() == PLANTS.keys()


@pytest.mark.parametrize("plant", EXPECTED)
def test_a_planted_bug_is_found_within_a_few_kills(plant: str, tmp_path: Path):
    run = _run(tmp_path, plant, SMALL, seed=5)
    assert EXPECTED[plant] & run.errors.keys(), run.explain()


@pytest.mark.robust
@pytest.mark.parametrize("plant", EXPECTED)
def test_a_planted_bug_is_found_whatever_the_seed(plant: str, tmp_path: Path):
    run = _run(tmp_path, plant, LARGE, seed=runs.seed())
    assert EXPECTED[plant] & run.errors.keys(), run.explain()


def test_without_a_planted_bug_such_a_short_run_finds_nothing(tmp_path: Path):
    arguments = ["--kills", str(SMALL), "--seed", "5", "--sitters", "0", "--processes", "0"]
    run = runs.run_harness(tmp_path / "sound", *arguments, timeout_s=110)
    assert not run.errors, run.explain()


def _run(folder: Path, plant: str, kills: int, *, seed: int) -> runs.Run:
    arguments = ["--plant", plant, "--kills", str(kills), "--seed", str(seed), *HASTE]
    if plant == "no_fence":
        # Only work that has to be killed has something to say when its job is over, and a life
        # must be long enough for that.
        arguments += ["--kills", str(3 * kills)]
        arguments += ["--cancels", "1", "--shapes", "noop stubborn", "--processes", "3"]
        arguments += ["--depends", "0"]
    if plant == "silent_cancel":
        # A job that finds a free slot never waits: those that wait for another job do.
        arguments += ["--cancels", "1", "--shapes", "noop long", "--depends", "0.8"]
    if plant in CALM:
        # They need no kill to be seen, but jobs and seconds, of which a slow machine has few.
        arguments += ["--kills", "2", "--shapes", CALM[plant], "--calm", "6"]
    if plant in {"greedy_sweep", "idle_sweep"}:
        arguments += ["--kills", "1", "--grace", "1", "--shapes", "artifact fleeting"]
    return runs.run_harness(folder / plant, *arguments, timeout_s=110)
