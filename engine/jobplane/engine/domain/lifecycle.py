"""Every step of a job's life, as pure functions: a job and what happens to it, to a change.

Nothing here reads a clock, a store or a random number: they are handed in. A refusal is
an exception; a step that has nothing to do gives a change without events.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from jobplane.engine.domain.attempt import Asked, Broke, Completed, Conclusion, Intent, Yielded
from jobplane.engine.domain.change import Change, Draft
from jobplane.engine.domain.errors import (
    InputNotPendingError,
    InvalidSpecError,
    InvalidTransitionError,
    JobFinishedError,
    Violation,
)
from jobplane.engine.domain.event import (
    AttemptFinished,
    AttemptStarted,
    ControlRequested,
    InputProvided,
    InputRequested,
    Submitted,
    Updated,
)
from jobplane.engine.domain.job import (
    ControlRequest,
    DefaultAction,
    Failure,
    FailureCategory,
    InputRequest,
    Job,
    JobSpec,
    Wait,
    WaitReason,
    finite,
)
from jobplane.engine.domain.policy import (
    backoff_s,
    bounds_of,
    may_retry,
    queue_deadline,
    total_deadline,
)
from jobplane.engine.domain.status import JobStatus

SYSTEM = "system"
DEPENDENCY_UNSATISFIABLE = "DEPENDENCY_UNSATISFIABLE"
BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
# Ends of an attempt that are the plane's doing, not the job's.
_NOT_THE_JOBS_FAULT = frozenset({"SERVER_STOPPED"})


def submitted(job: Job, now: datetime) -> Change:
    """A new job is durable; its history begins with event 1."""
    draft = Draft(job, now, new=True)
    draft.emit(Submitted(job.creator, job.kind))
    return draft.change()


def begun(job: Job, *, worker: str, now: datetime) -> Change:
    """A worker takes the job: the attempt is counted before it starts."""
    draft = Draft(job, now)
    draft.set(
        attempt=job.attempt + 1,
        spent_attempts=job.spent_attempts + 1,
        started_at=job.started_at or draft.now,
        attempt_started_at=draft.now,
        heartbeat_at=draft.now,
        progress=None,
    )
    draft.move(JobStatus.RUNNING)
    draft.emit(AttemptStarted(worker, job.checkpoint.id if job.checkpoint else ""))
    return draft.change()


def cancelled(job: Job, *, requester: str, reason: str, force: bool, now: datetime) -> Change:
    """Somebody asked for an end: at once where nothing runs, bounded where something does."""
    if job.status is JobStatus.CANCELLED:
        return Change(job, job)
    if job.status.is_terminal:
        raise JobFinishedError(job.name, "cancel", job.status, _unfinished())
    draft = Draft(job, now)
    grace_s = 0.0 if force else bounds_of(job.spec.policy).cancel_grace_s
    request = ControlRequest(requester, reason, draft.now, draft.now + timedelta(seconds=grace_s))
    if job.status is JobStatus.CANCELLING:
        return _hurried(draft, request) if force else Change(job, job)
    draft.set(cancel_request=request)
    draft.emit(ControlRequested("cancel", request))
    if job.status.is_active:
        draft.move(JobStatus.CANCELLING, "CANCEL_REQUESTED")
    else:
        _finish(draft, JobStatus.CANCELLED, "CANCEL_REQUESTED")
    return draft.change()


def _hurried(draft: Draft, request: ControlRequest) -> Change:
    """Bring the end of the grace forward, once."""
    current = draft.job.cancel_request
    if current and current.force_at and current.force_at <= draft.now:
        return Change(draft.before, draft.job)
    draft.set(cancel_request=request)
    draft.emit(ControlRequested("cancel", request))
    return draft.change()


def paused(job: Job, *, requester: str, reason: str, now: datetime) -> Change:
    """Somebody asked to suspend: a checkpoint first where something runs."""
    if job.status in {JobStatus.PAUSING, JobStatus.PAUSED}:
        return Change(job, job)
    if job.status not in {JobStatus.QUEUED, JobStatus.RUNNING}:
        allowed = [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.PAUSED]
        raise InvalidTransitionError(job.name, "pause", job.status, allowed)
    draft = Draft(job, now)
    grace_s = bounds_of(job.spec.policy).cancel_grace_s if job.status.is_active else 0.0
    request = ControlRequest(requester, reason, draft.now, draft.now + timedelta(seconds=grace_s))
    draft.set(pause_request=request)
    draft.emit(ControlRequested("pause", request))
    if job.status.is_active:
        draft.move(JobStatus.PAUSING, "PAUSE_REQUESTED")
    else:
        _suspend(draft, "PAUSE_REQUESTED")
    return draft.change()


def resumed(job: Job, *, requester: str, reason: str, now: datetime) -> Change:
    """Somebody asked to go on: from the last checkpoint, or as if no pause had been asked for."""
    if job.status in {JobStatus.QUEUED, JobStatus.RUNNING}:
        return Change(job, job)
    if job.status not in {JobStatus.PAUSED, JobStatus.PAUSING}:
        allowed = [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSING, JobStatus.PAUSED]
        raise InvalidTransitionError(job.name, "resume", job.status, allowed)
    draft = Draft(job, now)
    draft.set(pause_request=None)
    draft.emit(ControlRequested("resume", ControlRequest(requester, reason, draft.now)))
    if job.status is JobStatus.PAUSING:
        draft.move(JobStatus.RUNNING, "RESUME_REQUESTED")
    else:
        if job.paused_at:
            pause_s = (draft.now - job.paused_at).total_seconds()
            draft.set(paused_s=job.paused_s + pause_s, paused_at=None)
        draft.move(JobStatus.QUEUED, "RESUME_REQUESTED", wait=start_wait(job.spec, draft.now))
    return draft.change()


def updated(
    job: Job,
    *,
    priority: int | None,
    queue: str | None,
    labels: Mapping[str, str] | None,
    updater: str,
    now: datetime,
) -> Change:
    """Somebody moved the job, or named it otherwise; what is the same is no change."""
    if job.status.is_terminal:
        raise JobFinishedError(job.name, "update", job.status, _unfinished())
    wished = {"priority": priority, "queue": queue, "labels": labels}
    new = {
        name: value
        for name, value in wished.items()
        if value is not None and value != getattr(job, name)
    }
    if not new:
        return Change(job, job)
    draft = Draft(job, now)
    draft.set(**new)
    draft.emit(Updated(tuple(new), updater))
    return draft.change()


def start_wait(spec: JobSpec, now: datetime) -> Wait | None:
    """The wait of a job that is not meant to start yet."""
    start_at = spec.policy.start_at
    if start_at is None or start_at <= now:
        return None
    return Wait(WaitReason.START_TIME, "it starts at policy.start_time", not_before=start_at)


def answered(
    job: Job, *, input_id: str, answers: Mapping[str, str], responder: str, now: datetime
) -> Change:
    """Somebody answered the open question."""
    pending = job.pending_input
    if pending is None or pending.input_id != input_id:
        same = job.answered_input == input_id and dict(job.answers) == dict(answers)
        if same and not pending:
            return Change(job, job)
        raise InputNotPendingError(job.name, pending.input_id if pending else "")
    violations = list(_answer_violations(pending, answers))
    if violations:
        raise InvalidSpecError(violations)
    draft = Draft(job, now)
    _accept_answers(draft, pending, answers, responder)
    return draft.change()


def _answer_violations(request: InputRequest, answers: Mapping[str, str]) -> list[Violation]:
    known = {question.id: question for question in request.questions}
    violations = [
        Violation(f"answers[{key}]", f"no such question; the questions are {', '.join(known)}")
        for key in answers
        if key not in known
    ]
    for question in request.questions:
        given = answers.get(question.id)
        if given is None:
            if question.required:
                violations.append(Violation(f"answers[{question.id}]", "an answer is required"))
        elif question.choices and given not in question.choices:
            allowed = ", ".join(question.choices)
            violations.append(Violation(f"answers[{question.id}]", f"must be one of: {allowed}"))
    return violations


def _accept_answers(
    draft: Draft, request: InputRequest, answers: Mapping[str, str], responder: str
) -> None:
    draft.set(
        pending_input=None,
        answers={**draft.job.answers, **answers},
        answered_input=request.input_id,
    )
    draft.emit(InputProvided(request.input_id, responder, answers))
    draft.move(JobStatus.QUEUED, "INPUT_PROVIDED")


def concluded(
    job: Job, conclusion: Conclusion, *, now: datetime, jitter: float, input_id: str
) -> Change:
    """The live attempt ended, this way or that."""
    draft = Draft(job, now)
    _account(draft)
    match conclusion:
        case Completed():
            _complete(draft, conclusion)
        case Broke(failure):
            _break(draft, replace(failure, attempt=job.attempt), jitter)
        case Yielded(intent):
            _yield(draft, intent)
        case Asked(request, timeout_s):
            deadline = draft.now + timedelta(seconds=timeout_s)
            _ask(draft, replace(request, input_id=input_id, deadline=deadline))
    return draft.change()


def _account(draft: Draft) -> None:
    """Add the attempt's run time to the usage."""
    job = draft.job
    if job.attempt_started_at:
        run_s = max((draft.now - job.attempt_started_at).total_seconds(), 0.0)
        gpu_hours = run_s / 3600 * job.spec.resources.gpu_count
        usage = replace(
            job.usage, run_s=job.usage.run_s + run_s, gpu_hours=job.usage.gpu_hours + gpu_hours
        )
        draft.set(usage=usage, attempt_started_at=None)


