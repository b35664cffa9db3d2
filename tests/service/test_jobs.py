"""JobService over a real server: what goes in reaches the engine, and what it says comes out."""

import grpc
import pytest

from jobplane.service.settings import ServiceSettings
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.service.fake_engine import Surprise, batch
from tests.service.running_server import Refused, RunningServer

JOBS = "/jobplane.v1.JobService/"


def submit_request(**fields) -> wire.SubmitJobRequest:
    request = wire.SubmitJobRequest(project="demo", **fields)
    request.spec.probe.steps = 3
    return request


def submit(server: RunningServer, **fields) -> job_pb2.Job:
    data = server.call(JOBS + "SubmitJob", submit_request(**fields))
    return wire.SubmitJobResponse.FromString(data).job


def test_a_submit_answers_the_durable_job(server):
    job = submit(server, job_id="one", labels={"team": "nlp"})
    assert job.name == "projects/demo/jobs/one"
    assert job.status == job_pb2.JOB_STATUS_QUEUED
    assert job.spec.probe.steps == 3
    assert job.labels == {"team": "nlp"}
    assert job.creator == "dev"


def test_priority_and_queue_have_the_defaults_of_the_contract(server):
    submit(server)
    assert server.engine.submissions[0].priority == 500
    assert server.engine.submissions[0].queue == "default"


def test_priority_0_is_not_the_default(server):
    submit(server, priority=0)
    assert server.engine.submissions[0].priority == 0


def test_a_job_that_was_only_validated_has_no_name(server):
    assert submit(server, validate_only=True).name == ""


def test_the_basic_view_leaves_out_the_spec(server):
    submit(server, job_id="one")
    request = wire.GetJobRequest(name="projects/demo/jobs/one", view=wire.JOB_VIEW_BASIC)
    job = wire.GetJobResponse.FromString(server.call(JOBS + "GetJob", request)).job
    assert not job.HasField("spec")
    assert job.kind == "probe"


def test_get_shows_everything_by_default_and_list_the_basics(server):
    submit(server, job_id="one")
    request = wire.GetJobRequest(name="projects/demo/jobs/one")
    assert wire.GetJobResponse.FromString(server.call(JOBS + "GetJob", request)).job.HasField(
        "spec"
    )
    page = server.call(JOBS + "ListJobs", wire.ListJobsRequest(project="demo"))
    assert not wire.ListJobsResponse.FromString(page).jobs[0].HasField("spec")


def test_an_unknown_job_is_not_found(server):
    refused = server.refusal(JOBS + "GetJob", wire.GetJobRequest(name="projects/demo/jobs/no"))
    assert (refused.code, refused.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")
    assert refused.details["ResourceInfo"].resource_name == "projects/demo/jobs/no"


def test_a_cancel_tells_the_engine_who_asks_and_why(server):
    submit(server, job_id="one")
    request = wire.CancelJobRequest(name="projects/demo/jobs/one", reason="enough", force=True)
    job = wire.CancelJobResponse.FromString(server.call(JOBS + "CancelJob", request)).job
    assert job.done
    assert ("cancel", ("dev", "enough", True)) in server.engine.calls


def test_a_wait_has_the_default_time_of_the_contract(server):
    submit(server, job_id="one")
    server.call(JOBS + "WaitJob", wire.WaitJobRequest(name="projects/demo/jobs/one"))
    assert ("wait", (None, 30.0)) in server.engine.calls


def test_a_watch_of_a_finished_job_is_a_snapshot_and_an_end(server):
    submit(server, job_id="one")
    name = "projects/demo/jobs/one"
    server.call(JOBS + "CancelJob", wire.CancelJobRequest(name=name))
    frames = [
        wire.WatchJobResponse.FromString(data)
        for data in server.stream(JOBS + "WatchJob", wire.WatchJobRequest(name=name))
    ]
    assert [frame.WhichOneof("frame") for frame in frames] == ["snapshot", "end"]
    assert frames[-1].end.reason == wire.WatchJobResponse.End.REASON_FINISHED
    assert frames[-1].end.job.done


def test_a_watch_of_an_unknown_job_is_refused_before_any_frame(server):
    call = server.stream(JOBS + "WatchJob", wire.WatchJobRequest(name="projects/demo/jobs/no"))
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert Refused.of(caught.value).reason == "JOB_NOT_FOUND"


def test_a_cursor_ahead_of_the_history_is_out_of_range(server):
    submit(server, job_id="one")
    request = wire.WatchJobRequest(name="projects/demo/jobs/one", after_sequence=99)
    with pytest.raises(grpc.RpcError) as caught:
        list(server.stream(JOBS + "WatchJob", request))
    refused = Refused.of(caught.value)
    assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "SEQUENCE_IN_FUTURE")
    assert refused.metadata == {"latest_sequence": "1"}


