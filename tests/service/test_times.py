"""Durations and timestamps that are none are found wherever they stand."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.service.rpc.times import time_violations
from jobplane.v1 import job_service_pb2 as wire


def request() -> wire.SubmitJobRequest:
    made = wire.SubmitJobRequest(project="demo")
    made.spec.probe.step_duration.seconds = 3600
    made.spec.policy.start_time.seconds = 2_000_000_000
    made.spec.policy.stage_timeouts["load"].seconds = 60
    return made


def fields(message) -> list[str]:
    return [violation.field for violation in time_violations(message)]


def test_proper_ones_are_left_alone():
    assert fields(request()) == []


def test_the_whole_range_of_each_is_proper():
    made = request()
    made.spec.policy.total_timeout.CopyFrom(Duration(seconds=-315_576_000_000, nanos=-999_999_999))
    made.spec.policy.start_time.CopyFrom(Timestamp(seconds=253_402_300_799, nanos=999_999_999))
    assert fields(made) == []


def test_one_in_a_map_is_named_by_its_key():
    made = request()
    made.spec.policy.stage_timeouts["load"].nanos = -1
    assert fields(made) == ['spec.policy.stage_timeouts["load"]']


def test_one_in_a_list_is_named_by_its_place():
    item = wire.BatchSubmitJobsRequest.Item
    items = [item(request=request()), item(request=request())]
    batch = wire.BatchSubmitJobsRequest(project="demo", items=items)
    batch.items[1].request.spec.probe.step_duration.nanos = 10**9
    assert fields(batch) == ["items[1].request.spec.probe.step_duration"]


def test_every_one_is_named():
    made = request()
    made.spec.probe.step_duration.seconds = 315_576_000_001
    made.spec.policy.start_time.seconds = 253_402_300_800
    assert sorted(fields(made)) == ["spec.policy.start_time", "spec.probe.step_duration"]
