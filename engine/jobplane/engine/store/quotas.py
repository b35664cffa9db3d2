"""Statements over quotas: limits of projects, and what counts against them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select, text

from jobplane.engine.store import loads
from jobplane.engine.store.codec import from_us, to_us
from jobplane.engine.store.statement import Statement
from jobplane.engine.store.tables import artifacts, consumption, jobs, quotas

QUEUED = "queued"
RUNNING = "running"
SUBMITS_PER_MINUTE = "submits_per_minute"
GPU_HOURS = "gpu_hours"
ARTIFACT_BYTES = "artifact_bytes"
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a project by metric; a limit of 0 is none."""

    by_metric: Mapping[str, float] = field(default_factory=dict[str, float])
    version: int = 0

    def of(self, metric: str) -> float | None:
        """The limit of a metric, or None."""
        return self.by_metric.get(metric) or None

    @property
    def decides_starts(self) -> bool:
        """Whether a limit decides about starts, not only about submits."""
        return any(
            limit and (metric in {RUNNING, GPU_HOURS} or metric.startswith(f"{RUNNING}."))
            for metric, limit in self.by_metric.items()
        )

    @property
    def etag(self) -> str:
        """Text that changes on every change."""
        return f'"{self.version}"'


NO_LIMITS = Limits()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, float]).decode
_GET = Statement(
    select(quotas.c.limits, quotas.c.version).where(quotas.c.project == bindparam("project"))
)
_GATES = Statement(
    select(quotas.c.project, quotas.c.limits, quotas.c.version).where(quotas.c.gates == 1)
)
_SET = Statement(
    text(
        "INSERT INTO quotas (project, limits, gates, version, updated_us)"
        " VALUES (:project, :limits, :gates, :version, :updated_us)"
        " ON CONFLICT (project) DO UPDATE SET limits = excluded.limits, gates = excluded.gates,"
        " version = excluded.version, updated_us = excluded.updated_us"
    )
)
_CONSUME = Statement(
    text(
        "INSERT INTO consumption (project, metric, period_us, value)"
        " VALUES (:project, :metric, :period_us, :value)"
        " ON CONFLICT (project, metric, period_us) DO UPDATE"
        " SET value = consumption.value + excluded.value"
    )
)
_CONSUMED = Statement(
    select(consumption.c.value).where(
        consumption.c.project == bindparam("project"),
        consumption.c.metric == bindparam("metric"),
        consumption.c.period_us == bindparam("period_us"),
    )
)
_LATEST = select(jobs.c.created_us).where(jobs.c.project == bindparam("project"))
_LATEST_BUT = Statement(
    _LATEST.order_by(jobs.c.created_us.desc()).limit(1).offset(bindparam("but"))
)
_SINCE = Statement(
    select(func.count()).where(
        jobs.c.project == bindparam("project"), jobs.c.created_us > bindparam("since_us")
    )
)
_BYTES = Statement(
    select(func.coalesce(func.sum(artifacts.c.size_bytes), 0)).where(
        artifacts.c.project == bindparam("project")
    )
)


def limits_of(connection: Connection, project: str) -> Limits:
    """The limits of a project."""
    return _limits(_GET.run(connection, {"project": project}).first())


def gates(connection: Connection) -> dict[str, Limits]:
    """The limits of the projects in which they decide about starts."""
    return {row.project: _limits(row) for row in _GATES.run(connection)}


def set_limits(
    connection: Connection, project: str, by_metric: Mapping[str, float], *, now: datetime
) -> Limits:
    """Give a project other limits."""
    limits = Limits(dict(by_metric), limits_of(connection, project).version + 1)
    row = {
        "project": project,
        "limits": _encode(limits.by_metric),
        "gates": int(limits.decides_starts),
        "version": limits.version,
        "updated_us": to_us(now),
    }
    _SET.run(connection, row)
    return limits


def period_of(moment: datetime) -> datetime:
    """The beginning of the month, in UTC, that consumption counts in."""
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def next_period(moment: datetime) -> datetime:
    """When consumption starts again from 0."""
    return period_of(period_of(moment) + timedelta(days=32))


def consume(
    connection: Connection, project: str, metric: str, amount: float, *, now: datetime
) -> None:
    """Count what was used up."""
    row = {
        "project": project,
        "metric": metric,
        "period_us": to_us(period_of(now)),
        "value": amount,
    }
    _CONSUME.run(connection, row)


def consumed(connection: Connection, project: str, metric: str, *, now: datetime) -> float:
    """What was used up in the present period."""
    values = {"project": project, "metric": metric, "period_us": to_us(period_of(now))}
    return _CONSUMED.run(connection, values).scalar() or 0.0


def submits_since(connection: Connection, project: str, since: datetime) -> int:
    """How many jobs were submitted after a moment."""
    values = {"project": project, "since_us": to_us(since)}
    number: int = _SINCE.run(connection, values).scalar()
    return number


def nth_latest_submit(connection: Connection, project: str, number: int) -> datetime | None:
    """When the n-th latest job was submitted; None when there are fewer."""
    values = {"project": project, "but": number - 1}
    created_us = _LATEST_BUT.run(connection, values).scalar()
    return None if created_us is None else from_us(created_us)


def artifact_bytes(connection: Connection, project: str) -> int:
    """Size of all artifacts of a project."""
    return int(_BYTES.run(connection, {"project": project}).scalar())


def load_of(connection: Connection, project: str) -> tuple[int, Mapping[str, int]]:
    """How many jobs wait, and how many of each kind have a live attempt."""
    by_kind = loads.of_project(connection, project)
    queued = sum(load.queued for load in by_kind.values())
    return queued, {kind: load.active for kind, load in by_kind.items()}


def _limits(row: Row[Any] | None) -> Limits:
    return NO_LIMITS if row is None else Limits(_decode(row.limits), row.version)
