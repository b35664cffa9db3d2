"""Quotas: what a project may still do, what it uses, and what happens at a limit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from jobplane.engine.domain.errors import (
    EtagMismatchError,
    InvalidSpecError,
    QuotaExceededError,
    Violation,
)
from jobplane.engine.domain.job import Job, Resources
from jobplane.engine.store import events, jobs, quotas
from jobplane.engine.store.database import Transaction
from jobplane.engine.store.loads import Deltas
from jobplane.engine.store.quotas import (
    ARTIFACT_BYTES,
    GPU_HOURS,
    MINUTE,
    QUEUED,
    RUNNING,
    SUBMITS_PER_MINUTE,
    Limits,
)

FIXED = (QUEUED, RUNNING, SUBMITS_PER_MINUTE, GPU_HOURS, ARTIFACT_BYTES)
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of a project and what is used of them."""

    project: str
    limits: Mapping[str, float]
    usage: Mapping[str, float]
    reset_at: datetime
    etag: str

    @property
    def name(self) -> str:
        """Resource name."""
        return quota_name(self.project)


def quota_name(project: str) -> str:
    """Resource name of a project's quota."""
    return f"projects/{project}/quota"


def read_quota(connection: Connection, project: str, *, now: datetime) -> Quota:
    """The quota as it stands, counted exactly."""
    limits = quotas.limits_of(connection, project)
    queued, by_kind = quotas.load_of(connection, project)
    kinds = {metric.removeprefix(f"{RUNNING}.") for metric in limits.by_metric if "." in metric}
    usage: dict[str, float] = {
        QUEUED: queued,
        RUNNING: sum(by_kind.values()),
        SUBMITS_PER_MINUTE: quotas.submits_since(connection, project, now - MINUTE),
        GPU_HOURS: gpu_hours_used(connection, project, now=now),
        ARTIFACT_BYTES: quotas.artifact_bytes(connection, project),
    }
    usage |= {f"{RUNNING}.{kind}": active for kind, active in by_kind.items() if active}
    usage |= {f"{RUNNING}.{kind}": by_kind.get(kind, 0) for kind in kinds}
    return Quota(project, limits.by_metric, usage, quotas.next_period(now), limits.etag)


def change_limits(
    transaction: Transaction,
    project: str,
    *,
    given: Mapping[str, float],
    metrics: frozenset[str] | None,
    etag: str,
    now: datetime,
) -> Quota:
    """Set the named metrics, or all of them; a metric that is not given loses its limit."""
    connection = transaction.connection
    transaction.loads.flush(connection)
    limits = quotas.limits_of(connection, project)
    if etag and etag != limits.etag:
        raise EtagMismatchError(quota_name(project), limits.etag)
    _check_metrics(given, metrics)
    if metrics is None:
        by_metric = dict(given)
    else:
        by_metric = {
            metric: value for metric, value in limits.by_metric.items() if metric not in metrics
        }
        by_metric |= {metric: given[metric] for metric in metrics if metric in given}
    quotas.set_limits(connection, project, by_metric, now=now)
    return read_quota(connection, project, now=now)


def _check_metrics(given: Mapping[str, float], metrics: frozenset[str] | None) -> None:
    known = ", ".join([*FIXED, f"{RUNNING}.KIND"])
    violations = [
        Violation(f"quota.limits[{metric}]", f"is no metric: use {known}")
        for metric in sorted({*given, *(metrics or ())})
        if metric not in FIXED and not metric.startswith(f"{RUNNING}.")
    ]
    violations += [
        Violation(f"quota.limits[{metric}]", "must be a number of at least 0")
        for metric, value in given.items()
        if not (math.isfinite(value) and value >= 0)
    ]
    if violations:
        raise InvalidSpecError(violations)


