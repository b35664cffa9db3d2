"""Budgets: what runs is paused, from a checkpoint on, once its project's GPU hours are used up."""

import logging

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.scheduler.quota import gpu_hours_used
from jobplane.engine.store import jobs, quotas
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.quotas import GPU_HOURS

log = logging.getLogger(__name__)
WRITE_TIMEOUT_S = 30.0


class Budget:
    """One step looks at the projects that have a budget of GPU hours."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def step(self) -> int:
        """Pause what runs over its budget; how many jobs."""
        over = self._database.read_now(self._projects_over)
        return sum(
            self._database.write(
                lambda transaction, project=project: self._pause(transaction, project)  # type: ignore[misc]  # mypy can't see the default
            ).result(WRITE_TIMEOUT_S)
            for project in over
        )

    def _projects_over(self, connection: Connection) -> list[str]:
        return [
            project
            for project, limits in quotas.gates(connection).items()
            if limits.of(GPU_HOURS) and self._is_over(connection, project, limits)
        ]

    def _is_over(self, connection: Connection, project: str, limits: quotas.Limits) -> bool:
        limit = limits.of(GPU_HOURS)
        now = self._clock.now()
        return limit is not None and gpu_hours_used(connection, project, now=now) >= limit

    def _pause(self, transaction: Transaction, project: str) -> int:
        now = self._clock.now()
        paused = 0
        for stored in jobs.live_with_demand(transaction.connection, project):
            job = stored.job
            if job.status is JobStatus.RUNNING and job.spec.resources.gpu_count:
                change = lifecycle.paused(
                    job, requester=lifecycle.SYSTEM, reason=lifecycle.BUDGET_EXCEEDED, now=now
                )
                jobs.save(transaction, stored, change)
                paused += 1
        if paused:
            log.info("budget.exceeded", extra={"project": project, "paused": paused})
        return paused
