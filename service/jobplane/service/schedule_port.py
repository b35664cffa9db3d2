"""What the service asks of the engine's schedules: all of it, and nothing else."""

from datetime import datetime
from typing import Protocol, runtime_checkable

from jobplane.engine.domain.schedule import Plan
from jobplane.engine.domain.submission import Accepted
from jobplane.engine.query.page import Page
from jobplane.engine.schedules.book import Shown


class SchedulePort(Protocol):
    """The book of schedules. Every method refuses with a child of EngineError."""

    async def create(self, project: str, schedule_id: str, plan: Plan, *, creator: str) -> Shown:
        """Store a schedule."""
        ...

    async def get(self, project: str, schedule_id: str) -> Shown:
        """Read a schedule."""
        ...

    async def list(self, project: str, *, page_size: int, page_token: str) -> Page[Shown]:
        """Read a page of schedules."""
        ...

    async def update(self, project: str, schedule_id: str, plan: Plan, *, etag: str) -> Shown:
        """Change a schedule that is still as it was read."""
        ...

    async def delete(self, project: str, schedule_id: str) -> None:
        """Remove a schedule."""
        ...

    async def trigger(
        self, project: str, schedule_id: str, *, idempotency_key: str, requester: str
    ) -> Accepted:
        """Fire now."""
        ...

    def preview(
        self, cron: str, time_zone: str, *, count: int, after: datetime | None
    ) -> tuple[datetime, ...]:
        """Compute fire times."""
        ...


@runtime_checkable
class HasSchedules(Protocol):
    """An engine that has schedules; where there are none, they are not enabled."""

    @property
    def schedules(self) -> SchedulePort:
        """The book of schedules."""
        ...
