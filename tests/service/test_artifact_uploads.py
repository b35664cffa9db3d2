"""UploadArtifact over a real engine: whole, checked and durable, or nothing at all."""

import os
import threading

import grpc
import pytest

from jobplane.v1 import artifact_service_pb2, job_service_pb2, spec_pb2
from tests.service.library_server import LibraryServer, refusal, sha256_of

MIB = 1024 * 1024


def names_of(library, project="demo"):
    request = artifact_service_pb2.ListArtifactsRequest(parent=f"projects/{project}")
    return [one.name for one in library.artifacts.ListArtifacts(request, timeout=10).artifacts]


@pytest.mark.parametrize("chunk", [1, 7, 1000, 4096])
def test_any_cutting_into_chunks_gives_the_same_content(library, chunk):
    content = os.urandom(4096)
    answer = library.upload(content, chunk=chunk)
    assert answer.artifact.sha256 == sha256_of(content)
    assert answer.received_bytes == 4096
    assert library.read(answer.artifact.name) == content


def test_what_was_answered_survives_the_server(loop_thread, tmp_path):
    first = LibraryServer(loop_thread, tmp_path / "data")
    name = first.upload(b"kept").artifact.name
    first.close()
    second = LibraryServer(loop_thread, tmp_path / "data")
    assert second.read(name) == b"kept"
    second.close()


def test_the_digest_may_be_left_out_when_the_size_is_known(library):
    answer = library.upload(b"abc", sha256="")
    assert answer.artifact.sha256 == sha256_of(b"abc")


def test_the_size_may_be_left_out_when_the_digest_is_known(library):
    assert library.upload(b"abc", size_bytes=0).artifact.size_bytes == 3


def test_one_of_both_must_be_known_or_a_cut_could_not_be_told(library):
    refused = refusal(library.upload, b"abc", sha256="", size_bytes=0)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["header.sha256"])
    assert names_of(library) == []


def test_content_that_the_project_has_is_answered_after_the_header(library):
    library.upload(b"abc")
    answer = library.send([], sha256=sha256_of(b"abc"))
    assert answer.deduplicated
    assert answer.artifact.size_bytes == 3


def test_content_that_only_another_project_has_must_come_whole(library):
    library.upload(b"abc", project="other")
    refused = refusal(library.send, [], sha256=sha256_of(b"abc"), size_bytes=3)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["header.size_bytes"])
    assert not library.upload(b"abc").deduplicated


def test_what_a_job_made_need_not_be_uploaded(library):
    job = library.run_probe(steps=1)
    library.put_output(job, "made.txt", b"made")
    answer = library.send([], sha256=sha256_of(b"made"))
    assert answer.deduplicated
    assert names_of(library) == [answer.artifact.name]


def test_the_same_content_twice_is_one_artifact(library):
    first, second = library.upload(b"abc", filename="a.txt"), library.upload(b"abc")
    assert not first.deduplicated
    assert second.deduplicated
    assert second.artifact.filename == "a.txt"
    assert second.artifact.create_time == first.artifact.create_time


def test_content_that_was_lost_is_healed_by_its_upload(library):
    artifact = library.upload(b"abc").artifact
    library.house.content.path_of(artifact.sha256).unlink()
    library.upload(b"abc")
    assert library.read(artifact.name) == b"abc"


def test_content_that_was_truncated_is_healed_by_its_upload(library):
    artifact = library.upload(b"abc").artifact
    library.house.content.path_of(artifact.sha256).write_bytes(b"a")
    library.upload(b"abc")
    assert library.read(artifact.name) == b"abc"


def test_two_uploads_of_the_same_content_at_once_both_succeed(library):
    content = os.urandom(3 * MIB)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(library.upload(content))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {answer.artifact.sha256 for answer in answers} == {sha256_of(content)}
    assert len(answers) == 4
    assert len(names_of(library)) == 1


def test_a_wrong_digest_names_the_right_one_and_leaves_nothing(library):
    refused = refusal(library.upload, b"abc", sha256="0" * 64)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields == ["header.sha256"]
    assert sha256_of(b"abc") in refused.message
    assert names_of(library) == []
    assert library.stored() == []


