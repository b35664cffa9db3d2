"""Admission: whether queues and quotas let submissions in."""

from datetime import datetime

from sqlalchemy import Connection

from jobplane.engine.domain.errors import QueueClosedError
from jobplane.engine.domain.submission import Submission
from jobplane.engine.scheduler import quota
from jobplane.engine.store import queues, quotas
from jobplane.engine.store.loads import Deltas
from jobplane.engine.store.queues import QueueState
from jobplane.engine.store.quotas import Limits


class Admission:
    """Decides in one transaction; what many submissions have in common is read once."""

    def __init__(self, connection: Connection, now: datetime, loads: Deltas | None = None) -> None:
        self._connection = connection
        self._now = now
        self._loads = loads
        self._states: dict[str, QueueState] = {}
        self._limits: dict[str, Limits] = {}

    def check(self, submission: Submission) -> None:
        """Refuse what the queue or the project's quota does not let in."""
        if self._state_of(submission.queue) is QueueState.CLOSED:
            raise QueueClosedError(submission.queue)
        quota.admit(
            self._connection,
            submission.project,
            self.limits_of(submission.project),
            submission.spec.resources,
            now=self._now,
            loads=self._loads,
        )

    def limits_of(self, project: str) -> Limits:
        """The limits of a project."""
        if project not in self._limits:
            self._limits[project] = quotas.limits_of(self._connection, project)
        return self._limits[project]

    def _state_of(self, queue: str) -> QueueState:
        if queue not in self._states:
            self._states[queue] = queues.state_of(self._connection, queue)
        return self._states[queue]
