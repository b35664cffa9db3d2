"""What a client decides, step by step, without a server: it is the same for both clients."""

import pytest

from jobplane.client import _datasets as datasets
from jobplane.client import _jobs as jobs
from jobplane.client import _models as models
from jobplane.client import _quotas as quotas
from jobplane.client import errors
from jobplane.client._artifacts import upload
from jobplane.client._methods import METHODS, method_of
from jobplane.client._page import Listing
from jobplane.client._status import UNREACHABLE
from jobplane.client._table import TableRead
from jobplane.client._talk import Pause, Send
from jobplane.client._upload import ATTEMPTS
from jobplane.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    job_pb2,
    job_service_pb2,
    model_service_pb2,
    quota_service_pb2,
)

NAME = "projects/p/jobs/a"
GONE = errors.Unavailable(
    errors.Refusal(code="UNAVAILABLE", reason=UNREACHABLE, message="connection lost")
)
BUSY = errors.Unavailable(
    errors.Refusal(code="UNAVAILABLE", reason="BACKEND_UNAVAILABLE", message="busy")
)


def outcome(talk, answer=None):
    """What a talk comes to once it is given its last answer."""
    with pytest.raises(StopIteration) as end:
        talk.send(answer)
    return end.value.value


def test_a_read_that_lost_its_answer_is_asked_once_more():
    talk = jobs.get(NAME)
    first = next(talk)
    assert talk.throw(GONE) == first
    job = job_pb2.Job(name=NAME)
    assert outcome(talk, job_service_pb2.GetJobResponse(job=job)) == job


def test_a_second_loss_is_told():
    talk = jobs.get(NAME)
    next(talk)
    talk.throw(GONE)
    with pytest.raises(errors.Unavailable):
        talk.throw(GONE)


@pytest.mark.parametrize(
    ("talk", "error"),
    [
        (jobs.cancel(NAME, reason="", force=False), GONE),
        (jobs.delete(NAME, etag=""), GONE),
        # gRPC has repeated this one already.
        (jobs.get(NAME), BUSY),
    ],
)
def test_what_may_not_be_repeated_is_not(talk, error):
    next(talk)
    with pytest.raises(errors.Unavailable):
        talk.throw(error)


def test_every_method_of_the_contract_is_known_by_its_request():
    assert len({method.path for method in METHODS.values()}) == len(METHODS)
    assert method_of(job_service_pb2.WatchJobRequest).is_watch
    assert not method_of(artifact_service_pb2.ReadArtifactRequest).is_watch


def test_an_answer_looks_the_open_question_up():
    talk = jobs.answer(NAME, {"q": "yes"}, input_id="")
    assert next(talk) == job_service_pb2.GetJobRequest(name=NAME)
    job = job_pb2.Job(pending_input=job_pb2.InputRequest(input_id="i7"))
    asked = talk.send(job_service_pb2.GetJobResponse(job=job))
    assert asked.input_id == "i7"
    assert next(jobs.answer(NAME, {"q": "yes"}, input_id="i1")).input_id == "i1"


def test_an_update_names_what_it_changes_and_nothing_else():
    request = next(
        jobs.update(NAME, priority=0, queue="", labels={"team": "q", "old": None}, etag="e")
    )
    assert list(request.update_mask.paths) == ["priority", "labels.team", "labels.old"]
    assert dict(request.job.labels) == {"team": "q"}
    assert request.job.etag == "e"


def test_a_limit_of_none_is_removed():
    request = next(quotas.update({"running": 4, "queued": None}, project="p", etag=""))
    assert list(request.update_mask.paths) == ["limits.running", "limits.queued"]
    assert dict(request.quota.limits) == {"running": 4.0}


def test_a_word_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(errors.InvalidArgument, match="open, cordoned, closed"):
        next(quotas.set_queue_state("q", "shut", reason=""))