def _complete(draft: Draft, conclusion: Completed) -> None:
    result = replace(conclusion.result, metrics=finite(conclusion.result.metrics))
    draft.set(result=result, gaps=conclusion.gaps, pause_request=None)
    if conclusion.gate_refusal:
        failure = Failure(
            "GATE_REFUSED", FailureCategory.GATE, conclusion.gate_refusal, attempt=draft.job.attempt
        )
        draft.set(failure=failure)
        draft.emit(AttemptFinished(failure))
        _finish(draft, JobStatus.EVAL_FAILED, failure.reason)
        return
    draft.emit(AttemptFinished())
    _finish(draft, JobStatus.SUCCEEDED_WITH_GAPS if conclusion.gaps else JobStatus.SUCCEEDED)


def _break(draft: Draft, failure: Failure, jitter: float) -> None:
    """An attempt failed: what that means depends on what the job was asked to do meanwhile."""
    job = draft.job
    if failure.reason in _NOT_THE_JOBS_FAULT:
        draft.set(spent_attempts=job.spent_attempts - 1)
    retry = may_retry(draft.job, failure)
    deadline = failure.category is FailureCategory.DEADLINE
    if job.status is JobStatus.CANCELLING:
        _break_cancelling(draft, failure, ends=not (failure.retryable or deadline))
    elif job.status is JobStatus.PAUSING and failure.retryable:
        draft.emit(AttemptFinished(failure))
        _suspend(draft, failure.reason)
    elif retry:
        _requeue(draft, failure, jitter)
    else:
        draft.set(failure=failure, pause_request=None)
        draft.emit(AttemptFinished(failure))
        target = JobStatus.TIMED_OUT if deadline else JobStatus.FAILED
        _finish(draft, target, failure.reason)


