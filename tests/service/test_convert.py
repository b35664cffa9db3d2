"""Converters: what goes through them comes out the same."""

import json
import tracemalloc
from dataclasses import fields, replace
from datetime import UTC

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from jobplane.engine.domain import event as events
from jobplane.engine.domain.artifact import Artifact, ArtifactType, Column, TableShape
from jobplane.engine.domain.errors import InvalidSpecError
from jobplane.engine.domain.job import (
    Condition,
    ControlRequest,
    Dependency,
    Failure,
    FailureCategory,
    Gap,
    InputRef,
    InputRequest,
    Job,
    JobResult,
    JobSpec,
    Progress,
    Question,
    Resources,
    RunPolicy,
    Usage,
    Wait,
    WaitReason,
)
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.watch.frame import End, EndReason, Heartbeat
from jobplane.engine.watch.set_frame import JobChange
from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.service.convert.artifact import artifact_to_wire
from jobplane.service.convert.event import event_to_wire
from jobplane.service.convert.frame import EventCache, encode_frame, frame_to_wire, varint
from jobplane.service.convert.job import job_to_wire
from jobplane.service.convert.scalar import (
    duration_from_wire,
    duration_to_wire,
    timestamp_from_wire,
    timestamp_to_wire,
)
from jobplane.service.convert.set_frame import ChangeCache
from jobplane.service.convert.spec import spec_from_wire, spec_to_wire
from jobplane.v1 import event_pb2, job_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.service.fake_engine import START, batch, later, submitted

