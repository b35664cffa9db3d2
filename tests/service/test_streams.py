"""WatchJobs and TailJobLogs over a real server and a real engine."""

import grpc
import pytest

from jobplane.service.settings import ServiceSettings
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.service.real_server import CALL_TIMEOUT_S, PROCESS, RealServer, refused
from tests.service.running_server import Refused

End = wire.WatchJobResponse.End


@pytest.fixture
def real(loop_thread, tmp_path):
    running = []

    def start(settings=None):
        running.append(RealServer(loop_thread, tmp_path / str(len(running)), settings))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def server(real):
    return real()


def watch(server, **fields):
    request = wire.WatchJobsRequest(project="demo", **fields)
    return server.jobs.WatchJobs(request, timeout=CALL_TIMEOUT_S)


def tail(server, job, **fields):
    request = wire.TailJobLogsRequest(name=job.name, **fields)
    return server.jobs.TailJobLogs(request, timeout=CALL_TIMEOUT_S)


def kinds(frames):
    return [frame.WhichOneof("frame") for frame in frames]


def test_a_watch_tells_the_list_then_synced_then_changes(server):
    server.pause()
    first = server.submit(labels={"team": "a"})
    stream = watch(server, filter='labels.team = "a"')
    frames = [next(stream), next(stream)]
    assert kinds(frames) == ["changes", "synced"]
    assert frames[1].synced.matching == 1
    (change,) = frames[0].changes.changes
    assert change.job.name == first.name
    assert change.matches_filter
    server.jobs.CancelJob(wire.CancelJobRequest(name=first.name))
    (change,) = next(stream).changes.changes
    assert change.job.status == job_pb2.JOB_STATUS_CANCELLED
    assert change.matches_filter
    stream.cancel()


def test_a_job_that_leaves_the_filter_is_told_so(server):
    server.pause()
    job = server.submit()
    stream = watch(server, filter="status = QUEUED")
    assert kinds([next(stream), next(stream)]) == ["changes", "synced"]
    server.jobs.CancelJob(wire.CancelJobRequest(name=job.name))
    (change,) = next(stream).changes.changes
    assert not change.matches_filter
    assert not change.deleted
    stream.cancel()


def test_a_deleted_job_has_its_name_only(server):
    server.pause()
    job = server.submit()
    server.jobs.CancelJob(wire.CancelJobRequest(name=job.name))
    stream = watch(server)
    assert kinds([next(stream), next(stream)]) == ["changes", "synced"]
    server.jobs.DeleteJob(wire.DeleteJobRequest(name=job.name))
    (change,) = next(stream).changes.changes
    assert change.deleted
    assert not change.matches_filter
    assert change.job == job_pb2.Job(name=job.name)
    stream.cancel()


def test_the_basic_view_leaves_out_the_spec_and_the_full_one_does_not(server):
    server.pause()
    server.submit()
    for view, has_spec in ((0, False), (wire.JOB_VIEW_BASIC, False), (wire.JOB_VIEW_FULL, True)):
        stream = watch(server, view=view)
        assert next(stream).changes.changes[0].job.HasField("spec") is has_spec
        stream.cancel()


def test_an_empty_set_is_synced_at_once(server):
    stream = watch(server)
    frame = next(stream)
    assert frame.WhichOneof("frame") == "synced"
    assert frame.synced.matching == 0
    stream.cancel()


def test_a_watch_of_all_until_they_are_finished_ends(server):
    for _ in range(5):
        server.submit(steps=2)
    frames = list(watch(server, until_all_finished=True))
    assert frames[-1].end.reason == End.REASON_FINISHED
    last = {}
    for frame in frames:
        last |= {change.job.name: change.job for change in frame.changes.changes}
    assert len(last) == 5
    assert all(job.done for job in last.values())


def test_a_watch_goes_on_from_its_cursor(server):
    server.pause()
    server.submit()
    stream = watch(server)
    cursor = [next(stream), next(stream)][-1].cursor
    stream.cancel()
    job = server.submit()
    stream = watch(server, cursor=cursor)
    assert [change.job.name for change in next(stream).changes.changes] == [job.name]
    stream.cancel()
    stream = watch(server, cursor=cursor, filter="done = true")
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert Refused.of(caught.value).fields == ["cursor"]


def test_a_long_list_comes_in_frames_that_fit_and_can_be_gone_on_from_each(real):
    server = real(ServiceSettings(port=0, dev=True, max_frame_bytes=8_000))
    server.pause()
    names = {server.submit(labels={"pad": "x" * 200}).name for _ in range(40)}
    path = "/jobplane.v1.JobService/WatchJobs"
    request = wire.WatchJobsRequest(project="demo")
    parts = []
    for data in server.channel.unary_stream(path)(request.SerializeToString(), timeout=10):
        assert len(data) <= 8_000
        parts.append(wire.WatchJobsResponse.FromString(data))
        if parts[-1].HasField("synced"):
            break
    assert len(parts) > 3
    for at in range(len(parts) - 1):
        seen = {c.job.name for part in parts[: at + 1] for c in part.changes.changes}
        stream = watch(server, cursor=parts[at].cursor)
        rest = next(stream)
        while not rest.HasField("synced"):
            told = {change.job.name for change in rest.changes.changes}
            assert not told & seen
            seen |= told
            rest = next(stream)
        assert seen == names
        assert rest.synced.matching == 40
        stream.cancel()