def _break_cancelling(draft: Draft, failure: Failure, *, ends: bool) -> None:
    draft.emit(AttemptFinished(failure))
    if ends:
        draft.set(failure=failure)
        _finish(draft, JobStatus.FAILED, failure.reason)
    else:
        _finish(draft, JobStatus.CANCELLED, "CANCEL_REQUESTED")


def _requeue(draft: Draft, failure: Failure, jitter: float) -> None:
    """Try again: at once where the plane itself stopped the attempt, else after a back-off."""
    wait = None
    if failure.reason not in _NOT_THE_JOBS_FAULT:
        not_before = draft.now + timedelta(seconds=backoff_s(draft.job, jitter=jitter))
        wait = Wait(
            WaitReason.RETRY_BACKOFF,
            f"attempt {failure.attempt} failed: {failure.reason}",
            not_before=not_before,
        )
    draft.emit(AttemptFinished(failure, True, wait.not_before if wait else draft.now))
    draft.set(heartbeat_at=None)
    draft.move(JobStatus.QUEUED, failure.reason, wait=wait)


def _yield(draft: Draft, intent: Intent) -> None:
    draft.emit(AttemptFinished())
    if draft.status is JobStatus.CANCELLING:
        _finish(draft, JobStatus.CANCELLED, "CANCEL_REQUESTED")
        return
    draft.set(spent_attempts=draft.job.spent_attempts - 1, heartbeat_at=None)
    if draft.status is JobStatus.PAUSING:
        _suspend(draft, "PAUSE_REQUESTED")
    else:
        # The pause was taken back too late, or the server drains: go on in a new attempt.
        draft.move(JobStatus.QUEUED, f"{intent}_OVERTAKEN")


def _ask(draft: Draft, request: InputRequest) -> None:
    if draft.status is not JobStatus.RUNNING:
        _yield(draft, Intent.PAUSE)
        return
    draft.set(
        pending_input=request,
        spent_attempts=draft.job.spent_attempts - 1,
        heartbeat_at=None,
    )
    draft.emit(AttemptFinished())
    draft.emit(InputRequested(request))
    draft.move(JobStatus.AWAITING_INPUT, "INPUT_REQUESTED")


