"""What every executor does, whatever it runs attempts in."""

import json
from pathlib import Path

import pytest

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Asked, Broke, Completed, InputContent, Intent, Yielded
from jobplane.engine.domain.event import MetricReported, StageFinished, StageStarted, Warned
from jobplane.engine.domain.job import FailureCategory, Gap
from jobplane.engine.executors.port import Executor
from tests.executors.rig import STALL_S, MakeRig, Rig


def test_the_result_of_the_work_arrives_whole(rig: Rig) -> None:
    conclusion = rig.run("succeed", {"a": [1]}).conclusion

    assert isinstance(conclusion, Completed)
    assert conclusion.result.headline == "done"
    assert conclusion.result.metrics == {"answer": 42.0}
    assert conclusion.result.warnings == ("odd",)
    assert json.loads(conclusion.result.details) == {"echo": {"a": [1]}}
    assert conclusion.gaps == (Gap("LESS", "less"),)


def test_a_result_that_is_no_longer_compact_fails_the_attempt_with_what_to_do(rig: Rig) -> None:
    assert isinstance(rig.run("boast", {"bytes": 25_000}).conclusion, Completed)
    broke = rig.run("boast", {"bytes": 26_000}).conclusion
    assert isinstance(broke, Broke)
    assert broke.failure.reason == "RESULT_TOO_LARGE"
    assert not broke.failure.retryable
    assert "artifact" in broke.failure.message


def test_a_refusal_of_the_quality_gate_is_a_completion(rig: Rig) -> None:
    conclusion = rig.run("refuse_gate").conclusion

    assert isinstance(conclusion, Completed)
    assert conclusion.gate_refusal == "not good enough"


def test_every_report_arrives_in_order(rig: Rig) -> None:
    told = rig.run("report_everything")

    assert told.payloads == [
        StageStarted("load"),
        MetricReported(1, {"loss": 0.5}),
        Warned("ODD", "something odd"),
        StageFinished("load"),
        StageStarted("train"),
        StageFinished("train", reused=True),
    ]
    artifacts = [line for line in told.log if line.startswith("artifact") or line == "checkpoint"]
    assert artifacts == ["artifact text.txt", "artifact models/made.bin", "checkpoint"]
    assert told.log[-1] == "concluded"


def test_artifacts_arrive_with_content_type_and_stage(rig: Rig) -> None:
    artifacts = rig.run("report_everything").artifacts

    assert artifacts["text.txt"].content == b"hello"
    assert artifacts["text.txt"].media_type == "text/plain"
    assert artifacts["models/made.bin"].content == b"\0\1"
    assert artifacts["models/made.bin"].type is ArtifactType.MODEL
    assert artifacts["models/made.bin"].stage == "train"


def test_a_checkpoint_arrives_with_its_units(rig: Rig) -> None:
    assert rig.run("report_everything").checkpoints == [(b"state", 7)]


def test_progress_is_thinned_out_but_the_last_value_arrives(rig: Rig) -> None:
    progresses = rig.run("many_progresses").progresses

    assert len(progresses) < 2000
    assert progresses[-1].completed_units == 20_000
    assert progresses[-1].fraction == 1.0


def test_metrics_of_a_tight_loop_travel_in_batches_and_none_is_lost(rig: Rig) -> None:
    told = rig.run("many_metrics")

    steps = [payload.step for payload in told.payloads if isinstance(payload, MetricReported)]
    assert steps == list(range(1000))
    assert told.batches < 500


