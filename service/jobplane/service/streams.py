"""JobService, the streams over sets of jobs and over logs."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from jobplane.service.convert.log import log_frame_to_wire
from jobplane.service.convert.set_frame import ChangeCache, encode_set_frame
from jobplane.service.convert.watch import watch_jobs_from_wire
from jobplane.service.names import split_job_name
from jobplane.service.rpc.call import Call
from jobplane.service.seats import Seats
from jobplane.service.settings import ServiceSettings
from jobplane.service.streams_port import StreamsPort
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.engine.domain.log_line import LogFrame
    from jobplane.engine.watch.set_frame import SetFrame


class JobStreams:
    """Follows sets of jobs, and logs. A stream of any sort takes one of the seats."""

    def __init__(self, streams: StreamsPort, settings: ServiceSettings, seats: Seats) -> None:
        self._streams = streams
        self._settings = settings
        self._seats = seats
        self._cache = ChangeCache(settings.event_cache_bytes)

    async def WatchJobs(self, request: wire.WatchJobsRequest, call: Call) -> AsyncIterator[bytes]:
        """Stream all jobs that match a filter."""
        call.cursor = request.cursor
        limit = self._settings.max_frame_bytes
        full = request.view == wire.JOB_VIEW_FULL
        with self._seats.take(call.principal.name):
            frames = self._streams.watch_jobs(request.project, **watch_jobs_from_wire(request))
            async with aclosing(cast("AsyncGenerator[SetFrame]", frames)):
                async for frame in frames:
                    for part in encode_set_frame(frame, self._cache, limit, full=full):
                        yield part.data
                        call.cursor = part.cursor

    async def TailJobLogs(
        self, request: wire.TailJobLogsRequest, call: Call
    ) -> AsyncIterator[wire.TailJobLogsResponse]:
        """Stream the lines of a job's log."""
        call.cursor = request.after_line
        with self._seats.take(call.principal.name):
            frames = self._streams.tail_logs(
                *split_job_name(request.name),
                attempt=request.attempt,
                after_line=request.after_line,
                tail_lines=request.tail_lines,
                follow=request.follow,
            )
            async with aclosing(cast("AsyncGenerator[LogFrame]", frames)):
                async for frame in frames:
                    yield log_frame_to_wire(frame)
                    if frame.lines:
                        call.cursor = frame.lines[-1].line