@pytest.mark.parametrize("declared", [2, 4])
def test_a_wrong_size_is_refused_and_nothing_is_listed(library, declared):
    refused = refusal(library.upload, b"abc", size_bytes=declared, sha256="")
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["header.size_bytes"])
    assert names_of(library) == []
    assert library.stored() == []


def test_a_wrong_size_of_known_content_is_refused(library):
    library.upload(b"abc")
    assert refusal(library.upload, b"abc", size_bytes=5).fields == ["header.size_bytes"]


def test_more_than_was_declared_is_refused_before_it_has_all_come(library):
    parts = [b"x" * MIB] * 50
    refused = refusal(library.send, parts, size_bytes=MIB)
    assert refused.fields == ["header.size_bytes"]


def test_a_first_message_that_is_no_header_is_refused(library):
    chunk = artifact_service_pb2.UploadArtifactRequest(chunk=b"abc")
    refused = refusal(library.artifacts.UploadArtifact, iter([chunk]), timeout=10)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["header"])


def test_an_empty_stream_is_refused(library):
    refused = refusal(library.artifacts.UploadArtifact, iter([]), timeout=10)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["header"])


def test_a_second_header_is_refused(library):
    header = artifact_service_pb2.UploadArtifactRequest(
        header=artifact_service_pb2.UploadArtifactRequest.Header(project="demo", size_bytes=3)
    )
    refused = refusal(library.artifacts.UploadArtifact, iter([header, header]), timeout=10)
    assert refused.fields == ["header"]
    assert library.stored() == []


def test_a_chunk_of_more_than_a_mebibyte_is_refused(library):
    refused = refusal(library.upload, b"x" * (MIB + 1), chunk=MIB + 1)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["chunk"])


def test_an_upload_over_the_servers_limit_is_too_large(loop_thread, tmp_path):
    library = LibraryServer(loop_thread, tmp_path / "data", max_upload_bytes=1000)
    declared = refusal(library.upload, b"x" * 1001)
    undeclared = refusal(library.upload, b"x" * 1001, size_bytes=0)
    for refused in (declared, undeclared):
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE")
        assert refused.metadata["limit_bytes"] == "1000"
    assert library.upload(b"x" * 1000).artifact.size_bytes == 1000
    library.close()


def test_too_many_uploads_at_once_are_told_to_wait(loop_thread, tmp_path):
    library = LibraryServer(loop_thread, tmp_path / "data", max_uploads=0)
    refused = refusal(library.upload, b"abc")
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
    assert "RetryInfo" in refused.details
    library.close()


def test_a_sender_that_falls_silent_is_cut_off(loop_thread, tmp_path):
    library = LibraryServer(loop_thread, tmp_path / "data", upload_idle_s=0.1)
    release = threading.Event()

    def requests():
        yield artifact_service_pb2.UploadArtifactRequest(
            header=artifact_service_pb2.UploadArtifactRequest.Header(project="demo", size_bytes=9)
        )
        release.wait(20)

    refused = refusal(library.artifacts.UploadArtifact, requests(), timeout=10)
    release.set()
    assert (refused.code, refused.reason) == ("ABORTED", "SLOW_CONSUMER")
    library.close()


@pytest.mark.parametrize(
    "filename",
    [
        "../etc/passwd",
        "a/b",
        "a\\b",
        "..",
        ".",
        "nul\x00.txt",
        "line\nbreak",
        "x" * 256,
        "é" * 128,
        "\u202eexe.csv",
        "\u2024\u2024",
        "\uff0e\uff0e\uff0fpasswd",
        "a\u2028b",
        "C:evil.txt",
        "CON",
        "aux.txt",
        "COM1.csv",
        "trailing.",
        "trailing ",
        " leading",
    ],
)
def test_a_filename_that_deceives_is_refused_with_its_reason(library, filename):
    refused = refusal(library.upload, b"abc", filename=filename)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields == ["header.filename"]
    assert names_of(library) == []


@pytest.mark.parametrize("filename", ["données 2026 (1).csv", "日本語.txt", ".profile", "x" * 255])
def test_a_plain_filename_of_any_language_is_kept(library, filename):
    assert library.upload(b"abc", filename=filename).artifact.filename == filename


