"""Every step of a job's life, one rule at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.attempt import Asked, Broke, Completed, Intent, Yielded
from jobplane.engine.domain.errors import (
    InputNotPendingError,
    InvalidSpecError,
    InvalidTransitionError,
    JobFinishedError,
)
from jobplane.engine.domain.job import (
    DefaultAction,
    Failure,
    FailureCategory,
    Gap,
    InputRequest,
    Job,
    JobResult,
    JobSpec,
    Question,
    RunPolicy,
    WaitReason,
)
from jobplane.engine.domain.status import MOVES, JobStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CRASH = Failure("CRASHED", FailureCategory.USER_CODE, "signal 11", retryable=True)
BUG = Failure("UNHANDLED_ERROR", FailureCategory.USER_CODE, "KeyError", retryable=False)
LATE = Failure("ATTEMPT_TIMEOUT", FailureCategory.DEADLINE, "too long")
STOPPED = Failure("SERVER_STOPPED", FailureCategory.INFRASTRUCTURE, "stop", retryable=True)


def later(seconds):
    return NOW + timedelta(seconds=seconds)


def queued(**policy):
    job = Job(
        project="demo",
        job_id="j1",
        spec=JobSpec("probe", b"", policy=RunPolicy(**policy)),
        status=JobStatus.QUEUED,
        sequence=0,
        created_at=NOW,
        updated_at=NOW,
    )
    return lifecycle.submitted(job, NOW).job


def running(**policy):
    return lifecycle.begun(queued(**policy), worker="w1", now=NOW).job


def cancelling(**policy):
    return cancel(running(**policy)).job


def pausing(**policy):
    return lifecycle.paused(running(**policy), requester="me", reason="", now=NOW).job


def paused():
    return lifecycle.paused(queued(), requester="me", reason="", now=NOW).job


def asking(**request):
    questions = (Question("proceed", choices=("yes", "no"), default_value="yes", required=True),)
    asked = InputRequest("", "Proceed?", questions, **request)
    return conclude(running(), Asked(asked, 60)).job


def cancel(job, *, force=False, now=NOW):
    return lifecycle.cancelled(job, requester="me", reason="why", force=force, now=now)


def conclude(job, conclusion, now=NOW):
    return lifecycle.concluded(job, conclusion, now=now, jitter=0.0, input_id="q1")


def types(change):
    return [event.type for event in change.events]


def test_the_history_begins_with_submitted():
    change = lifecycle.submitted(replace(queued(), sequence=0), NOW)
    assert [(event.type, event.sequence) for event in change.events] == [("submitted", 1)]


def test_an_attempt_is_counted_when_it_begins():
    job = running()
    assert (job.attempt, job.spent_attempts, job.status) == (1, 1, JobStatus.RUNNING)


@pytest.mark.parametrize("job", [queued(), paused(), asking()], ids=lambda job: job.status)
def test_cancel_ends_at_once_what_does_not_run(job):
    change = cancel(job)
    assert change.job.status is JobStatus.CANCELLED
    assert types(change) == ["control_requested", "status_changed", "finished"]


@pytest.mark.parametrize("job", [running(), pausing()], ids=lambda job: job.status)
def test_cancel_of_what_runs_is_bounded(job):
    change = cancel(job)
    assert change.job.status is JobStatus.CANCELLING
    assert change.job.cancel_request.force_at == later(30)
    assert lifecycle.next_due(change.job) == later(30)


def test_a_repeated_cancel_changes_nothing():
    assert cancel(cancelling(), now=later(5)).events == ()
    done = cancel(queued()).job
    assert cancel(done).events == ()


def test_a_forced_cancel_brings_the_end_of_the_grace_forward_once():
    hurried = cancel(cancelling(), force=True, now=later(1))
    assert hurried.job.cancel_request.force_at == later(1)
    assert cancel(hurried.job, force=True, now=later(2)).events == ()


def test_cancel_of_a_finished_job_is_refused():
    done = conclude(running(), Completed(JobResult())).job
    with pytest.raises(JobFinishedError):
        cancel(done)


def test_a_cancel_that_is_not_obeyed_is_forced():
    change = lifecycle.overdue(cancelling(), now=later(30))
    assert change.job.status is JobStatus.CANCELLED
    assert change.job.failure.reason == "FORCED"


def test_work_that_ends_before_the_cancel_takes_hold_has_won():
    assert conclude(cancelling(), Completed(JobResult())).job.status is JobStatus.SUCCEEDED
    assert conclude(cancelling(), Broke(BUG)).job.status is JobStatus.FAILED


@pytest.mark.parametrize("failure", [CRASH, LATE, STOPPED], ids=lambda failure: failure.reason)
def test_a_cancelled_job_neither_retries_nor_times_out(failure):
    assert conclude(cancelling(), Broke(failure)).job.status is JobStatus.CANCELLED


def test_an_obeyed_cancel_ends_cancelled():
    change = conclude(cancelling(), Yielded(Intent.CANCEL))
    assert change.job.status is JobStatus.CANCELLED
    assert change.job.failure is None


def test_gaps_make_a_success_with_gaps():
    done = conclude(running(), Completed(JobResult(), gaps=(Gap("NO_EVIDENCE", "none"),)))
    assert done.job.status is JobStatus.SUCCEEDED_WITH_GAPS


def test_a_gate_refusal_is_eval_failed_and_not_retried():
    done = conclude(running(), Completed(JobResult(), gate_refusal="mmlu 0.70 < 0.75"))
    assert done.job.status is JobStatus.EVAL_FAILED
    assert done.job.failure.category is FailureCategory.GATE


def test_a_retryable_failure_backs_off_and_tries_again():
    change = conclude(running(initial_backoff_s=4.0), Broke(CRASH))
    assert change.job.status is JobStatus.QUEUED
    assert change.job.wait.reason is WaitReason.RETRY_BACKOFF
    assert change.job.wait.not_before == later(4)
    assert change.events[0].payload.will_retry


def test_attempts_are_bounded():
    assert conclude(running(max_attempts=1), Broke(CRASH)).job.status is JobStatus.FAILED


def test_a_reason_can_be_declared_final():
    done = conclude(running(non_retryable_reasons=("CRASHED",)), Broke(CRASH))
    assert done.job.status is JobStatus.FAILED


def test_a_deadline_of_the_work_is_timed_out():
    assert conclude(running(), Broke(LATE)).job.status is JobStatus.TIMED_OUT


def test_a_stopped_server_costs_the_job_no_attempt():
    change = conclude(running(max_attempts=1), Broke(STOPPED))
    assert change.job.status is JobStatus.QUEUED
    assert change.job.wait is None
    assert change.job.spent_attempts == 0


def test_a_job_that_takes_its_servers_down_is_poison():
    first = running(max_attempts=1)
    lost = lifecycle.lost(first, reason="SERVER_LOST", message="", now=NOW, jitter=0.0)
    assert lost.job.status is JobStatus.FAILED
    assert lost.job.failure.reason == "POISON"


def test_a_lost_attempt_is_retried():
    lost = lifecycle.lost(running(), reason="WORKER_LOST", message="", now=NOW, jitter=0.0)
    assert lost.job.status is JobStatus.QUEUED


def test_pause_of_a_running_job_is_bounded_and_ends_paused():
    change = conclude(pausing(), Yielded(Intent.PAUSE))
    assert change.job.status is JobStatus.PAUSED
    assert change.job.spent_attempts == 0


def test_a_pause_that_is_not_obeyed_is_forced():
    forced = lifecycle.overdue(pausing(), now=later(30))
    assert forced.job.status is JobStatus.PAUSED


def test_an_attempt_lost_while_pausing_ends_paused():
    lost = lifecycle.lost(pausing(), reason="SERVER_LOST", message="", now=NOW, jitter=0.0)
    assert lost.job.status is JobStatus.PAUSED


def test_resume_takes_a_pause_back():
    resumed = lifecycle.resumed(pausing(), requester="me", reason="", now=NOW)
    assert resumed.job.status is JobStatus.RUNNING
    assert resumed.job.pause_request is None


@pytest.mark.parametrize("job", [asking(), cancelling()], ids=lambda job: job.status)
def test_pause_is_refused_where_it_means_nothing(job):
    with pytest.raises(InvalidTransitionError):
        lifecycle.paused(job, requester="me", reason="", now=NOW)


def test_time_in_pause_does_not_count_against_the_total():
    job = queued(total_timeout_s=100)
    held = lifecycle.paused(job, requester="me", reason="", now=later(10)).job
    assert lifecycle.next_due(held) is None
    back = lifecycle.resumed(held, requester="me", reason="", now=later(1000)).job
    assert lifecycle.next_due(back) == later(1090)


def test_total_timeout_ends_a_running_job():
    change = lifecycle.overdue(running(total_timeout_s=5), now=later(5))
    assert change.job.status is JobStatus.TIMED_OUT
    assert change.job.failure.reason == "TOTAL_TIMEOUT"


def test_queue_timeout_spares_a_job_that_has_run():
    job = queued(queue_timeout_s=5)
    assert lifecycle.overdue(job, now=later(5)).job.status is JobStatus.TIMED_OUT
    again = conclude(running(queue_timeout_s=5), Broke(CRASH)).job
    assert lifecycle.overdue(again, now=later(5)).events == ()


def test_a_question_frees_the_slot_and_costs_no_attempt():
    job = asking()
    assert job.status is JobStatus.AWAITING_INPUT
    assert job.pending_input.deadline == later(60)
    assert job.spent_attempts == 0


def test_an_answer_queues_the_job_and_is_idempotent():
    answer = {"input_id": "q1", "answers": {"proceed": "yes"}, "responder": "me", "now": NOW}
    change = lifecycle.answered(asking(), **answer)
    assert change.job.status is JobStatus.QUEUED
    assert lifecycle.answered(change.job, **answer).events == ()


def test_a_stale_answer_is_refused():
    with pytest.raises(InputNotPendingError):
        lifecycle.answered(
            asking(), input_id="q0", answers={"proceed": "yes"}, responder="me", now=NOW
        )


def test_a_bad_answer_is_refused_with_all_that_is_wrong():
    with pytest.raises(InvalidSpecError) as refusal:
        lifecycle.answered(
            asking(), input_id="q1", answers={"proceed": "maybe", "x": "1"}, responder="me", now=NOW
        )
    fields = {violation.field for violation in refusal.value.violations}
    assert fields == {"answers[proceed]", "answers[x]"}


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (DefaultAction.FAIL, JobStatus.TIMED_OUT),
        (DefaultAction.CANCEL, JobStatus.CANCELLED),
        (DefaultAction.USE_DEFAULTS, JobStatus.QUEUED),
    ],
)
def test_an_unanswered_question_ends_by_its_default(action, status):
    job = asking(default_action=action)
    assert lifecycle.overdue(job, now=later(60)).job.status is status


def test_times_of_a_job_never_turn_around():
    job = replace(running(), updated_at=later(100))
    assert cancel(job, now=NOW).job.updated_at == later(100)


def test_terminal_statuses_have_no_exits():
    assert all(not MOVES[status] for status in JobStatus if status.is_terminal)
