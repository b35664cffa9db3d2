"""Bounds of time and retries, with every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from jobplane.engine.domain.job import Failure, Job, RunPolicy

DAY_S = 86400.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A run policy without holes; None means no bound."""

    queue_timeout_s: float | None
    attempt_timeout_s: float | None
    total_timeout_s: float | None
    max_attempts: int
    initial_backoff_s: float
    max_backoff_s: float
    backoff_multiplier: float
    non_retryable_reasons: frozenset[str]
    cancel_grace_s: float
    retention_s: float
    stage_timeouts_s: Mapping[str, float] = field(default_factory=dict[str, float])


def merged(policy: RunPolicy, fallback: RunPolicy) -> RunPolicy:
    """`policy` with its holes filled from `fallback`."""

    def pick(name: str) -> object:
        value = getattr(policy, name)
        return getattr(fallback, name) if value is None else value

    optional = {name: pick(name) for name in _OPTIONAL}
    return RunPolicy(
        **optional,  # type: ignore[arg-type]  # names and types are those of RunPolicy itself
        non_retryable_reasons=policy.non_retryable_reasons or fallback.non_retryable_reasons,
        stage_timeouts_s={**fallback.stage_timeouts_s, **policy.stage_timeouts_s},
    )


_OPTIONAL = (
    "queue_timeout_s",
    "attempt_timeout_s",
    "total_timeout_s",
    "max_attempts",
    "initial_backoff_s",
    "max_backoff_s",
    "backoff_multiplier",
    "cancel_grace_s",
    "checkpoint_interval_s",
    "start_at",
    "retention_s",
)


def bounds_of(policy: RunPolicy) -> Bounds:
    """The policy with the plane's own defaults in its holes."""
    return Bounds(
        queue_timeout_s=policy.queue_timeout_s,
        attempt_timeout_s=policy.attempt_timeout_s,
        total_timeout_s=policy.total_timeout_s,
        max_attempts=_or(policy.max_attempts, 3),
        initial_backoff_s=_or(policy.initial_backoff_s, 1.0),
        max_backoff_s=_or(policy.max_backoff_s, 60.0),
        backoff_multiplier=_or(policy.backoff_multiplier, 2.0),
        non_retryable_reasons=frozenset(policy.non_retryable_reasons),
        cancel_grace_s=_or(policy.cancel_grace_s, 30.0),
        retention_s=_or(policy.retention_s, 30 * DAY_S),
        stage_timeouts_s=policy.stage_timeouts_s,
    )


def _or(value: T | None, fallback: T) -> T:
    return fallback if value is None else value


def may_retry(job: Job, failure: Failure) -> bool:
    """Whether another attempt is allowed and useful."""
    bounds = bounds_of(job.spec.policy)
    return (
        failure.retryable
        and failure.reason not in bounds.non_retryable_reasons
        and job.spent_attempts < bounds.max_attempts
    )


def backoff_s(job: Job, *, jitter: float) -> float:
    """Seconds to wait before the next attempt; `jitter` in 0..1 takes up to half of it."""
    bounds = bounds_of(job.spec.policy)
    exponent = max(job.spent_attempts - 1, 0)
    # The exponent is capped so that a multiplier can't overflow a float.
    full = bounds.initial_backoff_s * bounds.backoff_multiplier ** min(exponent, 64)
    return min(full, bounds.max_backoff_s) * (1 - jitter / 2)


def total_deadline(job: Job) -> datetime | None:
    """When total_timeout ends the job; the clock stands still while it is paused."""
    bounds = bounds_of(job.spec.policy)
    if bounds.total_timeout_s is None or job.paused_at is not None:
        return None
    return job.created_at + timedelta(seconds=bounds.total_timeout_s + job.paused_s)


def queue_deadline(job: Job) -> datetime | None:
    """When queue_timeout ends a job that never ran."""
    bounds = bounds_of(job.spec.policy)
    if bounds.queue_timeout_s is None or job.attempt > 0:
        return None
    return job.created_at + timedelta(seconds=bounds.queue_timeout_s + job.paused_s)