def test_the_work_reads_its_inputs_settings_and_attempt(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "given"
    path.write_text("content")
    given = InputContent(path, "given.txt", "text/plain", 7, "00")
    conclusion = rig.run("show_surroundings", inputs={"data": given}, attempt=3).conclusion

    assert isinstance(conclusion, Completed)
    seen = json.loads(conclusion.result.details)
    assert seen["inputs"] == {"data": "content"}
    assert seen["settings"] == {"colour": "green"}
    assert (seen["attempt"], seen["version"]) == (3, "1.2.3")


def test_an_error_of_the_work_arrives_as_it_was_raised(rig: Rig) -> None:
    failure = rig.run("work_error", attempt=2).failure

    assert failure.reason == "NO_DATA"
    assert failure.category is FailureCategory.INPUT
    assert failure.message == "the input is empty"
    assert failure.retryable
    assert failure.attempt == 2


def test_an_unexpected_error_is_explained_by_a_traceback_artifact(rig: Rig) -> None:
    told = rig.run("unhandled")

    assert told.failure.reason == "UNHANDLED_ERROR"
    assert told.failure.category is FailureCategory.USER_CODE
    assert not told.failure.retryable
    assert "nobody expected this" in told.failure.message
    assert told.failure.detail_artifact == "logs/traceback.txt"
    assert b"in unhandled" in told.artifacts["logs/traceback.txt"].content


def test_a_failure_names_its_stage_and_the_stage_its_failure(rig: Rig) -> None:
    told = rig.run("unhandled_in_stage")

    assert told.failure.stage == "outer"
    finished = told.payloads[-1]
    assert isinstance(finished, StageFinished)
    assert finished.failure is not None
    assert finished.failure.reason == "UNHANDLED_ERROR"


@pytest.mark.parametrize(
    ("kind", "reason", "category"),
    [
        ("memory_error", "MEMORY_LIMIT", FailureCategory.RESOURCE),
        ("system_exit", "EXIT_CODE", FailureCategory.USER_CODE),
        ("nothing_returned", "UNHANDLED_ERROR", FailureCategory.USER_CODE),
        ("stop_unasked", "UNHANDLED_ERROR", FailureCategory.USER_CODE),
        ("missing_module", "KIND_UNAVAILABLE", FailureCategory.INFRASTRUCTURE),
        ("no_such_kind", "KIND_UNAVAILABLE", FailureCategory.INFRASTRUCTURE),
    ],
)
def test_each_cause_has_its_reason(
    rig: Rig, kind: str, reason: str, category: FailureCategory
) -> None:
    failure = rig.run(kind).failure

    assert (failure.reason, failure.category) == (reason, category)


def test_a_cancel_stops_the_work_at_its_next_safe_point(rig: Rig) -> None:
    assignment = rig.launch("count")
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.CANCEL)

    assert rig.reports.ended(assignment).conclusion == Yielded(Intent.CANCEL)


def test_a_cancel_passes_through_work_that_swallows_exceptions(rig: Rig) -> None:
    assignment = rig.launch("swallow_exceptions")
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.CANCEL)

    assert rig.reports.ended(assignment).conclusion == Yielded(Intent.CANCEL)


def test_a_cancel_right_after_the_launch_is_not_lost(rig: Rig) -> None:
    assignment = rig.launch("count")
    rig.control(assignment, Intent.CANCEL)

    assert rig.reports.ended(assignment).conclusion == Yielded(Intent.CANCEL)


def test_a_pause_checkpoints_before_it_stops(rig: Rig) -> None:
    assignment = rig.launch("count", checkpoint=b"41")
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.PAUSE)
    told = rig.reports.ended(assignment)

    assert told.conclusion == Yielded(Intent.PAUSE)
    data, units = told.checkpoints[-1]
    assert int(data) == units >= 41


def test_a_pause_stops_work_that_has_nothing_to_save(rig: Rig) -> None:
    assignment = rig.launch("count_without_checkpoint")
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.PAUSE)
    told = rig.reports.ended(assignment)

    assert told.conclusion == Yielded(Intent.PAUSE)
    assert told.checkpoints == []


def test_a_pause_that_is_taken_back_in_time_changes_nothing(rig: Rig) -> None:
    assignment = rig.launch("pause_taken_back")
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.PAUSE)
    rig.control(assignment, Intent.CONTINUE)
    told = rig.reports.of(assignment)
    alive = told.alive
    rig.reports.wait(lambda: told.alive > alive)
    (assignment.folder / "work" / "go").touch()

    conclusion = rig.reports.ended(assignment).conclusion
    assert isinstance(conclusion, Completed)
    assert told.checkpoints == []


def test_a_cancel_beats_a_pause(rig: Rig) -> None:
    assignment = rig.launch("count")
    rig.control(assignment, Intent.PAUSE)
    rig.control(assignment, Intent.CANCEL)

    conclusion = rig.reports.ended(assignment).conclusion
    assert isinstance(conclusion, Yielded)


def test_a_kill_ends_work_that_ignores_everything(rig: Rig, release: Path) -> None:
    assignment = rig.launch("ignore_cancel", {"release": str(release)})
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.CANCEL)
    rig.control(assignment, Intent.KILL)
    failure = rig.reports.ended(assignment).failure

    assert failure.reason == "KILLED"
    assert failure.category is FailureCategory.INFRASTRUCTURE


def test_the_slot_of_killed_work_comes_back(rig: Rig, release: Path) -> None:
    stubborn = [rig.launch("ignore_cancel", {"release": str(release)}) for _ in range(2)]
    for assignment in stubborn:
        rig.reports.begun(assignment)
    assert rig.executor.free_slots() == 0
    for assignment in stubborn:
        rig.control(assignment, Intent.KILL)
        rig.reports.ended(assignment)
    rig.run("succeed")

    assert rig.executor.free_slots() == 2


