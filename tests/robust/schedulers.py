"""Clients of schedules: one that makes them under kills, and ends them when the load ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from jobplane.v1 import job_service_pb2 as jobs_wire
from jobplane.v1 import schedule_service_pb2 as wire
from tests.robust.fast_schedules import real
from tests.robust.record import PROJECT
from tests.robust.room import Room
from tests.robust.shapes import SHAPES, job_spec

# How late a nominal time may still fire: more than any server is away here.
CATCHUP_S = 86_400
# Times are caught up with one after another: so far behind is not behind, and so long it takes.
CAUGHT_UP_S = 3
CATCH_UP_WITHIN_S = 30.0


@dataclass(frozen=True)
class Timing:
    """One schedule of a run: each fires once a minute of the fast clock."""

    id: str
    overlap: str
    shape: str = "noop"

    @property
    def name(self) -> str:
        return f"projects/{PROJECT}/schedules/{self.id}"


TIMINGS = {
    timing.id: timing
    for timing in (
        Timing("every", "ALLOW"),
        Timing("every-too", "ALLOW", "steps"),
        Timing("skips", "SKIP", "steps"),
        Timing("queues", "QUEUE_ONE", "long"),
        Timing("cancels", "CANCEL_RUNNING", "long"),
    )
}


async def scheduler(room: Room) -> None:
    """Make every schedule, and trigger some of them by hand."""
    for timing in TIMINGS.values():
        request = wire.CreateScheduleRequest(
            project=PROJECT, schedule_id=timing.id, schedule=_schedule(room, timing)
        )
        await room.insist(
            room.schedules.CreateSchedule, request, verb="create_schedule", key=timing.id
        )
    while room.is_loading:
        await room.pause(0.5, 2.0)
        timing = room.rng.choice(list(TIMINGS.values()))
        key = f"{room.rng.getrandbits(64):016x}"
        request = wire.TriggerScheduleRequest(name=timing.name, idempotency_key=key)
        await room.insist(
            room.schedules.TriggerSchedule,
            request,
            verb="trigger",
            key=f"{timing.name}@trigger:{key}",
        )


async def pause_schedules(room: Room) -> None:
    """Have no schedule fire any more, once each has caught up with what it missed."""
    until = room.now() + CATCH_UP_WITHIN_S
    while room.now() < until and not await _have_caught_up(room):
        await room.pause(0.1, 0.1)
    for timing in TIMINGS.values():
        request = wire.UpdateScheduleRequest(
            schedule=wire.Schedule(name=timing.name, paused=True),
            update_mask=FieldMask(paths=["paused"]),
        )
        await room.insist(
            room.schedules.UpdateSchedule, request, verb="pause_schedule", key=timing.id
        )


async def _have_caught_up(room: Room) -> bool:
    """Whether no schedule is behind its times."""
    for timing in TIMINGS.values():
        response, _ = await room.call(
            room.schedules.GetSchedule,
            wire.GetScheduleRequest(name=timing.name),
            verb="get_schedule",
            key=timing.id,
        )
        if response is None or not response.schedule.next_times:
            return False
        due = real(response.schedule.next_times[0].ToDatetime(tzinfo=UTC))
        if datetime.now(UTC) - due > timedelta(seconds=CAUGHT_UP_S):
            return False
    return True


def _schedule(room: Room, timing: Timing) -> wire.Schedule:
    shape = SHAPES[timing.shape]
    template = jobs_wire.SubmitJobRequest(
        spec=job_spec(shape, room.rng),
        labels={"shape": shape.name, "schedule": timing.id},
    )
    schedule = wire.Schedule(
        cron="* * * * *",
        overlap_policy=wire.OverlapPolicy.Value(f"OVERLAP_POLICY_{timing.overlap}"),
        template=template,
    )
    schedule.catchup_window.FromSeconds(CATCHUP_S)
    return schedule
