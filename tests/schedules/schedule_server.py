"""A real server over a real engine, and calls to its schedules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask

from jobplane.engine.domain.schedule import split_schedule_name
from jobplane.engine.store import schedules as store
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1 import job_service_pb2
from jobplane.v1 import schedule_service_pb2 as wire
from jobplane.v1 import schedule_service_pb2_grpc as rpc
from tests.service.library_server import LibraryServer

THREAD = ProbeSpec.ISOLATION_THREAD
NAME = "projects/demo/schedules/nightly"


class Schedules(LibraryServer):
    def __init__(self, thread, data_dir) -> None:
        super().__init__(thread, data_dir)
        self.stub = rpc.ScheduleServiceStub(self.channel)

    def create(self, schedule_id="nightly", project="demo", **fields):
        request = creation(schedule_id, project, **fields)
        return self.stub.CreateSchedule(request, timeout=20).schedule

    def get(self, name=NAME):
        return self.stub.GetSchedule(wire.GetScheduleRequest(name=name), timeout=20).schedule

    def update(self, *paths, etag="", **fields):
        return self.stub.UpdateSchedule(updating(*paths, etag=etag, **fields), timeout=20).schedule

    def trigger(self, key="", name=NAME):
        request = wire.TriggerScheduleRequest(name=name, idempotency_key=key)
        return self.stub.TriggerSchedule(request, timeout=20).submitted

    def make_due(self, name=NAME) -> datetime:
        """Let the next time of a schedule have come a moment ago."""
        nominal = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)

        def write(transaction) -> None:
            held = store.find_to_change(transaction.connection, *split_schedule_name(name))
            due = replace(held, next_at=nominal, fire_at=nominal)
            store.save(transaction.connection, due)

        self.house.database.write(write).result(10)
        return nominal


def probe_template(**fields):
    template = job_service_pb2.SubmitJobRequest(**fields)
    template.spec.probe.SetInParent()
    template.spec.probe.isolation = THREAD
    return template


def creation(schedule_id="nightly", project="demo", **fields):
    fields.setdefault("cron", "0 6 * * MON-FRI")
    fields.setdefault("template", probe_template())
    return wire.CreateScheduleRequest(
        project=project, schedule_id=schedule_id, schedule=wire.Schedule(**fields)
    )


def updating(*paths, name=NAME, etag="", **fields):
    return wire.UpdateScheduleRequest(
        schedule=wire.Schedule(name=name, etag=etag, **fields), update_mask=FieldMask(paths=paths)
    )