def test_killing_twice_concludes_once(rig: Rig, release: Path) -> None:
    assignment = rig.launch("ignore_cancel", {"release": str(release)})
    rig.reports.begun(assignment)
    for _ in range(5):
        rig.control(assignment, Intent.KILL)

    assert rig.reports.ended(assignment).failure.reason == "KILLED"


def test_work_that_waits_for_a_slot_can_be_killed(rig: Rig, release: Path) -> None:
    for _ in range(2):
        rig.reports.begun(rig.launch("ignore_cancel", {"release": str(release)}))
    waiting = rig.launch("succeed")
    rig.control(waiting, Intent.KILL)

    assert rig.reports.ended(waiting).failure.reason == "KILLED"


def test_more_than_the_slots_are_run_one_after_the_other(rig: Rig) -> None:
    launched = [rig.launch("succeed") for _ in range(5)]

    assert all(isinstance(rig.reports.ended(each).conclusion, Completed) for each in launched)


def test_control_of_an_unknown_attempt_is_ignored(rig: Rig) -> None:
    rig.executor.control(("p", "nobody", 1), Intent.KILL)


def test_a_question_without_an_answer_ends_the_attempt(rig: Rig) -> None:
    conclusion = rig.run("ask").conclusion

    assert isinstance(conclusion, Asked)
    assert conclusion.timeout_s == 60
    assert [question.id for question in conclusion.request.questions] == ["colour", "note"]
    assert conclusion.request.prompt == "Choose."


def test_a_question_keeps_its_id_over_attempts(rig: Rig) -> None:
    ids = set[str]()
    for attempt in (1, 2):
        conclusion = rig.run("ask", attempt=attempt).conclusion
        assert isinstance(conclusion, Asked)
        ids.add(conclusion.request.input_id)

    assert len(ids) == 1


def test_an_answer_is_given_to_the_work(rig: Rig) -> None:
    conclusion = rig.run("ask", answers={"colour": "blue"}).conclusion

    assert isinstance(conclusion, Completed)
    assert conclusion.result.headline == "blue, ''"


def test_an_attempt_that_takes_too_long_is_ended(rig: Rig, release: Path) -> None:
    failure = rig.run("slow_stage", {"release": str(release)}, attempt_timeout_s=0.3).failure

    assert failure.reason == "ATTEMPT_TIMEOUT"
    assert failure.category is FailureCategory.DEADLINE


def test_a_stage_that_takes_too_long_is_ended(rig: Rig, release: Path) -> None:
    timeouts = {"slow": 0.3, "other": 0.0}
    failure = rig.run("slow_stage", {"release": str(release)}, stage_timeouts_s=timeouts).failure

    assert (failure.reason, failure.stage) == ("STAGE_TIMEOUT", "slow")
    assert failure.category is FailureCategory.DEADLINE


def test_work_that_reports_nothing_is_ended_as_stalled(rig: Rig, release: Path) -> None:
    failure = rig.run("hang", {"release": str(release)}).failure

    assert failure.reason == "STALLED"
    assert f"{STALL_S:g} s" in failure.message


def test_live_work_is_told_alive_again_and_again(rig: Rig) -> None:
    assignment = rig.launch("count")
    told = rig.reports.of(assignment)
    rig.reports.wait(lambda: told.alive >= 3)
    rig.control(assignment, Intent.CANCEL)
    rig.reports.ended(assignment)


@pytest.mark.parametrize("name", ["../up", "/root", "a//b", "", ".hidden", "a\0b", "x" * 256, "ä"])
def test_an_artifact_with_a_bad_name_is_refused(rig: Rig, name: str) -> None:
    assert rig.run("artifact_name", {"name": name}).failure.reason == "ARTIFACT_NAME_INVALID"


def test_a_drained_executor_lets_work_checkpoint_first(rig: Rig) -> None:
    assignment = rig.launch("count")
    rig.reports.begun(assignment)
    rig.executor.stop(30)
    told = rig.reports.ended(assignment)

    assert told.failure.reason == "SERVER_STOPPED"
    assert told.failure.retryable
    assert told.checkpoints


def test_a_stop_without_grace_ends_what_does_not_listen(rig: Rig, release: Path) -> None:
    assignment = rig.launch("ignore_cancel", {"release": str(release)})
    rig.reports.begun(assignment)
    rig.executor.stop(0)

    assert rig.reports.of(assignment).failure.reason == "SERVER_STOPPED"


def test_a_launch_after_the_stop_is_concluded_too(rig: Rig) -> None:
    rig.executor.stop(0)
    assert rig.run("succeed").failure.reason == "SERVER_STOPPED"


def test_an_executor_that_was_never_used_stops(make_rig: MakeRig) -> None:
    executor: Executor = make_rig().executor
    executor.stop(1)
