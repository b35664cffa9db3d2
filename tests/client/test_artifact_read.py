"""Reading an artifact goes on after a cut, and never hands out what is damaged."""

import hashlib

import pytest

from jobplane.client import Client, errors
from jobplane.client._read import ATTEMPTS, ArtifactRead
from jobplane.v1 import artifact_pb2
from jobplane.v1.artifact_service_pb2 import ReadArtifactResponse
from tests.client.cutting_proxy import CuttingProxy
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, give_artifact

CONTENT = b"0123456789abcdef"
UNAVAILABLE = errors.Unavailable(errors.Refusal(code="UNAVAILABLE", message="away"))


def test_cut_at_every_chunk_the_content_is_the_same(server: FakeServer):
    give_artifact(server.add(run_to_end(new_job("a"))), "a.bin", CONTENT)
    for cut_after in range(7):
        with CuttingProxy(server.port, [cut_after]) as proxy, Client(proxy.address) as client:
            assert client.artifact("a", "a.bin").read() == CONTENT


def test_a_resumed_read_asks_for_the_rest_of_the_same_content():
    read = ArtifactRead("name")
    artifact = artifact_pb2.Artifact(sha256="d")
    read.take(ReadArtifactResponse(artifact=artifact, offset=0, data=b"abc"))
    read.cut(UNAVAILABLE)
    request = read.request()
    assert (request.offset, request.expected_sha256) == (3, "d")


def test_a_chunk_at_the_wrong_place_is_damage():
    read = ArtifactRead("name")
    with pytest.raises(errors.DataLoss, match="byte 5 came where 0 was due"):
        read.take(ReadArtifactResponse(offset=5, data=b"abc"))


def test_content_that_does_not_match_its_digest_is_damage():
    read = ArtifactRead("name", sha256=hashlib.sha256(b"other").hexdigest())
    with pytest.raises(errors.DataLoss, match="digest"):
        read.take(ReadArtifactResponse(offset=0, data=b"abc", end=True))


def test_a_read_that_ends_without_its_last_frame_is_not_complete():
    read = ArtifactRead("name")
    read.take(ReadArtifactResponse(offset=0, data=b"abc"))
    read.cut(None)
    assert not read.complete


def test_a_read_gives_up_when_nothing_comes_any_more():
    read = ArtifactRead("name")
    for _ in range(ATTEMPTS - 1):
        read.cut(UNAVAILABLE)
    with pytest.raises(errors.Unavailable):
        read.cut(UNAVAILABLE)


def test_a_refusal_is_raised_at_once():
    with pytest.raises(errors.NotFound):
        ArtifactRead("name").cut(errors.NotFound(errors.Refusal(code="NOT_FOUND", message="no")))