def test_a_filename_is_kept_composed(library):
    assert library.upload(b"abc", filename="e\u0301.txt").artifact.filename == "\u00e9.txt"


@pytest.mark.parametrize("media_type", ["text", "text/html\r\nx: y", "a/b/c", "TEXT/CSV"])
def test_a_media_type_that_is_none_is_refused(library, media_type):
    assert refusal(library.upload, b"abc", media_type=media_type).fields == ["header.media_type"]


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [("a.csv", "text/csv"), ("a.json", "application/json"), ("a", "application/octet-stream")],
)
def test_the_media_type_follows_the_filename(library, filename, media_type):
    assert library.upload(b"abc", filename=filename).artifact.media_type == media_type


# Broken and gone on with.


def cut_after(library, parts, *, header):
    """Send some chunks, and no end."""
    go_on = threading.Event()

    def requests():
        yield artifact_service_pb2.UploadArtifactRequest(
            header=artifact_service_pb2.UploadArtifactRequest.Header(project="demo", **header)
        )
        for part in parts:
            yield artifact_service_pb2.UploadArtifactRequest(chunk=part)
        go_on.wait(20)

    call = library.artifacts.UploadArtifact.future(requests(), timeout=20)
    return call, go_on


def received(library, content):
    answer = library.send(
        [], sha256=sha256_of(content), size_bytes=len(content), asks_received=True
    )
    return answer.received_bytes


def test_an_upload_that_is_cut_at_every_chunk_arrives_in_the_end(library, eventually):
    content = os.urandom(10 * 1000)
    header = {"sha256": sha256_of(content), "size_bytes": len(content)}
    for number in range(1, 10):
        offset = (number - 1) * 1000
        part = content[offset : offset + 1000]
        call, go_on = cut_after(library, [part], header={**header, "offset": offset})
        eventually(lambda done=number * 1000: size_of_landed(library) == done)
        call.cancel()
        go_on.set()
        assert received(library, content) == number * 1000
        assert names_of(library) == []
    answer = library.upload(content, offset=9000)
    assert library.read(answer.artifact.name) == content
    assert landed(library) == 0


def landed(library):
    return sum(1 for path in (library.data_dir / "content/landing").iterdir())


def size_of_landed(library):
    return sum(path.stat().st_size for path in (library.data_dir / "content/landing").iterdir())


def test_a_cut_upload_without_a_digest_leaves_no_trace(library, eventually):
    call, go_on = cut_after(library, [b"x" * 1000], header={"size_bytes": 5000})
    eventually(lambda: landed(library) == 1)
    call.cancel()
    go_on.set()
    eventually(lambda: landed(library) == 0)
    assert names_of(library) == []


def test_an_upload_that_ends_too_early_can_be_gone_on_with(library):
    content = os.urandom(2000)
    header = {"sha256": sha256_of(content), "size_bytes": 2000}
    assert refusal(library.send, [content[:1200]], **header).fields == ["header.size_bytes"]
    assert received(library, content) == 1200
    assert names_of(library) == []
    library.upload(content, offset=1200)
    assert library.read(names_of(library)[0]) == content


def test_going_on_from_an_earlier_place_is_right_too(library):
    content = os.urandom(2000)
    header = {"sha256": sha256_of(content), "size_bytes": 2000}
    refusal(library.send, [content[:1200]], **header)
    library.upload(content, offset=700)
    assert library.read(names_of(library)[0]) == content


def test_going_on_from_beyond_what_is_here_is_refused(library):
    content = os.urandom(2000)
    refused = refusal(library.upload, content, offset=1)
    assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "OFFSET_PAST_END")
    assert refused.metadata == {"offset": "1", "size": "0"}


def test_going_on_needs_the_digest(library):
    assert refusal(library.upload, b"abc", offset=1, sha256="").fields == ["header.offset"]


def test_a_part_that_was_spoiled_is_found_at_the_end_and_dropped(library):
    content = os.urandom(2000)
    header = {"sha256": sha256_of(content), "size_bytes": 2000}
    refusal(library.send, [b"x" * 1000], **header)
    refused = refusal(library.upload, content, offset=1000)
    assert refused.fields == ["header.sha256"]
    assert received(library, content) == 0


