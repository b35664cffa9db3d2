"""Calls of the blocking client against the fake server."""

import pytest
from google.rpc import error_details_pb2 as details

from jobplane.client import Client, errors, specs
from jobplane.v1 import job_pb2
from tests.client.cutting_proxy import CuttingProxy
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, give_artifact, rich_status


def test_a_submit_makes_a_key_when_none_is_given(client: Client, server: FakeServer):
    client.submit(specs.Probe(steps=1))
    client.submit(specs.Probe(steps=1))
    first, second = server.requests("SubmitJob")
    assert first.idempotency_key
    assert first.idempotency_key != second.idempotency_key


def test_a_repeated_key_answers_the_first_job(client: Client):
    first = client.submit(specs.Probe(steps=1), idempotency_key="k")
    again = client.submit(specs.Probe(steps=1), idempotency_key="k")
    assert (again.id, again.deduplicated) == (first.id, True)


def test_a_submit_is_repeated_with_its_key_when_the_server_is_away_for_a_moment(
    client: Client, server: FakeServer
):
    server.refuse("SubmitJob", rich_status("UNAVAILABLE", "BACKEND_UNAVAILABLE", "busy"), times=2)
    client.submit(specs.Probe())
    keys = {request.idempotency_key for request in server.requests("SubmitJob")}
    assert len(server.requests("SubmitJob")) == 3
    assert len(keys) == 1


def test_a_cancel_is_not_repeated_behind_the_callers_back(client: Client, server: FakeServer):
    server.add(new_job("a"))
    server.refuse("CancelJob", rich_status("UNAVAILABLE", "BACKEND_UNAVAILABLE", "busy"))
    with pytest.raises(errors.Unavailable):
        client.cancel("a")
    assert len(server.requests("CancelJob")) == 1


@pytest.mark.parametrize(
    "spec",
    [
        specs.Probe(steps=3),
        specs.JobSpec(probe=specs.Probe(steps=3)),
        {"probe": {"steps": 3}},
        '{"probe": {"steps": 3}}',
    ],
    ids=["message", "spec", "dict", "json"],
)
def test_a_spec_may_be_given_in_every_form(client: Client, server: FakeServer, spec):
    client.submit(spec)
    assert server.requests("SubmitJob")[0].spec.probe.steps == 3


def test_parameters_alone_need_their_kind(client: Client, server: FakeServer):
    client.submit({"steps": 3}, kind="probe")
    assert server.requests("SubmitJob")[0].spec.probe.steps == 3


def test_parameters_of_a_foreign_kind_go_as_custom(client: Client, server: FakeServer):
    client.submit({"text": "good"}, kind="sentiment", schema_version="1")
    custom = server.requests("SubmitJob")[0].spec.custom
    assert (custom.kind, custom.schema_version, custom.params["text"]) == ("sentiment", "1", "good")


def test_an_unknown_field_is_refused_before_anything_is_sent(client: Client, server: FakeServer):
    with pytest.raises(errors.InvalidSpec) as caught:
        client.submit({"probe": {"stepz": 3}})
    assert caught.value.reason == "UNKNOWN_FIELD"
    assert caught.value.violations[0].field == "spec.probe.stepz"
    assert server.calls == []


def test_an_id_that_is_none_is_refused_before_anything_is_sent(client: Client, server: FakeServer):
    with pytest.raises(errors.InvalidArgument):
        client.get("../etc/passwd")
    assert server.calls == []


def test_a_list_goes_through_all_pages(client: Client, server: FakeServer):
    for number in range(5):
        server.add(new_job(f"j{number}"))
    assert [job.id for job in client.list()] == ["j4", "j3", "j2", "j1", "j0"]
    assert len(server.requests("ListJobs")) == 3


def test_a_list_asks_for_no_page_that_nobody_reads(client: Client, server: FakeServer):
    for number in range(5):
        server.add(new_job(f"j{number}"))
    assert [job.id for job in client.list(limit=2)] == ["j4", "j3"]
    assert len(server.requests("ListJobs")) == 1


def test_counts_come_as_numbers(client: Client, server: FakeServer):
    server.add(new_job("a"))
    server.add(run_to_end(new_job("b")))
    assert client.count() == 2
    assert client.count_by("status") == {"QUEUED": 1, "SUCCEEDED": 1}


def test_a_wait_ends_with_the_job_however_it_ended(client: Client, server: FakeServer):
    server.add(run_to_end(new_job("a"), job_pb2.JOB_STATUS_FAILED))
    assert client.job("a").wait(timeout=10).status == "FAILED"


def test_a_wait_on_a_live_job_ends_when_the_job_does(client: Client, server: FakeServer):
    job = server.add(new_job("a"))
    watch = client.watch("a", after_sequence=None)
    assert next(watch).type == "snapshot"
    server.change(lambda: run_to_end(job))
    assert [event.type for event in watch][-1] == "finished"
    assert client.wait("a", timeout=10).done


def test_a_wait_that_runs_out_says_that_the_job_goes_on(client: Client, server: FakeServer):
    server.add(new_job("a"))
    with pytest.raises(errors.WaitTimeout, match="it goes on") as caught:
        client.job("a").wait(timeout=0.2)
    assert "jobplane watch a" in caught.value.hint