def test_an_unknown_event_type_is_named(server):
    submit(server, job_id="one")
    request = wire.WatchJobRequest(name="projects/demo/jobs/one", event_types=["finishd"])
    with pytest.raises(grpc.RpcError) as caught:
        list(server.stream(JOBS + "WatchJob", request))
    assert "event_types[0]" in Refused.of(caught.value).fields


def test_a_large_batch_comes_in_frames_that_fit_with_rising_cursors(serve):
    server = serve(ServiceSettings(port=0, dev=True, max_frame_bytes=10_000))
    submit(server, job_id="one")
    job = server.engine.jobs["demo", "one"]
    server.engine.frames = [batch(job, 1, 50, size=1000)]
    call = server.stream(JOBS + "WatchJob", wire.WatchJobRequest(name=job.name, after_sequence=0))
    frames = list(call)
    assert all(len(data) <= 10_000 for data in frames)
    parsed = [wire.WatchJobResponse.FromString(data) for data in frames]
    sequences = [event.sequence for frame in parsed for event in frame.events.events]
    assert sequences == list(range(1, 51))
    assert [frame.cursor for frame in parsed] == [f.events.events[-1].sequence for f in parsed]


def test_a_watch_that_is_left_is_cleaned_up(server, eventually):
    submit(server, job_id="one")
    call = server.stream(JOBS + "WatchJob", wire.WatchJobRequest(name="projects/demo/jobs/one"))
    eventually(lambda: server.engine.open_watches == 1)
    call.cancel()
    eventually(lambda: server.engine.open_watches == 0)
    assert server.server.jobs.seats.taken == 0


def test_watches_over_the_limit_of_a_principal_are_refused(serve, eventually):
    server = serve(ServiceSettings(port=0, dev=True, max_watches_per_principal=1))
    submit(server, job_id="one")
    request = wire.WatchJobRequest(name="projects/demo/jobs/one")
    first = server.stream(JOBS + "WatchJob", request)
    eventually(lambda: server.engine.open_watches == 1)
    with pytest.raises(grpc.RpcError) as caught:
        next(server.stream(JOBS + "WatchJob", request))
    refused = Refused.of(caught.value)
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHES")
    assert refused.metadata == {"limit": "1"}
    first.cancel()


def test_a_reader_that_sleeps_is_cut_off_with_its_cursor(serve, eventually):
    server = serve(ServiceSettings(port=0, dev=True, slow_consumer_s=0.3))
    submit(server, job_id="one")
    job = server.engine.jobs["demo", "one"]
    server.engine.frames = [batch(job, n, n, size=900_000) for n in range(1, 60)]
    call = server.stream(
        JOBS + "WatchJob", wire.WatchJobRequest(name=job.name, after_sequence=0), timeout=60
    )
    eventually(lambda: server.engine.open_watches == 1)
    eventually(lambda: server.server.jobs.seats.taken == 0)
    frames = []
    with pytest.raises(grpc.RpcError) as caught:
        frames.extend(wire.WatchJobResponse.FromString(data) for data in call)
    refused = Refused.of(caught.value)
    assert (refused.code, refused.reason) == ("ABORTED", "SLOW_CONSUMER")
    assert 0 < int(refused.metadata["cursor"]) < 59


def test_a_bug_is_internal_with_the_request_id(server):
    server.engine.failure = Surprise("secret words")
    name = wire.GetJobRequest(name="projects/demo/jobs/one")
    refused = server.refusal(JOBS + "GetJob", name, metadata=[("x-request-id", "my-id")])
    assert (refused.code, refused.reason) == ("INTERNAL", "INTERNAL")
    assert refused.details["RequestInfo"].request_id == "my-id"
    assert "DebugInfo" in refused.details


def test_a_bug_shows_no_stack_outside_of_dev_mode(serve):
    server = serve(ServiceSettings(port=0))
    server.engine.failure = Surprise("secret words")
    refused = server.refusal(JOBS + "GetJob", wire.GetJobRequest(name="projects/demo/jobs/one"))
    assert refused.reason == "INTERNAL"
    assert "DebugInfo" not in refused.details
    assert "secret words" not in refused.message


def test_a_single_label_is_merged_into_the_map_of_the_job(server):
    submit(server, job_id="one", labels={"a": "1", "b": "2"})
    request = wire.UpdateJobRequest()
    request.job.name = "projects/demo/jobs/one"
    request.job.labels["a"] = "9"
    request.update_mask.paths.append("labels.a")
    job = wire.UpdateJobResponse.FromString(server.call(JOBS + "UpdateJob", request)).job
    assert job.labels == {"a": "9", "b": "2"}
