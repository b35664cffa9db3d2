"""ArtifactService over a real engine: what is listed can be read, byte for byte, from anywhere."""

import os

import google_crc32c
import pytest

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.v1 import artifact_pb2, artifact_service_pb2, job_service_pb2
from tests.service.library_server import refusal, sha256_of

MIB = 1024 * 1024


def list_of(library, parent, **fields):
    request = artifact_service_pb2.ListArtifactsRequest(parent=parent, **fields)
    return library.artifacts.ListArtifacts(request, timeout=10)


def get(library, name, **fields):
    request = artifact_service_pb2.GetArtifactRequest(name=name, **fields)
    return library.artifacts.GetArtifact(request, timeout=10).artifact


def ids(page):
    return [artifact.artifact_id for artifact in page.artifacts]


def test_the_artifacts_of_a_job_are_listed_by_id(library):
    job = library.run_probe(steps=1, table_rows=3, artifact_bytes=10)
    assert ids(list_of(library, job.name)) == ["payload.bin", "table.csv"]


def test_pages_of_artifacts_hold_each_once(library):
    job = library.run_probe(steps=1)
    names = [f"part-{number:04}" for number in range(7)]
    for name in names:
        library.put_output(job, name, name.encode())
    seen, token = [], ""
    while True:
        page = list_of(library, job.name, page_size=3, page_token=token)
        seen += ids(page)
        token = page.next_page_token
        if not token:
            break
    assert seen == names


def test_a_page_token_of_another_list_is_refused(library):
    first, second = library.run_probe(steps=1), library.run_probe(steps=1)
    for name in ("a", "b"):
        library.put_output(first, name, b"x")
    token = list_of(library, first.name, page_size=1).next_page_token
    refused = refusal(list_of, library, second.name, page_token=token)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("type = TABLE", ["b.csv"]),
        ("size_bytes > 3", ["c.bin"]),
        ("media_type = text/csv OR artifact_id = a.txt", ["a.txt", "b.csv"]),
        ('create_time > "2030-01-01T00:00:00Z"', []),
        ("labels.split = test", ["c.bin"]),
    ],
)
def test_lists_are_filtered(library, asked, found):
    job = library.run_probe(steps=1)
    library.put_output(job, "a.txt", b"abc")
    library.put_output(job, "b.csv", b"a\n1", type=ArtifactType.TABLE, media_type="text/csv")
    library.put_output(job, "c.bin", b"abcd", labels={"split": "test"})
    assert ids(list_of(library, job.name, filter=asked)) == found


def test_a_filter_on_a_field_that_is_not_there_names_its_column(library):
    refused = refusal(list_of, library, "projects/demo", filter="colour = red")
    assert (refused.reason, refused.metadata["column"]) == ("INVALID_FILTER", "1")


