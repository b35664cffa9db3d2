"""The one vocabulary of states, and the one table of moves between them."""

from enum import StrEnum


class Phase(StrEnum):
    """Closed set of what a status means to a caller."""

    WAITING = "WAITING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    FINISHED = "FINISHED"


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    AWAITING_INPUT = "AWAITING_INPUT"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    SUCCEEDED_WITH_GAPS = "SUCCEEDED_WITH_GAPS"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    CANCELLED = "CANCELLED"
    EVAL_FAILED = "EVAL_FAILED"

    @property
    def phase(self) -> Phase:
        """Phase that the status belongs to."""
        return PHASES[self]

    @property
    def is_terminal(self) -> bool:
        """Whether a job in this status is over."""
        return PHASES[self] is Phase.FINISHED

    @property
    def is_active(self) -> bool:
        """Whether an attempt is live in this status."""
        return PHASES[self] is Phase.ACTIVE


PHASES = {
    JobStatus.QUEUED: Phase.WAITING,
    JobStatus.RUNNING: Phase.ACTIVE,
    JobStatus.PAUSING: Phase.ACTIVE,
    JobStatus.CANCELLING: Phase.ACTIVE,
    JobStatus.PAUSED: Phase.SUSPENDED,
    JobStatus.AWAITING_INPUT: Phase.SUSPENDED,
    JobStatus.SUCCEEDED: Phase.FINISHED,
    JobStatus.SUCCEEDED_WITH_GAPS: Phase.FINISHED,
    JobStatus.FAILED: Phase.FINISHED,
    JobStatus.TIMED_OUT: Phase.FINISHED,
    JobStatus.CANCELLED: Phase.FINISHED,
    JobStatus.EVAL_FAILED: Phase.FINISHED,
}

_WORK_ENDS = {
    JobStatus.SUCCEEDED,
    JobStatus.SUCCEEDED_WITH_GAPS,
    JobStatus.FAILED,
    JobStatus.EVAL_FAILED,
}

MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset(
        {JobStatus.RUNNING, JobStatus.PAUSED, JobStatus.CANCELLED, JobStatus.TIMED_OUT}
    ),
    JobStatus.RUNNING: frozenset(
        {
            *_WORK_ENDS,
            JobStatus.TIMED_OUT,
            JobStatus.QUEUED,
            JobStatus.PAUSING,
            JobStatus.AWAITING_INPUT,
            JobStatus.CANCELLING,
        }
    ),
    JobStatus.PAUSING: frozenset(
        {
            *_WORK_ENDS,
            JobStatus.TIMED_OUT,
            JobStatus.PAUSED,
            JobStatus.RUNNING,
            JobStatus.CANCELLING,
        }
    ),
    JobStatus.PAUSED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.AWAITING_INPUT: frozenset(
        {JobStatus.QUEUED, JobStatus.TIMED_OUT, JobStatus.CANCELLED}
    ),
    # Work that ends before the cancel takes hold has won the race, but never by a time-out.
    JobStatus.CANCELLING: frozenset({*_WORK_ENDS, JobStatus.CANCELLED}),
    **{status: frozenset() for status in JobStatus if PHASES[status] is Phase.FINISHED},
}


def may_move(source: JobStatus, target: JobStatus) -> bool:
    """Whether the table of moves has this move."""
    return target in MOVES[source]
