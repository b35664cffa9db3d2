"""ScheduleService: read the request, make one call to the book, write the response."""

from jobplane.engine.domain.errors import ConflictError, EtagMismatchError
from jobplane.engine.schedules.book import Shown
from jobplane.service.convert.scalar import moment_to_wire, timestamp_from_wire
from jobplane.service.convert.schedule import plan_from_wire, schedule_to_wire
from jobplane.service.convert.submission import accepted_to_wire
from jobplane.service.names import split_schedule_name
from jobplane.service.rpc.call import Call
from jobplane.service.schedule_port import SchedulePort
from jobplane.v1 import schedule_service_pb2 as wire

_TRIES = 5
_ZONE = "UTC"


class ScheduleService:
    """Keeps schedules, and fires them by hand."""

    def __init__(self, schedules: SchedulePort) -> None:
        self._schedules = schedules

    async def CreateSchedule(
        self, request: wire.CreateScheduleRequest, call: Call
    ) -> wire.CreateScheduleResponse:
        """Store a schedule."""
        shown = await self._schedules.create(
            request.project,
            request.schedule_id,
            plan_from_wire(request.schedule, request.project),
            creator=call.principal.name,
        )
        return wire.CreateScheduleResponse(schedule=schedule_to_wire(shown))

    async def GetSchedule(
        self, request: wire.GetScheduleRequest, call: Call
    ) -> wire.GetScheduleResponse:
        """Read one schedule."""
        del call
        shown = await self._schedules.get(*split_schedule_name(request.name))
        return wire.GetScheduleResponse(schedule=schedule_to_wire(shown))

    async def ListSchedules(
        self, request: wire.ListSchedulesRequest, call: Call
    ) -> wire.ListSchedulesResponse:
        """Page through schedules, by name."""
        del call
        page = await self._schedules.list(
            request.project, page_size=request.page_size, page_token=request.page_token
        )
        return wire.ListSchedulesResponse(
            schedules=[schedule_to_wire(shown) for shown in page.items],
            next_page_token=page.next_page_token,
        )

    async def UpdateSchedule(
        self, request: wire.UpdateScheduleRequest, call: Call
    ) -> wire.UpdateScheduleResponse:
        """Change a schedule, pausing included."""
        del call
        for _ in range(_TRIES):
            try:
                shown = await self._update(request)
            except EtagMismatchError:
                # The caller named no etag, so it is our own reading that is old: read again.
                if request.schedule.etag:
                    raise
            else:
                return wire.UpdateScheduleResponse(schedule=schedule_to_wire(shown))
        raise ConflictError

    async def DeleteSchedule(
        self, request: wire.DeleteScheduleRequest, call: Call
    ) -> wire.DeleteScheduleResponse:
        """Remove a schedule."""
        del call
        await self._schedules.delete(*split_schedule_name(request.name))
        return wire.DeleteScheduleResponse()

    async def TriggerSchedule(
        self, request: wire.TriggerScheduleRequest, call: Call
    ) -> wire.TriggerScheduleResponse:
        """Fire now."""
        accepted = await self._schedules.trigger(
            *split_schedule_name(request.name),
            idempotency_key=request.idempotency_key,
            requester=call.principal.name,
        )
        submitted = accepted_to_wire(accepted, validate_only=False)
        return wire.TriggerScheduleResponse(submitted=submitted)

    async def PreviewSchedule(
        self, request: wire.PreviewScheduleRequest, call: Call
    ) -> wire.PreviewScheduleResponse:
        """Compute fire times."""
        del call
        after = timestamp_from_wire(request.after, "after") if request.HasField("after") else None
        times = self._schedules.preview(
            request.cron, request.time_zone or _ZONE, count=request.count, after=after
        )
        return wire.PreviewScheduleResponse(times=[moment_to_wire(moment) for moment in times])

    async def _update(self, request: wire.UpdateScheduleRequest) -> Shown:
        """Put the named fields into the schedule as it is now."""
        project, schedule_id = split_schedule_name(request.schedule.name, "schedule.name")
        current = schedule_to_wire(await self._schedules.get(project, schedule_id))
        wished = wire.Schedule()
        wished.CopyFrom(current)
        for path in request.update_mask.paths:
            wished.ClearField(path)  # type: ignore[arg-type]  # the rules allow names of fields only
        named = wire.Schedule()
        request.update_mask.MergeMessage(request.schedule, named)
        wished.MergeFrom(named)
        return await self._schedules.update(
            project,
            schedule_id,
            plan_from_wire(wished, project),
            etag=request.schedule.etag or current.etag,
        )
