"""Watches of sets of jobs: what changed, and which jobs match now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobplane.client._requests import duration
from jobplane.client._resuming import Resuming
from jobplane.client._view import JobView
from jobplane.v1 import job_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jobplane.v1 import job_pb2

End = job_service_pb2.WatchJobResponse.End


class WatchedJob(JobView):
    """A job as a watch of many last told it."""

    def __init__(self, wire: job_pb2.Job) -> None:
        self.wire = wire


@dataclass(frozen=True, slots=True)
class JobChange:
    """One job of a watched set, after a change."""

    job: WatchedJob
    # False when it no longer matches: it left the filter, or was deleted.
    matches: bool
    # Then only the name of the job is known.
    deleted: bool = False

    @property
    def name(self) -> str:
        """Full name of the job."""
        return self.job.name


@dataclass(frozen=True, slots=True, kw_only=True)
class SetQuery:
    """Which jobs to watch, and how."""

    project: str
    filter: str = ""
    full: bool = False
    until_all_finished: bool = False
    heartbeat_s: float = 15.0

    def request(self, cursor: str) -> job_service_pb2.WatchJobsRequest:
        """Request for one stream."""
        view = job_service_pb2.JOB_VIEW_FULL if self.full else job_service_pb2.JOB_VIEW_BASIC
        return job_service_pb2.WatchJobsRequest(
            project=self.project,
            filter=self.filter,
            cursor=cursor,
            heartbeat_interval=duration(self.heartbeat_s),
            until_all_finished=self.until_all_finished,
            view=view,
        )


class SetMachine(Resuming[JobChange]):
    """One watch of a set of jobs. It holds those that match, and passes on what is new."""

    def __init__(
        self,
        query: SetQuery,
        *,
        cursor: str,
        timeout_s: float | None,
        max_resume_s: float,
        now: float,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(
            "the watch of jobs",
            heartbeat_s=query.heartbeat_s,
            timeout_s=timeout_s,
            max_resume_s=max_resume_s,
            now=now,
            jitter=jitter,
        )
        self._query = query
        self._jobs: dict[str, WatchedJob] = {}
        # Before a fresh list: whoever is not in it is gone.
        self._doubtful: set[str] = set()
        # What came before the cursor that the caller brought is not known.
        self._knows_all = not cursor
        self.cursor = cursor
        self.synced = False

    @property
    def jobs(self) -> Mapping[str, WatchedJob]:
        """Jobs that match, by full name."""
        return self._jobs

    def _request(self) -> job_service_pb2.WatchJobsRequest:
        return self._query.request(self.cursor)

    def _take(self, frame: Any) -> Sequence[JobChange]:
        changes: list[JobChange] = []
        match frame.WhichOneof("frame"):
            case "changes":
                changes = [told for one in frame.changes.changes if (told := self._apply(one))]
            case "synced":
                self.synced = True
                changes = [self._gone(name) for name in sorted(self._doubtful)]
                self._doubtful.clear()
            case "reset":
                self.synced = False
                self._doubtful = set(self._jobs)
            case "end":
                self._take_end(frame.end)
            case _:
                pass
        self.cursor = frame.cursor
        return changes

    def _apply(self, change: job_service_pb2.WatchJobsResponse.JobChange) -> JobChange | None:
        name = change.job.name
        self._doubtful.discard(name)
        if change.matches_filter:
            known = self._jobs.get(name)
            job = self._jobs[name] = WatchedJob(change.job)
            # A resumed stream may tell again what was told.
            if known is not None and known.wire == change.job:
                return None
            return JobChange(job, matches=True)
        if self._jobs.pop(name, None) is None and self._knows_all:
            return None
        return JobChange(WatchedJob(change.job), matches=False, deleted=change.deleted)

    def _gone(self, name: str) -> JobChange:
        return JobChange(self._jobs.pop(name), matches=False)

    def _take_end(self, end: End) -> None:
        if end.reason == End.REASON_FINISHED:
            self._is_done = True
            return
        retry_after_s = end.retry_after.ToTimedelta().total_seconds()
        self._lose(End.Reason.Name(end.reason), self._heard_at, retry_after_s=retry_after_s)