def test_a_promotion_has_a_key_of_its_own():
    plan = {"approval_ref": "CAB-1", "rollout": "canary", "canary_percent": 10, "etag": ""}
    one, other = (
        next(models.promote("m", "Production", project="p", idempotency_key=None, **plan))
        for _ in range(2)
    )
    assert one.target_stage == model_service_pb2.MODEL_STAGE_PRODUCTION
    assert one.rollout_strategy == model_service_pb2.ROLLOUT_STRATEGY_CANARY
    assert one.name == "projects/p/models/m"
    assert one.idempotency_key
    assert one.idempotency_key != other.idempotency_key


def test_a_rollback_says_why():
    request = next(
        models.roll_back("m", "staging", project="p", reason="slow", idempotency_key="k")
    )
    assert (request.reason, request.idempotency_key) == ("slow", "k")


def test_a_data_set_uploads_its_content_first():
    talk = datasets.register(
        "d", b"a,b\n", project="p", version="", format="table", description="", labels=None
    )
    assert isinstance(next(talk), Send)
    name = f"projects/p/artifacts/{'0' * 64}"
    answer = artifact_service_pb2.UploadArtifactResponse(
        artifact=artifact_pb2.Artifact(name=name), received_bytes=4
    )
    assert talk.send(answer).artifact == name


def test_an_upload_that_broke_off_asks_how_much_is_there_after_a_pause():
    talk = upload(b"abcdef", project="p")
    (question,) = list(next(talk).messages)
    assert question.header.asks_received
    sent = list(talk.send(artifact_service_pb2.UploadArtifactResponse()).messages)
    assert [part.WhichOneof("part") for part in sent] == ["header", "chunk"]
    assert isinstance(talk.throw(GONE), Pause)
    (question,) = list(talk.send(None).messages)
    assert question.header.asks_received
    rest = list(talk.send(artifact_service_pb2.UploadArtifactResponse(received_bytes=4)).messages)
    assert (rest[0].header.offset, rest[1].chunk) == (4, b"ef")


def test_an_upload_that_gets_on_may_break_off_any_number_of_times():
    content = bytes(20)
    talk = upload(content, project="p")
    next(talk)
    for received in range(1, len(content)):
        talk.send(artifact_service_pb2.UploadArtifactResponse(received_bytes=received))
        assert isinstance(talk.throw(GONE), Pause)
        talk.send(None)


def test_an_upload_that_does_not_get_on_is_given_up():
    talk = upload(b"abcdef", project="p")
    next(talk)
    for _ in range(ATTEMPTS - 1):
        talk.throw(GONE)
        talk.send(None)
    with pytest.raises(errors.Unavailable):
        talk.throw(GONE)


def test_a_refused_upload_is_told_at_once():
    talk = upload(b"abcdef", project="p")
    next(talk)
    with pytest.raises(errors.InvalidArgument):
        talk.throw(errors.InvalidArgument(errors.Refusal(code="INVALID_ARGUMENT", message="no")))


def pages_of(listing, answers):
    """What a list asks for and tells, over these answers."""
    asked, told = [], []
    for answer in answers:
        assert not listing.complete
        request = listing.request()
        asked.append((request.page_size, request.page_token))
        told += [queue.name for queue in listing.take(answer)]
    return asked, told


def queues_page(*names, token=""):
    return quota_service_pb2.ListQueuesResponse(
        queues=[quota_service_pb2.Queue(name=name) for name in names], next_page_token=token
    )


def test_a_list_asks_for_no_more_than_is_wanted():
    listing = Listing(
        quota_service_pb2.ListQueuesRequest(), lambda page: page.queues, limit=3, page_size=2
    )
    pages = [queues_page("a", "b", token="t"), queues_page("c", "d", token="u")]
    assert pages_of(listing, pages) == ([(2, ""), (1, "t")], ["a", "b", "c"])
    assert listing.complete


def test_a_list_goes_on_over_an_empty_page():
    pages = [queues_page(token="t"), queues_page("a")]
    listing = quotas.queues()
    assert pages_of(listing, pages)[1] == ["a"]
    assert listing.complete


def test_a_table_that_gives_nothing_more_is_at_its_end():
    read = TableRead(NAME)
    info = artifact_pb2.TableInfo(row_count=5)
    assert list(read.take(artifact_service_pb2.ReadTableResponse(table=info))) == []
    assert read.complete
