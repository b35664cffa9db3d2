"""What a list asks for, page by page."""

from __future__ import annotations

from dataclasses import dataclass

from jobplane.v1 import job_service_pb2

PAGE_SIZE = 200
EVENT_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs, in what order, and how many at most."""

    project: str
    filter: str = ""
    order_by: str = ""
    full: bool = False
    limit: int | None = None

    def request(self, page_token: str, taken: int) -> job_service_pb2.ListJobsRequest:
        """Request for the next page when so many jobs were taken before."""
        left = PAGE_SIZE if self.limit is None else self.limit - taken
        return job_service_pb2.ListJobsRequest(
            project=self.project,
            page_size=min(PAGE_SIZE, left),
            page_token=page_token,
            filter=self.filter,
            order_by=self.order_by,
            view=(
                job_service_pb2.JobView.JOB_VIEW_FULL
                if self.full
                else job_service_pb2.JobView.JOB_VIEW_BASIC
            ),
        )

    def has_room(self, taken: int) -> bool:
        """Whether one more job is wanted."""
        return self.limit is None or taken < self.limit
