"""Schedules: jobs that the clock submits."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobplane.engine.domain.submission import Submission

RECENT_FIRES = 10
DEFAULT_ZONE = "UTC"
DEFAULT_CATCHUP_S = 60.0


class OverlapPolicy(StrEnum):
    """What a fire does while a job of the schedule is not finished."""

    SKIP = "SKIP"
    QUEUE_ONE = "QUEUE_ONE"
    CANCEL_RUNNING = "CANCEL_RUNNING"
    ALLOW = "ALLOW"


class FireOutcome(StrEnum):
    """What became of a nominal time."""

    SUBMITTED = "SUBMITTED"
    SKIPPED = "SKIPPED"
    WAITING = "WAITING"
    MISSED = "MISSED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Fire:
    """One decision about a nominal time, or about several in a row."""

    nominal_at: datetime
    decided_at: datetime
    outcome: FireOutcome
    last_nominal_at: datetime | None = None
    job: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the owner of a schedule says: when, what, and what to do about trouble."""

    cron: str
    # Everything of a submission but key, job id, creator and schedule.
    template: Submission
    time_zone: str = DEFAULT_ZONE
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    catchup_s: float = DEFAULT_CATCHUP_S
    jitter_s: float = 0.0
    paused: bool = False
    pause_reason: str = ""
    pause_after_failures: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule, whole."""

    project: str
    schedule_id: str
    plan: Plan
    creator: str
    created_at: datetime
    updated_at: datetime
    # When the times below were computed; a clock that was turned back is before it.
    decided_at: datetime
    # Failures of jobs from before do not count.
    counting_since: datetime
    version: int = 1
    # The nominal time that comes next, and when it fires; None while paused.
    next_at: datetime | None = None
    fire_at: datetime | None = None
    # A nominal time whose fire waits for the job before.
    waiting_at: datetime | None = None
    # Newest first.
    fires: tuple[Fire, ...] = ()

    @property
    def name(self) -> str:
        """Resource name."""
        return schedule_name(self.project, self.schedule_id)

    @property
    def etag(self) -> str:
        """Text that changes whenever the plan does."""
        return f'"{self.version}"'

    def with_fire(self, fire: Fire) -> tuple[Fire, ...]:
        """The last fires with this one; a later decision about a time replaces the earlier."""
        rest = [one for one in self.fires if one.nominal_at != fire.nominal_at]
        return (fire, *rest)[:RECENT_FIRES]


def schedule_name(project: str, schedule_id: str) -> str:
    """Resource name of a schedule."""
    return f"projects/{project}/schedules/{schedule_id}"


def split_schedule_name(name: str) -> tuple[str, str]:
    """Project and schedule id of a well-formed schedule name."""
    _, project, _, schedule_id = name.split("/")
    return project, schedule_id


def fire_key(name: str, nominal_at: datetime) -> str:
    """Idempotency key of the job of a nominal time: it can have one only."""
    return f"{name}@{nominal_at.isoformat().replace('+00:00', 'Z')}"
