"""Calls about schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from jobplane.client import _schedules as schedules
from jobplane.client._sync.job import Job
from jobplane.client._sync.jobs import JobCalls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobplane.client._requests import Spec
    from jobplane.client._schedules import NewSchedule, ScheduleChanges
    from jobplane.v1.schedule_service_pb2 import Schedule


class ScheduleCalls(JobCalls):
    """Makes, reads, changes and fires schedules."""

    def create_schedule(self, schedule: str, spec: Spec, **said: Unpack[NewSchedule]) -> Schedule:
        """Schedule that submits a job of the spec at every time of `cron`."""
        return self._run(schedules.create(schedule, spec, said, project=self.project))

    def schedule(self, schedule: str) -> Schedule:
        """Schedule with its next times, its last jobs and what became of its last fires."""
        return self._run(schedules.get(schedule, project=self.project))

    def schedules(self, *, project: str = "") -> Iterator[Schedule]:
        """Schedules of a project, by name."""
        return self._walk(schedules.listing(project=project or self.project))

    def update_schedule(
        self,
        schedule: str,
        spec: Spec | None = None,
        *,
        etag: str = "",
        **said: Unpack[ScheduleChanges],
    ) -> Schedule:
        """Schedule, changed in what is said; `paused=True` pauses it."""
        talk = schedules.update(schedule, spec, said, project=self.project, etag=etag)
        return self._run(talk)

    def delete_schedule(self, schedule: str) -> None:
        """Remove a schedule; its jobs stay."""
        self._run(schedules.delete(schedule, project=self.project))

    def trigger_schedule(self, schedule: str, *, idempotency_key: str | None = None) -> Job:
        """Job that the schedule submits now, paused or not."""
        talk = schedules.trigger(schedule, project=self.project, idempotency_key=idempotency_key)
        submitted = self._run(talk)
        return Job(self, submitted.job, deduplicated=submitted.deduplicated)

    def preview_schedule(
        self, cron: str, *, time_zone: str = "", count: int = 0, after: datetime | None = None
    ) -> list[datetime]:
        """Times at which such a schedule would fire; nothing is stored."""
        return self._run(schedules.preview(cron, time_zone=time_zone, count=count, after=after))
