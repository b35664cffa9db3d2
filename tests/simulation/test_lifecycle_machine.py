"""Any order of steps of a job's life, as pure functions, against the table of moves."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.attempt import Asked, Broke, Completed, Intent, Yielded
from jobplane.engine.domain.errors import EngineError
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
)
from jobplane.engine.domain.policy import bounds_of
from jobplane.engine.domain.status import JobStatus
from tests.simulation.model import ACTIVE, AFTER_CANCEL, END, TABLE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = {"requester": "me", "reason": ""}
seconds = st.sampled_from((None, 0.0, 5.0, 3600.0))
policies = st.builds(
    RunPolicy,
    queue_timeout_s=seconds,
    total_timeout_s=seconds,
    max_attempts=st.sampled_from((None, 1, 2)),
    cancel_grace_s=st.sampled_from((None, 0.0, 5.0)),
    non_retryable_reasons=st.sampled_from(((), ("CRASHED",))),
)
failures = st.builds(
    Failure,
    reason=st.sampled_from(("CRASHED", "SERVER_STOPPED", "ATTEMPT_TIMEOUT")),
    category=st.sampled_from((FailureCategory.USER_CODE, FailureCategory.DEADLINE)),
    message=st.just("it broke"),
    retryable=st.booleans(),
)
requests = st.builds(
    InputRequest,
    input_id=st.just(""),
    prompt=st.just("go on?"),
    questions=st.just((Question("q", choices=("yes", "no"), default_value="no"),)),
    default_action=st.sampled_from(DefaultAction),
)
conclusions = st.one_of(
    st.builds(
        Completed,
        st.just(JobResult()),
        gaps=st.sampled_from(((), (Gap("NONE", "a gap"),))),
        gate_refusal=st.sampled_from(("", "0.7 < 0.8")),
    ),
    st.builds(Broke, failures),
    st.builds(Yielded, st.sampled_from((Intent.CANCEL, Intent.PAUSE))),
    st.builds(Asked, requests, st.sampled_from((1.0, 60.0))),
)


class LifeOfAJob(RuleBasedStateMachine):
    """One job; each rule is something that may happen to it, at any time."""

    def __init__(self):
        super().__init__()
        self.job = None
        self.now = NOW
        self.history = []
        self.questions = 0

    def step(self, change):
        """Take a change as the store would, and hold it to the promises."""
        events = change.events
        assert [one.sequence for one in events] == [
            len(self.history) + number for number in range(1, len(events) + 1)
        ]
        assert change.job.sequence == len(self.history) + len(events)
        assert events or change.job == (change.before or change.job)
        if any(event[0] == "finished" for event in self.history):
            assert not events
        was_cancelled = any(
            event[0] == "control_requested" and event[2] == "cancel" for event in self.history
        )
        status = self.history[-1][1] if self.history else "QUEUED"
        for event in events:
            if event.type == "status_changed":
                assert (event.payload.source, event.payload.target) == (status, event.status)
                assert event.status in TABLE[status]
                assert not was_cancelled or event.status in AFTER_CANCEL
                status = event.status.value
            assert event.status == status
            told = event.payload.action if event.type == "control_requested" else ""
            was_cancelled = was_cancelled or told == "cancel"
            self.history.append((event.type, status, told))
        assert change.job.status == status
        self.job = change.job

    @rule(policy=policies)
    @precondition(lambda self: self.job is None)
    def submit(self, policy):
        job = Job(
            project="demo",
            job_id="j",
            spec=JobSpec("probe", b"", policy=policy),
            status=JobStatus.QUEUED,
            sequence=0,
            created_at=self.now,
            updated_at=self.now,
        )
        self.step(lifecycle.submitted(job, self.now))

    @rule(after_s=st.sampled_from((0.1, 10.0, 7200.0, -3600.0, 3600.0)))
    def time_passes(self, after_s):
        self.now += timedelta(seconds=after_s)

    @rule()
    @precondition(lambda self: self.job is not None and self.job.status is JobStatus.QUEUED)
    def begin(self):
        before = self.job.spent_attempts
        self.step(lifecycle.begun(self.job, worker="w", now=self.now))
        assert self.job.spent_attempts == before + 1

    @rule(force=st.booleans())
    @precondition(lambda self: self.job is not None)
    def cancel(self, force):
        self.ask(lambda: lifecycle.cancelled(self.job, force=force, now=self.now, **FACTS))

    @rule()
    @precondition(lambda self: self.job is not None)
    def pause(self):
        self.ask(lambda: lifecycle.paused(self.job, now=self.now, **FACTS))

    @rule()
    @precondition(lambda self: self.job is not None)
    def resume(self):
        self.ask(lambda: lifecycle.resumed(self.job, now=self.now, **FACTS))

    @rule(answer=st.sampled_from(("yes", "no", "perhaps")))
    @precondition(lambda self: self.job is not None and self.job.pending_input is not None)
    def answer(self, answer):
        input_id = self.job.pending_input.input_id
        self.ask(
            lambda: lifecycle.answered(
                self.job,
                input_id=input_id,
                answers={"q": answer},
                responder="me",
                now=self.now,
            )
        )

    @rule(conclusion=conclusions, jitter=st.sampled_from((0.0, 1.0)))
    @precondition(lambda self: self.job is not None and self.job.status.is_active)
    def conclude(self, conclusion, jitter):
        self.questions += 1
        self.step(
            lifecycle.concluded(
                self.job, conclusion, now=self.now, jitter=jitter, input_id=f"q{self.questions}"
            )
        )
        assert not self.job.status.is_active

    @rule(reason=st.sampled_from(("SERVER_LOST", "WORKER_LOST")))
    @precondition(lambda self: self.job is not None and self.job.status.is_active)
    def lose(self, reason):
        self.step(lifecycle.lost(self.job, reason=reason, message="", now=self.now, jitter=0.5))
        assert not self.job.status.is_active

    @rule()
    @precondition(lambda self: self.job is not None and not self.job.status.is_terminal)
    def look_at_deadlines(self):
        due = lifecycle.next_due(self.job)
        change = lifecycle.overdue(self.job, now=self.now)
        # What the store's index says is due is what is done, and nothing else.
        assert bool(change.events) == (due is not None and due <= self.now)
        self.step(change)

    def ask(self, call):
        before = self.job
        try:
            change = call()
        except EngineError:
            assert self.job is before
        else:
            self.step(change)

    @invariant()
    def bounded_states_have_their_bound(self):
        if self.job is not None and self.job.status in {
            JobStatus.PAUSING,
            JobStatus.CANCELLING,
            JobStatus.AWAITING_INPUT,
        }:
            assert lifecycle.next_due(self.job) is not None

    @invariant()
    def an_end_is_told_once_and_last(self):
        types = [event[0] for event in self.history]
        is_over = self.job is not None and self.job.status in END
        assert types.count("finished") == int(is_over)
        assert not is_over or types[-1] == "finished"

    @invariant()
    def attempts_are_bounded(self):
        if self.job is not None:
            assert 0 <= self.job.spent_attempts <= bounds_of(self.job.spec.policy).max_attempts

    @invariant()
    def an_attempt_begins_and_ends_before_the_next(self):
        types = [event[0] for event in self.history]
        begun, over = types.count("attempt_started"), types.count("attempt_finished")
        is_active = self.job is not None and self.job.status in ACTIVE
        assert begun - over == int(is_active)

    @invariant()
    def times_never_turn_around(self):
        if self.job is not None:
            assert self.job.updated_at >= self.job.created_at


LifeOfAJob.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestLifeOfAJob = LifeOfAJob.TestCase
