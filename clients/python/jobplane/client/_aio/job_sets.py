"""Calls about many jobs at once, for asyncio."""

from __future__ import annotations

import builtins
import random
import time
from typing import TYPE_CHECKING

from jobplane.client import _job_sets as job_sets
from jobplane.client._aio.job import AsyncJob, AsyncJobList
from jobplane.client._aio.jobs import AsyncJobCalls
from jobplane.client._aio.stream import AsyncJobsWatch
from jobplane.client._batch import BatchItem, CancelledJobs, batch_error
from jobplane.client._sets import SetMachine, SetQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client._view import JobView
    from jobplane.client.errors import JobplaneError


class AsyncJobSetCalls(AsyncJobCalls):
    """Lists, counts, watches, submits and cancels sets of jobs."""

    def list(
        self,
        filter: str = "",  # noqa: A002 - the contract's own word
        *,
        order_by: str = "",
        limit: int | None = None,
        full: bool = False,
        project: str = "",
    ) -> AsyncJobList:
        """Jobs that match, page by page as they are asked for; newest first by default."""
        listing = job_sets.listing(
            project=project or self.project,
            where=filter,
            order_by=order_by,
            limit=limit,
            full=full,
        )
        return AsyncJobList(AsyncJob(self, wire) async for wire in self._walk(listing))

    async def count(self, filter: str = "", *, project: str = "") -> int:  # noqa: A002 - as in list
        """Exact number of jobs that match."""
        talk = job_sets.count(project=project or self.project, where=filter)
        return (await self._run(talk)).total

    async def count_by(
        self,
        field: str,
        *,
        filter: str = "",  # noqa: A002 - as in list
        project: str = "",
    ) -> dict[str, int]:
        """Exact numbers by "status", "kind", "queue", "job_set" or "labels.KEY"."""
        talk = job_sets.count(project=project or self.project, where=filter, group_by=field)
        return dict((await self._run(talk)).groups)

    def watch_jobs(
        self,
        filter: str = "",  # noqa: A002 - as in list
        *,
        cursor: str = "",
        until_all_finished: bool = False,
        full: bool = False,
        project: str = "",
        timeout: float | None = None,
        heartbeat_s: float = 15.0,
        max_resume_s: float = 300.0,
    ) -> AsyncJobsWatch:
        """Jobs that match, then each change of them; `jobs` of it is what matches now.

        It ends when `until_all_finished` is set and all that match are; else it goes on.
        """
        query = SetQuery(
            project=project or self.project,
            filter=filter,
            full=full,
            until_all_finished=until_all_finished,
            heartbeat_s=heartbeat_s,
        )
        machine = SetMachine(
            query,
            cursor=cursor,
            timeout_s=timeout,
            max_resume_s=max_resume_s,
            now=time.monotonic(),
            jitter=random.random,
        )
        return AsyncJobsWatch(machine, self._open)

    async def submit_batch(
        self, items: Sequence[BatchItem], *, allow_partial: bool = False, project: str = ""
    ) -> builtins.list[AsyncJob | JobplaneError]:
        """Jobs of a batch, in order: all of them, or an error.

        With `allow_partial` each item is a job, or the error that it was refused with.
        """
        talk = job_sets.submit_batch(
            items, project=project or self.project, allow_partial=allow_partial
        )
        return [
            batch_error(one)
            or AsyncJob(self, one.accepted.job, deduplicated=one.accepted.deduplicated)
            for one in await self._run(talk)
        ]

    async def cancel_all(
        self,
        jobs: Sequence[str | JobView] = (),
        *,
        filter: str = "",  # noqa: A002 - as in list
        reason: str = "",
        dry_run: bool = False,
        project: str = "",
    ) -> CancelledJobs:
        """How many jobs were cancelled: those named, or all that match and are not finished.

        Many jobs take several calls; a dry run only counts.
        """
        talk = job_sets.cancel_all(
            [self._name(job) for job in jobs],
            project=project or self.project,
            where=filter,
            reason=reason,
            dry_run=dry_run,
        )
        return await self._run(talk)
