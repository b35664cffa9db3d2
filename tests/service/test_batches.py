"""BatchSubmitJobs and BatchCancelJobs over a real server and a real engine."""

import grpc
import pytest
from google.rpc import code_pb2

from jobplane.v1 import job_pb2, spec_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.service.real_server import CALL_TIMEOUT_S, RealServer, refused, submission
from tests.service.running_server import unpacked


@pytest.fixture
def server(loop_thread, tmp_path):
    running = RealServer(loop_thread, tmp_path)
    running.pause()
    yield running
    running.close()


def item(ref="", after=(), **fields):
    one = wire.BatchSubmitJobsRequest.Item(ref=ref, request=submission(**fields))
    one.request.spec.depends_on.extend(spec_pb2.Dependency(job=name) for name in after)
    return one


def submit(server, *items, **fields):
    request = wire.BatchSubmitJobsRequest(project="demo", items=items, **fields)
    return server.jobs.BatchSubmitJobs(request, timeout=CALL_TIMEOUT_S).results


def cancel(server, **fields):
    request = wire.BatchCancelJobsRequest(project="demo", **fields)
    return server.jobs.BatchCancelJobs(request, timeout=CALL_TIMEOUT_S)


def count(server, where=""):
    return server.jobs.CountJobs(wire.CountJobsRequest(project="demo", filter=where)).total


def test_a_batch_answers_its_jobs_in_order(server):
    results = submit(server, *(item(job_id=f"j{n}") for n in range(20)))
    assert [one.accepted.job.job_id for one in results] == [f"j{n}" for n in range(20)]
    assert all(one.accepted.job.HasField("spec") for one in results)
    assert count(server) == 20


def test_500_jobs_are_one_batch(server):
    results = submit(server, *(item() for _ in range(500)))
    assert len({one.accepted.job.name for one in results}) == 500


def test_refs_become_names(server):
    first, second = submit(server, item("a"), item(after=["#a"]))
    (dependency,) = second.accepted.job.spec.depends_on
    assert dependency.job == first.accepted.job.name
    assert second.accepted.job.wait.reason == job_pb2.WAIT_REASON_DEPENDENCY


def test_every_broken_rule_is_told_by_its_path(server):
    bad = item(queue="NO")
    bad.request.spec.probe.steps = -1
    error = refused(lambda: submit(server, item(), bad, item(after=["#no"])))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert set(error.fields) == {
        "items[1].request.queue",
        "items[1].request.spec.probe.steps",
        "items[2].request.spec.depends_on[0].job",
    }
    assert count(server) == 0


def test_another_refusal_names_its_item_and_keeps_its_reason(server):
    server.submit(job_id="taken")
    error = refused(lambda: submit(server, item(), item(job_id="taken")))
    assert (error.code, error.reason) == ("ALREADY_EXISTS", "JOB_ID_TAKEN")
    assert error.metadata["item"] == "1"
    assert error.metadata["job_id"] == "taken"
    assert error.message.startswith("items[1]: ")
    assert count(server) == 1


def test_a_partial_batch_has_a_status_for_each_refused_item(server):
    server.submit(job_id="taken")
    bad = item()
    bad.request.spec.probe.steps = -1
    results = submit(server, item(), bad, item(job_id="taken"), allow_partial=True)
    assert [one.WhichOneof("outcome") for one in results] == ["accepted", "error", "error"]
    assert results[1].error.code == code_pb2.INVALID_ARGUMENT
    violations = unpacked(results[1].error)["BadRequest"].field_violations
    assert [one.field for one in violations] == ["spec.probe.steps"]
    assert unpacked(results[2].error)["ErrorInfo"].reason == "JOB_ID_TAKEN"
    assert count(server) == 2


def test_an_item_may_name_the_project_of_the_batch_and_no_other(server):
    same, other = item(), item()
    same.request.project, other.request.project = "demo", "other"
    submit(server, same)
    assert refused(lambda: submit(server, other)).fields == ["items[0].request.project"]


def test_an_item_without_a_spec_is_refused(server):
    error = refused(lambda: submit(server, wire.BatchSubmitJobsRequest.Item()))
    assert error.fields == ["items[0].request.spec"]


def test_a_dry_run_of_a_batch_gives_jobs_without_names(server):
    results = submit(server, item("a", validate_only=True), item(after=["#a"], validate_only=True))
    assert [one.accepted.job.name for one in results] == ["", ""]
    assert count(server) == 0


def test_a_batch_is_a_dry_run_as_a_whole_or_not_at_all(server):
    error = refused(lambda: submit(server, item(validate_only=True), item()))
    assert error.fields == ["items[1].request.validate_only"]


@pytest.mark.parametrize("number", [0, 501])
def test_a_batch_has_1_to_500_items(server, number):
    assert (
        refused(lambda: submit(server, *(item() for _ in range(number)))).reason == "INVALID_SPEC"
    )


def test_a_repeated_batch_says_which_jobs_were_there(server):
    for is_there in (False, True):
        results = submit(server, item(idempotency_key="a"), item(idempotency_key="b"))
        assert [one.accepted.deduplicated for one in results] == [is_there, is_there]
    assert count(server) == 2


def test_an_answer_that_would_not_arrive_leaves_out_specs(server):
    labels = {f"l{n}": "x" * 256 for n in range(20)}
    results = submit(server, *(item(labels=labels) for _ in range(500)))
    assert len(results) == 500
    assert all(one.accepted.job.name for one in results)


def test_a_cancel_by_filter_counts_what_it_changed(server):
    submit(server, *(item(job_set="a") for _ in range(6)), item())
    dry = cancel(server, filter='job_set = "a"', validate_only=True)
    assert (dry.affected, dry.more) == (6, False)
    done = cancel(server, filter='job_set = "a"', reason="enough")
    assert (done.affected, done.more, len(done.errors)) == (6, False, 0)
    assert count(server, "status = CANCELLED") == 6


def test_a_cancel_by_names_has_a_status_for_each_refusal(server):
    job = server.submit()
    missing = "projects/demo/jobs/no"
    done = cancel(server, names=[job.name, missing], reason="enough")
    assert done.affected == 1
    assert list(done.errors) == [missing]
    assert done.errors[missing].code == code_pb2.NOT_FOUND
    state = server.jobs.GetJob(wire.GetJobRequest(name=job.name)).job
    assert (state.cancel_request.reason, state.cancel_request.requester) == ("enough", "dev")


def test_names_must_be_jobs_of_the_project(server):
    names = ["projects/demo/jobs/a", "projects/other/jobs/a", "nonsense"]
    error = refused(lambda: cancel(server, names=names))
    assert error.fields == ["names[1]", "names[2]"]


@pytest.mark.parametrize(
    "fields", [{}, {"names": ["projects/demo/jobs/a"], "filter": "done = true"}]
)
def test_names_and_filter_exclude_each_other(server, fields):
    assert refused(lambda: cancel(server, **fields)).reason == "INVALID_SPEC"


def test_a_bad_filter_is_refused(server):
    assert refused(lambda: cancel(server, filter="status = NO")).reason == "INVALID_FILTER"


def test_an_unknown_field_in_an_item_is_refused(server):
    request = wire.BatchSubmitJobsRequest(project="demo", items=[item()])
    inner = request.items[0].request.SerializeToString() + b"\xf8\x07\x01"
    body = b"\x12" + bytes([len(inner)]) + inner
    data = b"\x0a\x04demo\x12" + bytes([len(body)]) + body
    call = server.channel.unary_unary("/jobplane.v1.JobService/BatchSubmitJobs")
    with pytest.raises(grpc.RpcError) as caught:
        call(data, timeout=CALL_TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
