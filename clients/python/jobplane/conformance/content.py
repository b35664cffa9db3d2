"""Uploads, downloads and tables."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from jobplane.conformance.frames import Frames
from jobplane.conformance.refusal import blames, refused, refused_stream
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.v1 import artifact_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.conformance.server import Server
    from jobplane.v1 import job_pb2

CHAPTER = Chapter("Content")
rule = CHAPTER.rule

SIZE = 300_000
PART = 100_000
# More than one frame holds.
LARGE = 1_300_000
UPLOAD_S = 60.0
# Longest data of one frame.
MAX_DATA = 1024 * 1024


def digest(content: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


async def _upload(
    server: Server, parts: Sequence[bytes], **header: Any
) -> wire.UploadArtifactResponse:
    """The answer to a header and chunks."""
    first = wire.UploadArtifactRequest.Header(project=server.project, **header)
    messages = [
        wire.UploadArtifactRequest(header=first),
        *(wire.UploadArtifactRequest(chunk=part) for part in parts),
    ]
    call: Any = server.artifacts.UploadArtifact
    response: wire.UploadArtifactResponse = await call(
        iter(messages), timeout=UPLOAD_S + server.slack_s, metadata=server.metadata
    )
    return response


def _read(server: Server, name: str, **fields: Any) -> Frames[wire.ReadArtifactResponse]:
    request = wire.ReadArtifactRequest(name=name, **fields)
    call = server.artifacts.ReadArtifact(request, metadata=server.metadata)
    return Frames(call, patience_s=UPLOAD_S + server.slack_s)


def _joined(frames: Sequence[wire.ReadArtifactResponse]) -> bytes:
    return b"".join(frame.data for frame in frames)


def _parts(content: bytes) -> list[bytes]:
    return [content[at : at + PART] for at in range(0, len(content), PART)]


@rule("upload-whole", "What was uploaded is known by its digest, and read back byte for byte.")
async def _whole(server: Server) -> None:
    content = os.urandom(SIZE)
    answer = await _upload(
        server, _parts(content), sha256=digest(content), size_bytes=SIZE, filename="a.bin"
    )
    due = f"projects/{server.project}/artifacts/{digest(content)}"
    expect_equal(answer.artifact.name, due, "the name")
    expect_equal(answer.artifact.size_bytes, SIZE, "size_bytes")
    frames = await _read(server, answer.artifact.name).rest()
    expect(_joined(frames) == content, "what was read is not what was uploaded")


@rule("upload-known", "Content that the project has is answered after the header alone.")
async def _known(server: Server) -> None:
    content = os.urandom(1000)
    first = await _upload(server, [content], sha256=digest(content), size_bytes=1000)
    again = await _upload(server, [], sha256=digest(content))
    expect(not first.deduplicated, "new content is told as known")
    expect(again.deduplicated, "known content is not told as such")
    expect_equal(again.artifact.name, first.artifact.name, "the name")


@rule("upload-wrong-digest", "Content that is not what its header says is refused, not kept.")
async def _wrong_digest(server: Server) -> None:
    content = os.urandom(1000)
    call = _upload(server, [content], sha256="0" * 64, size_bytes=1000)
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "header.sha256")
    call = _upload(server, [content], sha256=digest(content), size_bytes=999)
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "header.size_bytes")
    name = f"projects/{server.project}/artifacts/{digest(content)}"
    request = wire.GetArtifactRequest(name=name)
    await refused(
        server.call(server.artifacts.GetArtifact, request), "NOT_FOUND", "ARTIFACT_NOT_FOUND"
    )


@rule("upload-resume", "An upload that broke off is gone on with from where it came to.")
async def _resume(server: Server) -> None:
    content = os.urandom(SIZE)
    sha256 = digest(content)
    header = wire.UploadArtifactRequest.Header(
        project=server.project, sha256=sha256, size_bytes=SIZE
    )
    upload: Any = server.artifacts.UploadArtifact
    call = upload(timeout=UPLOAD_S, metadata=server.metadata)
    await call.write(wire.UploadArtifactRequest(header=header))
    await call.write(wire.UploadArtifactRequest(chunk=content[:PART]))
    call.cancel()
    asked = await _upload(server, [], sha256=sha256, asks_received=True)
    received = asked.received_bytes
    expect(0 <= received <= PART, f"{received} bytes are told as received of {PART} sent")
    rest = await _upload(
        server, _parts(content[received:]), sha256=sha256, size_bytes=SIZE, offset=received
    )
    frames = await _read(server, rest.artifact.name).rest()
    expect(_joined(frames) == content, "what was read is not what was uploaded")


@rule("upload-offset", "An upload can't go on from where it never was.")
async def _offset(server: Server) -> None:
    content = os.urandom(1000)
    call = _upload(server, [content[500:]], sha256=digest(content), size_bytes=1000, offset=500)
    await refused(call, "OUT_OF_RANGE", "OFFSET_PAST_END")


@rule("read-frames", "Frames have at most 1 MiB, their checksum and offset, and the last says so.")
async def _frames(server: Server) -> None:
    job = await _with_payload(server, LARGE)
    frames = await _read(server, f"{job.name}/artifacts/payload.bin").rest()
    expect(frames[0].HasField("artifact"), "the first frame does not tell of the artifact")
    expect(frames[-1].end, "the last frame does not say the end")
    expect(not any(frame.end for frame in frames[:-1]), "a frame before the last says the end")
    at = 0
    for frame in frames:
        expect_equal(frame.offset, at, "an offset")
        expect(len(frame.data) <= MAX_DATA, f"a frame has {len(frame.data)} bytes")
        expect_equal(frame.crc32c, crc32c(frame.data), f"crc32c at {at}")
        at += len(frame.data)
    expect_equal(digest(_joined(frames)), frames[0].artifact.sha256, "the digest of what came")


@rule("read-resume", "A read that is cut after any frame and resumed gives the same bytes.")
async def _read_resume(server: Server) -> None:
    job = await _with_payload(server, LARGE)
    name = f"{job.name}/artifacts/payload.bin"
    got, sha256, ended = b"", "", False
    while not ended:
        frames = _read(server, name, offset=len(got), expected_sha256=sha256)
        frame = await frames.next()
        frames.cut()
        sha256 = frame.artifact.sha256
        got, ended = got + frame.data, frame.end
        expect(len(got) <= LARGE, f"{len(got)} bytes came of {LARGE}")
    expect_equal(digest(got), sha256, "the digest of what came")


@rule("read-range", "A read gives exactly the bytes that were asked for.")
async def _range(server: Server) -> None:
    content = os.urandom(5000)
    name = (await _upload(server, [content], sha256=digest(content))).artifact.name
    for offset, limit in ((0, 10), (4990, 0), (100, 4000), (5000, 0), (4000, 9000)):
        frames = await _read(server, name, offset=offset, limit=limit).rest()
        due = content[offset : offset + limit] if limit else content[offset:]
        expect(_joined(frames) == due, f"the bytes from {offset}, at most {limit}, are others")
    frames_past = _read(server, name, offset=5001)
    await refused_stream(frames_past, "OUT_OF_RANGE", "OFFSET_PAST_END")


@rule("read-expected", "Content that is not the expected one is refused before any byte.")
async def _expected(server: Server) -> None:
    content = os.urandom(100)
    name = (await _upload(server, [content], sha256=digest(content))).artifact.name
    frames = _read(server, name, expected_sha256="0" * 64)
    await refused_stream(frames, "ABORTED", "CONTENT_CHANGED")


@rule("artifact-list", "The artifacts of a job are listed with size and digest, without bytes.")
async def _list(server: Server) -> None:
    job = await _with_payload(server, 1000, table_rows=5)
    request = wire.ListArtifactsRequest(parent=job.name, filter="type != LOG")
    listed = await server.call(server.artifacts.ListArtifacts, request)
    names = [artifact.artifact_id for artifact in listed.artifacts]
    expect_equal(names, ["payload.bin", "table.csv"], "the artifacts")
    for artifact in listed.artifacts:
        expect(bool(artifact.sha256) and artifact.size_bytes > 0, "size or digest is missing")
        expect(not artifact.inline_data, "the bytes are in the list")


@rule("artifact-inline", "Small content comes inline when it is asked for.")
async def _inline(server: Server) -> None:
    job = await _with_payload(server, 1000)
    request = wire.GetArtifactRequest(name=f"{job.name}/artifacts/payload.bin")
    plain = (await server.call(server.artifacts.GetArtifact, request)).artifact
    expect(not plain.inline_data, "bytes came without being asked for")
    request.include_inline_data = True
    full = (await server.call(server.artifacts.GetArtifact, request)).artifact
    expect_equal(digest(full.inline_data), full.sha256, "the digest of what came inline")


@rule("table-pages", "Pages of a table hold its rows in order, each once, and its columns.")
async def _table_pages(server: Server) -> None:
    rows = 250
    job = await _with_payload(server, 0, table_rows=rows)
    name = f"{job.name}/artifacts/table.csv"
    seen: list[float] = []
    while len(seen) < rows:
        request = wire.ReadTableRequest(name=name, offset=len(seen), limit=100, columns=["square"])
        page = await server.call(server.artifacts.ReadTable, request)
        expect_equal(page.table.row_count, rows, "row_count")
        expect_equal(page.offset, len(seen), "offset")
        expect(bool(page.rows), "a page before the end is empty")
        seen += [row.values[0].number_value for row in page.rows]
    expect_equal(seen, [float(number * number) for number in range(rows)], "the column")
    past = wire.ReadTableRequest(name=name, offset=rows + 1)
    call = server.call(server.artifacts.ReadTable, past)
    await refused(call, "OUT_OF_RANGE", "OFFSET_PAST_END")


async def _with_payload(server: Server, size: int, **fields: Any) -> job_pb2.Job:
    """A finished job with an output of a size."""
    return await server.finished(await server.submit(artifact_bytes=size, **fields))


def crc32c(data: bytes) -> int:
    """CRC32C (Castagnoli), as every frame of a read carries it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _crc_row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = [_crc_row(byte) for byte in range(256)]