def admit(
    connection: Connection,
    project: str,
    limits: Limits,
    resources: Resources,
    *,
    now: datetime,
    loads: Deltas | None = None,
) -> None:
    """Refuse a submit that is over a limit of its project."""
    if not limits.by_metric:
        return
    if loads is not None:
        events.hold_feed(connection)
        loads.flush(connection)
    _admit_by_rate(connection, project, limits, now)
    if limit := limits.of(QUEUED):
        queued, _ = quotas.load_of(connection, project)
        if queued >= limit:
            raise QuotaExceededError(f"projects/{project}", QUEUED, limit, queued)
    if resources.gpu_count and (limit := limits.of(GPU_HOURS)):
        used = gpu_hours_used(connection, project, now=now)
        if used >= limit:
            left_s = (quotas.next_period(now) - now).total_seconds()
            raise QuotaExceededError(f"projects/{project}", GPU_HOURS, limit, used, left_s)


def _admit_by_rate(connection: Connection, project: str, limits: Limits, now: datetime) -> None:
    limit = limits.of(SUBMITS_PER_MINUTE)
    if not limit:
        return
    # With less than one per minute allowed, one is the most that a minute can hold.
    earliest = quotas.nth_latest_submit(connection, project, max(int(limit), 1))
    if earliest is None or earliest <= now - MINUTE:
        return
    used = quotas.submits_since(connection, project, now - MINUTE)
    wait_s = (earliest + MINUTE - now).total_seconds()
    raise QuotaExceededError(f"projects/{project}", SUBMITS_PER_MINUTE, limit, used, wait_s)


def gpu_hours_used(connection: Connection, project: str, *, now: datetime) -> float:
    """GPU hours of this period: of attempts that ended, and of those that run."""
    ended = quotas.consumed(connection, project, GPU_HOURS, now=now)
    live = jobs.live_with_demand(connection, project)
    return ended + sum(_running_gpu_hours(stored.job, now) for stored in live)


def _running_gpu_hours(job: Job, now: datetime) -> float:
    if job.attempt_started_at is None:
        return 0.0
    run_s = max((now - job.attempt_started_at).total_seconds(), 0.0)
    return run_s / HOUR_S * job.spec.resources.gpu_count


@dataclass(slots=True)
class Gates:
    """Limits that decide about starts, while starts are decided."""

    limits: Mapping[str, Limits]
    connection: Connection
    now: datetime
    _active: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    _gpu_hours: dict[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def of(cls, connection: Connection, now: datetime) -> "Gates":
        """The gates as they stand."""
        return cls(quotas.gates(connection), connection, now)

    @classmethod
    def held(cls, connection: Connection, now: datetime) -> "Gates":
        """The gates, through which no other server goes before the transaction ends."""
        gates = cls.of(connection, now)
        if gates.limits:
            events.hold_feed(connection)
        return gates

    def closed_by(self, project: str, kind: str, resources: Resources) -> str:
        """The metric whose limit keeps a job from a start; empty when none does."""
        limits = self.limits.get(project)
        if limits is None:
            return ""
        by_kind = self._active_of(project)
        limit = limits.of(RUNNING)
        if limit and sum(by_kind.values()) + 1 > limit:
            return RUNNING
        metric = f"{RUNNING}.{kind}"
        limit = limits.of(metric)
        if limit and by_kind.get(kind, 0) + 1 > limit:
            return metric
        limit = limits.of(GPU_HOURS)
        if resources.gpu_count and limit and self._gpu_hours_of(project) >= limit:
            return GPU_HOURS
        return ""

    def passed(self, project: str, kind: str) -> None:
        """Count a start."""
        if project in self.limits:
            by_kind = self._active_of(project)
            by_kind[kind] = by_kind.get(kind, 0) + 1

    def _active_of(self, project: str) -> dict[str, int]:
        if project not in self._active:
            _, by_kind = quotas.load_of(self.connection, project)
            self._active[project] = dict(by_kind)
        return self._active[project]

    def _gpu_hours_of(self, project: str) -> float:
        if project not in self._gpu_hours:
            self._gpu_hours[project] = gpu_hours_used(self.connection, project, now=self.now)
        return self._gpu_hours[project]