def overdue(job: Job, *, now: datetime) -> Change:
    """A deadline of the job may have passed: enforce it."""
    draft = Draft(job, now)
    total = total_deadline(job)
    match job.status:
        case JobStatus.CANCELLING if _passed(job.cancel_request, now):
            _force_cancel(draft)
        case JobStatus.PAUSING if _passed(job.pause_request, now):
            _account(draft)
            failure = _failure(job, "FORCED", "the pause was forced when its grace was over")
            draft.emit(AttemptFinished(failure))
            draft.set(spent_attempts=job.spent_attempts - 1)
            _suspend(draft, "FORCED")
        case JobStatus.AWAITING_INPUT if job.pending_input and _is_past(
            job.pending_input.deadline, now
        ):
            _answer_by_default(draft, job.pending_input)
        case JobStatus.QUEUED if _is_past(queue_deadline(job), now):
            _time_out(draft, "QUEUE_TIMEOUT", "it waited longer than queue_timeout")
        case (
            JobStatus.QUEUED | JobStatus.RUNNING | JobStatus.PAUSING | JobStatus.AWAITING_INPUT
        ) if _is_past(total, now):
            _account(draft)
            _time_out(draft, "TOTAL_TIMEOUT", "it lived longer than total_timeout")
        case _:
            pass
    return draft.change()


def _passed(request: ControlRequest | None, now: datetime) -> bool:
    return request is not None and _is_past(request.force_at, now)


def _is_past(deadline: datetime | None, now: datetime) -> bool:
    return deadline is not None and deadline <= now


def _force_cancel(draft: Draft) -> None:
    _account(draft)
    failure = _failure(draft.job, "FORCED", "it did not stop within its grace and was killed")
    draft.set(failure=failure)
    draft.emit(AttemptFinished(failure))
    _finish(draft, JobStatus.CANCELLED, "FORCED")


def _answer_by_default(draft: Draft, request: InputRequest) -> None:
    match request.default_action:
        case DefaultAction.USE_DEFAULTS:
            defaults = {question.id: question.default_value for question in request.questions}
            _accept_answers(draft, request, defaults, SYSTEM)
        case DefaultAction.CANCEL:
            _finish(draft, JobStatus.CANCELLED, "INPUT_TIMEOUT")
        case DefaultAction.FAIL:
            _time_out(draft, "INPUT_TIMEOUT", "nobody answered in time")


def _time_out(draft: Draft, reason: str, message: str) -> None:
    failure = Failure(reason, FailureCategory.DEADLINE, message, attempt=draft.job.attempt)
    draft.set(failure=failure, pause_request=None)
    if draft.status.is_active:
        draft.emit(AttemptFinished(failure))
    _finish(draft, JobStatus.TIMED_OUT, reason)


def lost(job: Job, *, reason: str, message: str, now: datetime, jitter: float) -> Change:
    """The worker of the live attempt is gone."""
    failure = Failure(reason, FailureCategory.INFRASTRUCTURE, message, retryable=True)
    draft = Draft(job, now)
    if job.status is JobStatus.RUNNING and not may_retry(job, failure) and reason == "SERVER_LOST":
        # Every attempt took its server down with it: no server shall try again.
        message = f"{job.spent_attempts} attempts ended with the death of their server"
        failure = Failure("POISON", FailureCategory.INFRASTRUCTURE, message)
    _account(draft)
    _break(draft, replace(failure, attempt=job.attempt), jitter)
    return draft.change()


def unsatisfiable(job: Job, *, upstream: str, status: JobStatus, now: datetime) -> Change:
    """What the job waits for can't come true any more."""
    draft = Draft(job, now)
    message = f"{upstream} ended {status}, so a condition of this job can never hold"
    failure = Failure(DEPENDENCY_UNSATISFIABLE, FailureCategory.DEPENDENCY, message)
    draft.set(failure=failure)
    _finish(draft, JobStatus.CANCELLED, DEPENDENCY_UNSATISFIABLE)
    return draft.change()


def next_due(job: Job) -> datetime | None:
    """When `overdue` must look at the job again."""
    request = None
    match job.status:
        case JobStatus.CANCELLING:
            return job.cancel_request.force_at if job.cancel_request else None
        case JobStatus.PAUSING:
            request = job.pause_request
        case JobStatus.AWAITING_INPUT:
            deadline = job.pending_input.deadline if job.pending_input else None
            return _earliest(deadline, total_deadline(job))
        case JobStatus.QUEUED:
            return _earliest(queue_deadline(job), total_deadline(job))
        case JobStatus.RUNNING:
            pass
        case _:
            return None
    return _earliest(request.force_at if request else None, total_deadline(job))


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def _suspend(draft: Draft, reason: str) -> None:
    draft.set(paused_at=draft.now, heartbeat_at=None)
    draft.move(JobStatus.PAUSED, reason)


def _finish(draft: Draft, target: JobStatus, reason: str = "") -> None:
    draft.finish(target, reason, retention_s=bounds_of(draft.job.spec.policy).retention_s)


def _failure(job: Job, reason: str, message: str) -> Failure:
    return Failure(reason, FailureCategory.INFRASTRUCTURE, message, attempt=job.attempt)


def _unfinished() -> list[str]:
    return [status for status in JobStatus if not status.is_terminal]
