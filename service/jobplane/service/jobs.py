"""JobService: read the request, make one engine call, write the response."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from jobplane.engine.query.page import JobQuery
from jobplane.service.convert.event import event_to_wire
from jobplane.service.convert.frame import EventCache, encode_frame
from jobplane.service.convert.job import job_to_wire
from jobplane.service.convert.submission import accepted_to_wire, submission_from_wire
from jobplane.service.convert.watch import wait_from_wire, watch_from_wire
from jobplane.service.names import split_job_name
from jobplane.service.port import EnginePort
from jobplane.service.rpc.call import Call
from jobplane.service.seats import Seats
from jobplane.service.settings import ServiceSettings
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.engine.watch.frame import Frame


class JobService:
    """Submits, reads, steers and watches jobs."""

    def __init__(self, engine: EnginePort, settings: ServiceSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._cache = EventCache(settings.event_cache_bytes)
        self.seats = Seats(
            per_principal=settings.max_watches_per_principal, total=settings.max_watches
        )

    async def SubmitJob(self, request: wire.SubmitJobRequest, call: Call) -> wire.SubmitJobResponse:
        """Make a job durable."""
        submission = submission_from_wire(request, call.principal.name)
        accepted = await self._engine.submit(submission)
        return accepted_to_wire(accepted, validate_only=request.validate_only)

    async def GetJob(self, request: wire.GetJobRequest, call: Call) -> wire.GetJobResponse:
        """Read one job."""
        del call
        job = await self._engine.get(*split_job_name(request.name))
        full = request.view != wire.JOB_VIEW_BASIC
        return wire.GetJobResponse(job=job_to_wire(job, full=full))

    async def ListJobs(self, request: wire.ListJobsRequest, call: Call) -> wire.ListJobsResponse:
        """Page through jobs."""
        del call
        query = JobQuery(
            project=request.project,
            filter=request.filter,
            order_by=request.order_by,
            page_size=request.page_size,
            page_token=request.page_token,
            max_bytes=self._settings.page_bytes,
        )
        page = await self._engine.list(query)
        full = request.view == wire.JOB_VIEW_FULL
        jobs = [job_to_wire(job, full=full) for job in page.items]
        return wire.ListJobsResponse(jobs=jobs, next_page_token=page.next_page_token)

    async def CountJobs(self, request: wire.CountJobsRequest, call: Call) -> wire.CountJobsResponse:
        """Count jobs by a field."""
        del call
        counts = await self._engine.count(
            project=request.project, filter=request.filter, group_by=request.group_by
        )
        return wire.CountJobsResponse(total=counts.total, groups=dict(counts.groups))

    async def CancelJob(self, request: wire.CancelJobRequest, call: Call) -> wire.CancelJobResponse:
        """Ask for an end."""
        job = await self._engine.cancel(
            *split_job_name(request.name),
            requester=call.principal.name,
            reason=request.reason,
            force=request.force,
        )
        return wire.CancelJobResponse(job=job_to_wire(job))

    async def PauseJob(self, request: wire.PauseJobRequest, call: Call) -> wire.PauseJobResponse:
        """Checkpoint and suspend."""
        name = split_job_name(request.name)
        requester = call.principal.name
        job = await self._engine.pause(*name, requester=requester, reason=request.reason)
        return wire.PauseJobResponse(job=job_to_wire(job))

    async def ResumeJob(self, request: wire.ResumeJobRequest, call: Call) -> wire.ResumeJobResponse:
        """Put a paused job back in its queue."""
        name = split_job_name(request.name)
        requester = call.principal.name
        job = await self._engine.resume(*name, requester=requester, reason=request.reason)
        return wire.ResumeJobResponse(job=job_to_wire(job))

    async def ProvideJobInput(
        self, request: wire.ProvideJobInputRequest, call: Call
    ) -> wire.ProvideJobInputResponse:
        """Answer the open question."""
        job = await self._engine.provide_input(
            *split_job_name(request.name),
            input_id=request.input_id,
            answers=dict(request.answers),
            responder=call.principal.name,
        )
        return wire.ProvideJobInputResponse(job=job_to_wire(job))

    async def WatchJob(self, request: wire.WatchJobRequest, call: Call) -> AsyncIterator[bytes]:
        """Stream one job until its end."""
        name = split_job_name(request.name)
        call.cursor = request.after_sequence
        limit = self._settings.max_frame_bytes
        with self.seats.take(call.principal.name):
            frames = self._engine.watch(*name, **watch_from_wire(request))
            async with aclosing(cast("AsyncGenerator[Frame]", frames)):
                async for frame in frames:
                    for part in encode_frame(frame, self._cache, limit):
                        yield part.data
                        call.cursor = part.cursor

    async def WaitJob(self, request: wire.WaitJobRequest, call: Call) -> wire.WaitJobResponse:
        """Wait, not for long, for a change or the end."""
        del call
        name = split_job_name(request.name)
        job, is_met = await self._engine.wait(*name, **wait_from_wire(request))
        return wire.WaitJobResponse(job=job_to_wire(job), condition_met=is_met)

    async def ListJobEvents(
        self, request: wire.ListJobEventsRequest, call: Call
    ) -> wire.ListJobEventsResponse:
        """Page through the durable history."""
        del call
        page = await self._engine.events(
            *split_job_name(request.name),
            after_sequence=request.after_sequence,
            page_size=request.page_size,
            page_token=request.page_token,
            descending=request.descending,
        )
        events = [event_to_wire(event) for event in page.items]
        return wire.ListJobEventsResponse(events=events, next_page_token=page.next_page_token)