MOMENTS = st.datetimes(timezones=st.just(UTC))
# Whole nanoseconds well inside a double's exact range.
SPANS = st.integers(0, 10**9).map(lambda micros: micros / 1_000_000)
TEXT = st.text(max_size=10)
REFS = st.one_of(
    st.builds(InputRef, artifact=st.text(min_size=1), sha256=TEXT),
    st.builds(InputRef, uri=st.text(min_size=1), sha256=TEXT),
    st.builds(
        InputRef,
        dataset_id=st.text(min_size=1),
        dataset_version=TEXT,
        dataset_format=TEXT,
        sha256=TEXT,
    ),
)
POLICIES = st.builds(
    RunPolicy,
    **{
        field.name: st.none() | SPANS
        for field in fields(RunPolicy)
        if field.name.endswith("_s") and field.name != "stage_timeouts_s"
    },
    max_attempts=st.none() | st.integers(1, 100),
    backoff_multiplier=st.none() | st.floats(1, 100),
    non_retryable_reasons=st.lists(TEXT, max_size=3).map(tuple),
    start_at=st.none() | MOMENTS,
    stage_timeouts_s=st.dictionaries(TEXT, SPANS, max_size=3),
)
RESOURCES = st.builds(
    Resources,
    cpu=st.floats(0, 64),
    memory_bytes=st.integers(0, 2**62),
    gpu_type=TEXT,
    gpu_count=st.integers(0, 8),
    spot_ok=st.booleans(),
)
DEPENDENCIES = st.builds(Dependency, job=TEXT, condition=st.sampled_from(Condition))
PROBE_PARAMS = st.integers(1, 1000).map(
    lambda steps: probe_pb2.ProbeSpec(steps=steps).SerializeToString(deterministic=True)
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CUSTOM_PARAMS = st.dictionaries(TEXT, JSON_VALUES, max_size=3).map(
    lambda plain: json.dumps(
        plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
)


def specs_of(kind: str, params: st.SearchStrategy[bytes], version: st.SearchStrategy[str]):
    return st.builds(
        JobSpec,
        kind=st.just(kind),
        params=params,
        schema_version=version,
        display_name=TEXT,
        inputs=st.dictionaries(TEXT, REFS, max_size=3),
        policy=POLICIES,
        resources=RESOURCES,
        depends_on=st.lists(DEPENDENCIES, max_size=3).map(tuple),
    )


SPECS = specs_of("probe", PROBE_PARAMS, st.just("")) | specs_of("mine", CUSTOM_PARAMS, TEXT)

SPEC = JobSpec("probe", probe_pb2.ProbeSpec(steps=3).SerializeToString())
FAILURE = Failure("WORKER_LOST", FailureCategory.INFRASTRUCTURE, "gone", exit_code=0, attempt=2)
QUESTION = InputRequest("q1", "Which?", (Question("c", "Column", ("a", "b"), "a", True),), START)
CONTROL = ControlRequest("dev", "enough", START, later(30))
ARTIFACT = Artifact(
    "demo",
    "t.csv",
    ArtifactType.TABLE,
    "text/csv",
    10,
    "ab" * 32,
    START,
    job_id="one",
    table=TableShape(2, (Column("x", "int64"),)),
)
JOB = Job(
    project="demo",
    job_id="one",
    spec=SPEC,
    status=JobStatus.FAILED,
    sequence=9,
    created_at=START,
    updated_at=later(9),
    attempt=2,
    wait=Wait(WaitReason.QUOTA, "full", 3, START),
    progress=Progress(0.5, "half", "eda", 1, 2, "step", START),
    pending_input=QUESTION,
    failure=FAILURE,
    gaps=(Gap("NO_DATA", "nothing", "x"),),
    result=JobResult("done", {"loss": 0.5}, ("odd",), probe_pb2.ProbeResult().SerializeToString()),
    cancel_request=CONTROL,
    pause_request=CONTROL,
    labels={"a": "b"},
    usage=Usage(run_s=1.5),
    finished_at=later(9),
)
PAYLOADS = [
    events.Submitted("dev", "probe"),
    events.StatusChanged(JobStatus.QUEUED, JobStatus.RUNNING, "STARTED", JOB.wait),
    events.AttemptStarted("local/1", "cp"),
    events.AttemptFinished(FAILURE, True, START),
    events.StageStarted("eda"),
    events.StageFinished("eda", True, FAILURE),
    events.MetricReported(3, {"loss": 0.25}),
    events.ArtifactReady(ARTIFACT),
    events.CheckpointSaved("cp", 5),
    events.Warned("ODD", "odd"),
    events.InputRequested(QUESTION),
    events.InputProvided("q1", "dev", {"c": "a"}),
    events.ControlRequested("cancel", CONTROL),
    events.Updated(("priority",), "dev"),
    events.Finished(FAILURE, "done"),
    Progress(0.5),
]


@given(SPECS)
def test_a_spec_comes_back_as_it_went(spec):
    assert spec_from_wire(spec_to_wire(spec)) == spec


@given(MOMENTS)
def test_a_moment_comes_back_as_it_went(moment):
    assert timestamp_from_wire(timestamp_to_wire(moment), "x") == moment


@given(SPANS)
def test_a_span_comes_back_as_it_went(span):
    assert duration_from_wire(duration_to_wire(span)) == span


def test_a_moment_that_no_calendar_has_is_refused():
    with pytest.raises(InvalidSpecError):
        timestamp_from_wire(timestamp_to_wire(START).__class__(seconds=2**60), "spec.start_time")


@given(st.integers(0, 2**63 - 1))
def test_a_varint_is_what_protobuf_reads(number):
    assert wire.WatchJobResponse.FromString(b"\x08" + varint(number)).cursor == number


@pytest.mark.parametrize("status", JobStatus)
def test_every_status_has_its_wire_name_phase_and_done(status):
    job = job_to_wire(replace(JOB, status=status))
    assert job_pb2.JobStatus.Name(job.status) == f"JOB_STATUS_{status}"
    assert job_pb2.JobPhase.Name(job.phase) == f"JOB_PHASE_{status.phase}"
    assert job.done is status.is_terminal


def test_a_full_job_has_every_part_of_it():
    job = job_to_wire(JOB)
    filled = {field.name for field, _ in job.ListFields()}
    empty = {"schedule", "origin_job", "engine_refs", "engine_version", "input_digest"}
    unset = {"job_set", "creator", "start_time", "expire_time", "heartbeat_time"}
    assert set(job_pb2.Job.DESCRIPTOR.fields_by_name) - filled == empty | unset
    assert job.result.probe == probe_pb2.ProbeResult()
    assert job.result.WhichOneof("kind") == "probe"
    assert job.failure.exit_code == 0
    assert job.failure.HasField("exit_code")


def test_the_basic_view_has_neither_spec_nor_result():
    job = job_to_wire(JOB, full=False)
    assert not job.HasField("spec")
    assert not job.HasField("result")


@pytest.mark.parametrize("category", FailureCategory)
def test_a_failure_is_also_a_status_with_its_reason(category):
    failure = job_to_wire(replace(JOB, failure=replace(FAILURE, category=category))).failure
    assert failure.status.code != code_pb2.OK
    assert failure.status.details[0].type_url.endswith("google.rpc.ErrorInfo")


def test_a_custom_result_is_a_struct():
    spec = JobSpec("mine", b'{"a":1}', "1")
    result = JobResult(details=b'{"b":[1,null]}')
    job = job_to_wire(replace(JOB, spec=spec, result=result))
    assert job.spec.custom.kind == "mine"
    assert job.result.custom.fields["b"].list_value.values[0].number_value == 1


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_every_payload_goes_out_under_its_name(payload):
    event = replace(submitted(JOB), payload=payload)
    message = event_to_wire(event)
    assert message.WhichOneof("payload") == event.type
    assert message.job == JOB.name
    assert message.status == job_pb2.JOB_STATUS_FAILED


def test_every_payload_of_the_contract_is_tried_here():
    names = {replace(submitted(JOB), payload=payload).type for payload in PAYLOADS}
    oneof = event_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["payload"]
    assert names == {field.name for field in oneof.fields}


@pytest.mark.parametrize("type_", ArtifactType)
def test_every_artifact_type_has_its_wire_name(type_):
    assert artifact_to_wire(replace(ARTIFACT, type=type_)).name == ARTIFACT.name


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_has_its_reason(reason):
    end = frame_to_wire(End(3, reason, retry_after_s=0.5)).end
    assert wire.WatchJobResponse.End.Reason.Name(end.reason) == f"REASON_{reason}"
    assert end.retry_after.nanos == 500_000_000


def test_a_heartbeat_tells_the_clock_and_the_status():
    beat = frame_to_wire(Heartbeat(3, START, JobStatus.RUNNING, None))
    assert (beat.cursor, beat.heartbeat.status) == (3, job_pb2.JOB_STATUS_RUNNING)
    assert timestamp_from_wire(beat.heartbeat.server_time, "x") == START


def test_an_event_is_encoded_once_for_all_its_watchers():
    cache = EventCache(1_000_000)
    event = submitted(JOB)
    assert cache.encode(event) is cache.encode(replace(event))


def test_an_event_of_a_new_job_with_an_old_id_is_not_taken_for_the_old_one():
    cache = EventCache(1_000_000)
    old = submitted(JOB)
    new = replace(old, occurred_at=later(1), payload=events.Submitted("other", "probe"))
    assert cache.encode(old) != cache.encode(new)


def test_the_cache_forgets_the_oldest_when_it_is_full():
    cache = EventCache(5_000)
    first = cache.encode(submitted(JOB))
    assert cache.encode(submitted(JOB)) is first
    for number in range(2, 20):
        cache.encode(replace(submitted(JOB), sequence=number))
    assert cache._bytes <= 5_000
    assert cache.encode(submitted(JOB)) is not first


def test_the_cache_holds_no_more_memory_than_it_may():
    cache = EventCache(500_000)
    tracemalloc.start()
    try:
        for number in range(1, 3000):
            job_id = f"job-{number}"
            progress = Progress(0.5, "work", "going on")
            cache.encode(replace(submitted(JOB), job_id=job_id, sequence=number))
            cache.encode(replace(submitted(JOB), job_id=job_id, sequence=0, payload=progress))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 600_000


def test_a_batch_with_progress_first_never_promises_what_comes_after_it():
    progress = replace(submitted(JOB), sequence=0, payload=Progress(0.5, "x" * 500))
    frame = batch(JOB, 5, 6, size=500)
    mixed = replace(frame, events=(progress, *frame.events))
    parts = list(encode_frame(mixed, EventCache(10_000), 700))
    assert [part.cursor for part in parts] == [4, 5, 6]


def test_times_keep_their_microseconds():
    assert job_to_wire(JOB).create_time.nanos == 678_901_000


def test_the_cache_of_changes_holds_no_more_memory_than_it_may():
    cache = ChangeCache(2_000_000)
    tracemalloc.start()
    try:
        for number in range(2_000):
            made = replace(JOB, job_id=f"job-{number}", labels={"at": str(number)})
            cache.encode(JobChange(made.name, made, matches=True), full=True)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2_200_000
