"""Logs of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.conformance.frames import Frames
from jobplane.conformance.refusal import refused_stream
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.server import Server
    from jobplane.v1 import job_pb2

CHAPTER = Chapter("Logs")
rule = CHAPTER.rule

LOG_BYTES = 20_000
Line = wire.TailJobLogsResponse.LogLine


async def _tail(server: Server, job: job_pb2.Job, **fields: object) -> list[Line]:
    """Lines of a log that is read to its end, which must be said."""
    frames = await _frames(server, job.name, **fields).rest()
    expect(bool(frames) and frames[-1].end, "the stream ended without a frame that says so")
    expect(not any(frame.end for frame in frames[:-1]), "a frame before the last says the end")
    return [line for frame in frames for line in frame.lines]


def _frames(server: Server, name: str, **fields: object) -> Frames[wire.TailJobLogsResponse]:
    request = wire.TailJobLogsRequest(name=name, **fields)  # type: ignore[arg-type]  # by name
    call = server.jobs.TailJobLogs(request, metadata=server.metadata)
    return Frames(call, patience_s=45 + server.slack_s)


async def _printed(server: Server) -> job_pb2.Job:
    """A job that has printed."""
    job = await server.submit(log_bytes=LOG_BYTES, isolation=ProbeSpec.ISOLATION_PROCESS)
    return await server.finished(job)


@rule("log-whole", "A log holds what was printed, byte for byte, in numbered lines.")
async def _whole(server: Server) -> None:
    lines = [
        line for line in await _tail(server, await _printed(server)) if line.stream == "stdout"
    ]
    text = "".join(line.text + "\n" for line in lines)
    expect(abs(len(text) - LOG_BYTES) <= 1, f"{len(text)} bytes came back of {LOG_BYTES}")
    expect(all(line.text for line in lines), "a line is empty that was not")


@rule("log-numbers", "Lines are numbered 1, 2, 3 ... within the attempt.")
async def _numbers(server: Server) -> None:
    lines = await _tail(server, await _printed(server))
    expect_equal([line.line for line in lines], list(range(1, len(lines) + 1)), "the numbers")
    expect({line.attempt for line in lines} == {1}, "a line is of another attempt")


@rule("log-resume", "A log that goes on after any line repeats and leaves out nothing.")
async def _resume(server: Server) -> None:
    job = await _printed(server)
    lines = await _tail(server, job)
    for after in (1, len(lines) // 2, len(lines)):
        rest = await _tail(server, job, attempt=1, after_line=after)
        expect_equal(rest, lines[after:], f"the lines after {after}")
    last = await _tail(server, job, tail_lines=3)
    expect_equal(last, lines[-3:], "the last three lines")


@rule("log-follow", "A log that is followed goes on until the job ends, and says so.")
async def _follow(server: Server) -> None:
    job = await server.submit(
        log_bytes=LOG_BYTES, isolation=ProbeSpec.ISOLATION_PROCESS, steps=2, step_s=0.2
    )
    lines = await _tail(server, job, follow=True)
    expect((await server.get(job.name)).done, "it ended before the job")
    expect_equal(lines, await _tail(server, job), "what was followed")


@rule("log-unknown-job", "The log of an unknown job is NOT_FOUND before any frame.")
async def _unknown(server: Server) -> None:
    frames = _frames(server, f"projects/{server.project}/jobs/no-such-job")
    await refused_stream(frames, "NOT_FOUND", "JOB_NOT_FOUND")