def test_heartbeats_come_at_the_interval_that_was_asked_for(server):
    request = wire.WatchJobsRequest(project="demo")
    request.heartbeat_interval.FromSeconds(1)
    stream = server.jobs.WatchJobs(request, timeout=CALL_TIMEOUT_S)
    frames = [next(stream), next(stream)]
    assert kinds(frames) == ["synced", "heartbeat"]
    assert frames[1].heartbeat.HasField("server_time")
    stream.cancel()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"filter": "status = NO"}, "INVALID_FILTER"),
        ({"cursor": "abc"}, "INVALID_SPEC"),
        ({"view": 9}, "INVALID_SPEC"),
    ],
)
def test_a_bad_request_is_refused_before_any_frame(server, fields, reason):
    assert refused(lambda: watch(server, **fields)).reason == reason


def test_sets_and_logs_take_seats_like_other_watches(real, eventually):
    server = real(ServiceSettings(port=0, dev=True, max_watches_per_principal=1))
    server.pause()
    job = server.submit()
    stream = watch(server)
    next(stream)
    assert refused(lambda: watch(server)).reason == "TOO_MANY_WATCHES"
    assert refused(lambda: tail(server, job, follow=True)).reason == "TOO_MANY_WATCHES"
    stream.cancel()
    eventually(lambda: server.server.jobs.seats.taken == 0)
    assert server.house.board.watchers == 0


def test_a_slow_reader_is_cut_off_with_its_cursor(real, eventually):
    server = real(ServiceSettings(port=0, dev=True, slow_consumer_s=0.3, max_frame_bytes=600_000))
    server.pause()
    for _ in range(150):
        server.submit(labels={f"pad{n}": "x" * 256 for n in range(60)})
    for _ in range(8):
        server.jobs.BatchSubmitJobs(padded_batch())
    stream = watch(server)
    eventually(lambda: server.server.jobs.seats.taken == 1)
    eventually(lambda: server.server.jobs.seats.taken == 0)
    frames = []
    with pytest.raises(grpc.RpcError) as caught:
        frames.extend(stream)
    error = Refused.of(caught.value)
    assert (error.code, error.reason) == ("ABORTED", "SLOW_CONSUMER")
    assert frames[-1].cursor
    assert error.metadata["cursor"]


def padded_batch():
    request = wire.BatchSubmitJobsRequest(project="demo")
    for _ in range(150):
        item = request.items.add().request
        item.spec.probe.steps = 1
        item.labels.update({f"pad{n}": "x" * 256 for n in range(60)})
    return request


def test_a_stopping_server_ends_watches_and_says_so(real, loop_thread):
    server = real()
    server.pause()
    stream = watch(server)
    next(stream)
    loop_thread.run(server.house.drain())
    frames = list(stream)
    assert frames[-1].end.reason == End.REASON_DRAINING
    assert frames[-1].end.HasField("retry_after")


def test_a_log_is_followed_from_the_queue_to_its_last_line(server):
    job = server.submit(isolation=PROCESS, log_bytes=3_000)
    frames = list(tail(server, job, follow=True))
    lines = [line for frame in frames for line in frame.lines]
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    assert all(line.attempt == 1 and line.stream == "stdout" for line in lines)
    assert all(line.HasField("time") for line in lines)
    assert [frame.end for frame in frames] == [False] * (len(frames) - 1) + [True]
    server.wait(job)
    request = wire.TailJobLogsRequest(name=job.name, tail_lines=1)
    (last, end) = server.jobs.TailJobLogs(request)
    assert last.lines[0] == lines[-1]
    assert end.end
    after = list(tail(server, job, after_line=len(lines) - 2))
    assert [line.line for frame in after for line in frame.lines] == [len(lines) - 1, len(lines)]


def test_a_log_of_a_job_that_is_not_there_is_refused(server):
    missing = job_pb2.Job(name="projects/demo/jobs/no")
    assert refused(lambda: tail(server, missing)).reason == "JOB_NOT_FOUND"


def test_two_ways_to_start_a_log_are_refused(server):
    job = server.submit()
    assert refused(lambda: tail(server, job, after_line=1, tail_lines=1)).reason == "INVALID_SPEC"


def test_an_attempt_that_has_not_begun_is_named(server):
    server.pause()
    job = server.submit()
    assert refused(lambda: tail(server, job, attempt=3)).fields == ["attempt"]