def test_what_one_project_began_another_can_not_go_on_with(library):
    content = os.urandom(2000)
    refusal(library.send, [content[:1000]], sha256=sha256_of(content), size_bytes=2000)
    refused = refusal(library.upload, content, project="other", offset=1000)
    assert refused.reason == "OFFSET_PAST_END"


def test_asking_for_what_is_here_tells_of_complete_content(library):
    library.upload(b"abc")
    answer = library.send([], sha256=sha256_of(b"abc"), asks_received=True)
    assert answer.received_bytes == 3
    assert answer.HasField("artifact")


def test_uploads_that_broke_off_survive_the_server(loop_thread, tmp_path):
    content = os.urandom(2000)
    first = LibraryServer(loop_thread, tmp_path / "data")
    refusal(first.send, [content[:1500]], sha256=sha256_of(content), size_bytes=2000)
    first.close()
    second = LibraryServer(loop_thread, tmp_path / "data")
    assert received(second, content) == 1500
    second.upload(content, offset=1500)
    assert second.read(names_of(second)[0]) == content
    second.close()


def test_too_much_that_broke_off_is_refused_until_it_is_gone(loop_thread, tmp_path):
    library = LibraryServer(loop_thread, tmp_path / "data", max_landing_bytes=100)
    content = os.urandom(2000)
    refusal(library.send, [content[:1500]], sha256=sha256_of(content), size_bytes=2000)
    assert refusal(library.upload, b"another").reason == "RATE_LIMITED"
    library.close()


# Inputs of jobs.


def submit(library, **ref):
    request = job_service_pb2.SubmitJobRequest(project="demo")
    request.spec.trade_audit.user_id = "u1"
    request.spec.inputs["journal"].CopyFrom(spec_pb2.ArtifactRef(**ref))
    request.validate_only = True
    return library.jobs.SubmitJob(request, timeout=10).job


def test_an_input_is_pinned_to_its_digest(library):
    name = library.upload(b"a,b\n1,2\n").artifact.name
    assert submit(library, artifact=name).spec.inputs["journal"].sha256 == sha256_of(b"a,b\n1,2\n")


def test_an_input_that_does_not_exist_is_named(library):
    name = f"projects/demo/artifacts/{'0' * 64}"
    refused = refusal(submit, library, artifact=name)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "REFERENCE_NOT_FOUND")
    assert refused.details["ResourceInfo"].resource_name == name


def test_an_input_of_another_project_does_not_exist(library):
    name = library.upload(b"abc", project="other").artifact.name
    assert refusal(submit, library, artifact=name).reason == "REFERENCE_NOT_FOUND"


def test_an_input_with_another_digest_than_the_expected_one_is_refused(library):
    name = library.upload(b"abc").artifact.name
    refused = refusal(submit, library, artifact=name, sha256="0" * 64)
    assert refused.fields == ["spec.inputs[journal].sha256"]


def test_an_input_by_uri_says_why_it_is_refused(library):
    refused = refusal(submit, library, uri="https://example.com/a.csv", sha256="0" * 64)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["spec.inputs[journal].uri"])
    assert "UploadArtifact" in refused.message


def test_a_channel_that_breaks_in_an_upload_leaves_nothing_listed(library, eventually):
    with grpc.insecure_channel(library.address) as channel:
        stub = channel.stream_unary("/jobplane.v1.ArtifactService/UploadArtifact")
        header = artifact_service_pb2.UploadArtifactRequest(
            header=artifact_service_pb2.UploadArtifactRequest.Header(
                project="demo", size_bytes=5000
            )
        )
        chunk = artifact_service_pb2.UploadArtifactRequest(chunk=b"x" * 1000)
        go_on = threading.Event()

        def requests():
            yield header.SerializeToString()
            yield chunk.SerializeToString()
            go_on.wait(20)

        call = stub.future(requests(), timeout=20)
        eventually(lambda: landed(library) == 1)
    assert call.code() is grpc.StatusCode.CANCELLED
    go_on.set()
    eventually(lambda: landed(library) == 0)
    assert names_of(library) == []