def test_a_result_is_typed(client: Client, server: FakeServer):
    server.add(run_to_end(new_job("a")))
    assert client.job("a").result(timeout=10).metrics["value"] == 3.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (job_pb2.JOB_STATUS_FAILED, errors.JobFailed),
        (job_pb2.JOB_STATUS_TIMED_OUT, errors.JobTimedOut),
        (job_pb2.JOB_STATUS_CANCELLED, errors.JobCancelled),
        (job_pb2.JOB_STATUS_EVAL_FAILED, errors.EvalFailed),
    ],
)
def test_a_result_of_a_job_that_did_not_succeed_raises(
    client: Client, server: FakeServer, status, expected
):
    server.add(run_to_end(new_job("a"), status))
    with pytest.raises(expected) as caught:
        client.job("a").result(timeout=10)
    assert caught.value.job.status == status
    assert caught.value.attempt == 1


def test_an_answer_goes_to_the_open_question(client: Client, server: FakeServer):
    job = server.add(new_job("a"))
    job.wire.pending_input.input_id = "q-7"
    client.job("a").answer({"proceed": "yes"})
    request = server.requests("ProvideJobInput")[0]
    assert (request.input_id, dict(request.answers)) == ("q-7", {"proceed": "yes"})


def test_the_steering_verbs_return_the_job(client: Client, server: FakeServer):
    server.add(new_job("a"))
    job = client.get("a")
    assert job.pause().status == "PAUSED"
    assert job.resume().status == "QUEUED"
    assert job.cancel(reason="enough").status == "CANCELLED"
    assert job.retry().wire.origin_job == job.name


def test_the_history_goes_through_all_pages(client: Client, server: FakeServer):
    job = server.add(run_to_end(new_job("a")))
    numbers = [event.sequence for event in client.job("a").history()]
    assert numbers == list(range(1, job.wire.sequence + 1))


def test_kinds_are_listed_and_read(client: Client):
    assert [kind.name for kind in client.kinds()] == ["kinds/probe"]
    assert client.kind("probe").description == "As told."


def test_an_artifact_is_read_whole_and_checked(client: Client, server: FakeServer, tmp_path):
    job = server.add(run_to_end(new_job("a")))
    give_artifact(job, "report.txt", b"all of it, in pieces")
    (artifact,) = client.job("a").artifacts()
    assert artifact.text() == "all of it, in pieces"
    assert artifact.save(tmp_path / "report.txt").read_bytes() == b"all of it, in pieces"


def test_an_artifact_with_another_content_than_its_digest_is_not_saved(
    client: Client, server: FakeServer, tmp_path
):
    job = server.add(run_to_end(new_job("a")))
    give_artifact(job, "report.txt", b"good")
    job.artifacts["report.txt"] = (job.artifacts["report.txt"][0], b"evil")
    with pytest.raises(errors.DataLoss):
        client.artifact("a", "report.txt").save(tmp_path / "report.txt")
    assert not (tmp_path / "report.txt").exists()


@pytest.mark.parametrize("left", [b"", b"all of ", b"all of it, in pieces"])
def test_a_save_goes_on_where_an_earlier_one_broke_off(
    client: Client, server: FakeServer, tmp_path, left
):
    content = b"all of it, in pieces"
    give_artifact(server.add(run_to_end(new_job("a"))), "report.txt", content)
    (tmp_path / "report.txt.part").write_bytes(left)
    told: list[tuple[int, int]] = []
    artifact = client.artifact("a", "report.txt")
    path = artifact.save(tmp_path / "report.txt", on_progress=lambda *at: told.append(at))
    assert path.read_bytes() == content
    asked = [request.offset for request in server.requests("ReadArtifact")]
    assert asked == ([] if left == content else [len(left)])
    assert told[-1:] == ([] if left == content else [(len(content), len(content))])
    assert [one.name for one in tmp_path.iterdir()] == ["report.txt"]


@pytest.mark.parametrize("left", [b"other", b"longer than what is there to be read"])
def test_a_part_of_something_else_is_removed_and_not_saved(
    client: Client, server: FakeServer, tmp_path, left
):
    give_artifact(server.add(run_to_end(new_job("a"))), "report.txt", b"all of it, in pieces")
    (tmp_path / "report.txt.part").write_bytes(left)
    artifact = client.artifact("a", "report.txt")
    with pytest.raises(errors.DataLoss, match="removed"):
        artifact.save(tmp_path / "report.txt")
    assert list(tmp_path.iterdir()) == []
    assert artifact.save(tmp_path / "report.txt").read_bytes() == b"all of it, in pieces"


def test_a_token_is_sent_with_each_call(server: FakeServer):
    server.add(new_job("a"))
    with Client(server.address, token="secret") as client:
        client.get("a")
    assert server.metadata[0]["authorization"] == "Bearer secret"


def test_a_token_is_not_sent_over_the_network_in_clear_text():
    with pytest.raises(ValueError, match="without TLS"):
        Client("db.example.com:7070", token="secret")


def test_an_error_carries_what_the_server_told(client: Client, server: FakeServer):
    server.refuse(
        "SubmitJob",
        rich_status(
            "INVALID_ARGUMENT",
            "INVALID_SPEC",
            "2 fields are wrong",
            details.BadRequest(
                field_violations=[
                    details.BadRequest.FieldViolation(field="spec.a", description="too big"),
                    details.BadRequest.FieldViolation(field="spec.b", description="missing"),
                ]
            ),
        ),
    )
    with pytest.raises(errors.InvalidSpec) as caught:
        client.submit(specs.Probe())
    assert [item.field for item in caught.value.violations] == ["spec.a", "spec.b"]
    assert caught.value.request_id == "req-1"
    assert "spec.b: missing" in str(caught.value)


def test_a_submit_that_is_cut_in_its_answer_makes_one_job_all_the_same(server: FakeServer):
    with CuttingProxy(server.port, [0]) as proxy, Client(proxy.address) as client:
        client.submit(specs.Probe())
    assert len(server.requests("SubmitJob")) == 2
    assert len(server.jobs) == 1