def test_the_list_of_an_unknown_job_is_not_found(library):
    refused = refusal(list_of, library, "projects/demo/jobs/none")
    assert (refused.code, refused.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")


def test_uploads_are_listed_newest_first(library):
    for content in (b"1", b"2", b"3"):
        library.upload(content)
    page = list_of(library, "projects/demo", page_size=2)
    assert ids(page) == [sha256_of(b"3"), sha256_of(b"2")]
    rest = list_of(library, "projects/demo", page_size=2, page_token=page.next_page_token)
    assert ids(rest) == [sha256_of(b"1")]
    assert rest.next_page_token == ""


def test_small_content_comes_inline_when_it_is_asked_for(library):
    name = library.upload(b"small").artifact.name
    assert get(library, name, include_inline_data=True).inline_data == b"small"
    assert get(library, name).inline_data == b""


def test_large_content_is_never_inline(library):
    name = library.upload(b"x" * (64 * 1024 + 1)).artifact.name
    assert get(library, name, include_inline_data=True).inline_data == b""


def test_an_artifact_that_may_still_come_is_not_ready(library):
    name = "projects/demo/jobs/slow/artifacts/later.csv"
    request = job_service_pb2.SubmitJobRequest(project="demo", job_id="slow")
    request.spec.probe.steps = 100_000
    request.spec.probe.step_duration.FromMilliseconds(20)
    request.spec.probe.isolation = probe_pb2.ProbeSpec.ISOLATION_THREAD
    library.jobs.SubmitJob(request, timeout=10)
    refused = refusal(get, library, name)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RESULT_NOT_READY")
    assert "RetryInfo" in refused.details
    cancel = job_service_pb2.CancelJobRequest(name="projects/demo/jobs/slow", force=True)
    library.jobs.CancelJob(cancel, timeout=10)


def test_an_artifact_that_a_finished_job_lacks_is_not_found(library):
    job = library.run_probe(steps=1)
    refused = refusal(get, library, f"{job.name}/artifacts/none.csv")
    assert (refused.code, refused.reason) == ("NOT_FOUND", "ARTIFACT_NOT_FOUND")
    assert refused.details["ResourceInfo"].resource_name == f"{job.name}/artifacts/none.csv"


@pytest.mark.parametrize(
    "name",
    [
        "projects/demo/jobs/one/artifacts/../../../x",
        "projects/demo/jobs/one/artifacts//x",
        "projects/demo/jobs/one/artifacts/.hidden",
        "projects/demo/artifacts/" + "a" * 63,
        "projects/demo/artifacts/..%2f..%2fetc",
        "projects/demo/jobs/one/artifacts/" + "a" * 600,
        "/etc/passwd",
        "",
    ],
)
def test_a_name_that_is_none_is_refused(library, name):
    refused = refusal(get, library, name)
    assert (refused.code, refused.reason, refused.fields) == (
        "INVALID_ARGUMENT",
        "INVALID_SPEC",
        ["name"],
    )


def test_a_name_of_several_segments_is_read(library):
    job = library.run_probe(steps=1)
    library.put_output(job, "plots/a/equity.png", b"png")
    assert library.read(f"{job.name}/artifacts/plots/a/equity.png") == b"png"


def test_the_first_frame_tells_of_the_artifact_and_the_last_one_of_the_end(library):
    content = os.urandom(2 * MIB + 5)
    name = library.upload(content).artifact.name
    frames = library.frames(name)
    assert [frame.HasField("artifact") for frame in frames] == [True, False, False]
    assert [frame.end for frame in frames] == [False, False, True]
    assert [frame.offset for frame in frames] == [0, MIB, 2 * MIB]
    assert frames[0].artifact.sha256 == sha256_of(content)
    assert b"".join(frame.data for frame in frames) == content


def test_each_frame_has_the_checksum_of_its_bytes(library):
    name = library.upload(os.urandom(MIB + 1)).artifact.name
    for frame in library.frames(name):
        assert frame.crc32c == google_crc32c.value(frame.data)


@pytest.mark.parametrize("offset", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB + 4, 2 * MIB + 5])
@pytest.mark.parametrize("limit", [0, 1, MIB, 5 * MIB])
def test_any_range_can_be_read(library, offset, limit):
    content = bytes(range(256)) * (2 * MIB // 256) + b"tail!"
    name = library.upload(content).artifact.name
    frames = library.frames(name, offset=offset, limit=limit)
    wanted = content[offset : offset + limit] if limit else content[offset:]
    assert b"".join(frame.data for frame in frames) == wanted
    assert frames[-1].end
    assert frames[0].offset == offset


def test_a_read_that_is_cut_at_every_frame_and_resumed_gives_the_same_bytes(library):
    content = os.urandom(3 * MIB + 17)
    name = library.upload(content).artifact.name
    got = b""
    while True:
        request = artifact_service_pb2.ReadArtifactRequest(
            name=name, offset=len(got), expected_sha256=sha256_of(content)
        )
        stream = library.artifacts.ReadArtifact(request, timeout=10)
        frame = next(stream)
        stream.cancel()
        got += frame.data
        if frame.end:
            break
    assert got == content


def test_empty_content_is_one_frame(library):
    name = library.upload(b"", sha256=sha256_of(b"")).artifact.name
    [frame] = library.frames(name)
    assert (frame.data, frame.end, frame.artifact.size_bytes) == (b"", True, 0)


def test_an_offset_past_the_end_is_out_of_range(library):
    name = library.upload(b"abc").artifact.name
    refused = refusal(library.frames, name, offset=4)
    assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "OFFSET_PAST_END")
    assert refused.metadata == {"offset": "4", "size": "3"}


def test_content_that_is_not_the_expected_one_is_told(library):
    name = library.upload(b"abc").artifact.name
    refused = refusal(library.frames, name, expected_sha256="0" * 64)
    assert (refused.code, refused.reason) == ("ABORTED", "CONTENT_CHANGED")
    assert refused.metadata["sha256"] == sha256_of(b"abc")


def test_content_that_is_gone_is_data_loss(library):
    artifact = library.upload(b"abc").artifact
    library.house.content.path_of(artifact.sha256).unlink()
    refused = refusal(library.frames, artifact.name)
    assert (refused.code, refused.reason) == ("DATA_LOSS", "ARTIFACT_MISSING")


@pytest.mark.parametrize("damaged", [b"ab", b"abcd", b"abX"], ids=["short", "long", "other"])
def test_content_that_was_damaged_is_never_read_to_its_end(library, damaged):
    artifact = library.upload(b"abc").artifact
    path = library.house.content.path_of(artifact.sha256)
    path.unlink()
    path.write_bytes(damaged)
    refused = refusal(library.frames, artifact.name)
    assert (refused.code, refused.reason) == ("DATA_LOSS", "ARTIFACT_CORRUPT")


def test_damage_after_a_good_read_is_found_too(library):
    artifact = library.upload(b"abc").artifact
    library.frames(artifact.name)
    path = library.house.content.path_of(artifact.sha256)
    path.write_bytes(b"abX")
    assert refusal(library.frames, artifact.name).reason == "ARTIFACT_CORRUPT"


def test_content_that_was_replaced_by_a_link_is_not_followed(library, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"abc")
    artifact = library.upload(b"abc").artifact
    path = library.house.content.path_of(artifact.sha256)
    path.unlink()
    path.symlink_to(secret)
    assert refusal(library.frames, artifact.name).code == "DATA_LOSS"


def test_a_job_reads_what_was_uploaded(library):
    artifact = library.upload(b"abc", filename="notes.txt", labels={"a": "b"}).artifact
    assert artifact.name == f"projects/demo/artifacts/{sha256_of(b'abc')}"
    assert artifact.type == artifact_pb2.ARTIFACT_TYPE_INPUT
    assert (artifact.media_type, artifact.filename) == ("text/plain", "notes.txt")
    assert dict(artifact.labels) == {"a": "b"}
