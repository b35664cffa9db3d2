"""Watches at scale: what one costs, how fast events reach a thousand, what a storm loses.

The real server and its watchers are processes of their own on one machine. The ceiling is a
bare grpc.aio server that writes frames of the same size to as many readers; how long a unary
call takes is asked from a third process, before and while a thousand watchers are fed.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import psutil

from bench.record import keep, missed
from bench.servers import bare_server, plane
from jobplane.v1 import job_pb2, spec_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs

PROJECT = "bench"
WATCH = "/jobplane.v1.JobService/WatchJob"
CONNECTIONS = 10
FRAME_S = 60.0
TARGETS = {
    "kib_per_watcher": ("<=", 32.0, "KiB of the server for an idle watcher"),
    "delivered_per_s": (">=", 30_000.0, "events a second, 1,000 watchers of one busy job"),
    "delivered_to_bare": (">=", 0.7, "the same over frames a second of a bare stream"),
    "one_event_ms": ("<=", 60.0, "ms from a change to the last of 1,000 watchers"),
    "burst_lost": ("<=", 0.0, "watches lost of 4,000 that are opened at once"),
    "storm_lost": ("<=", 0.0, "watches that lost or repeated an event, of 3,000 cut at once"),
    "unary_p99": ("<=", 3.0, "p99 of GetJob while 1,000 watchers are fed, over idle"),
}


@dataclass
class Watcher:
    """One reader of one job, which looks at no more of a frame than its cursor."""

    channel: grpc.aio.Channel
    name: str
    cursor: int | None = None
    call: Any = None
    gaps: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Ask for the stream, from the cursor on."""
        request = wire.WatchJobRequest(name=self.name, durable_only=True)
        if self.cursor is not None:
            request.after_sequence = self.cursor
        self.call = self.channel.unary_stream(WATCH)(request.SerializeToString())

    async def frame(self) -> bool:
        """Take one frame; False at the end of the stream."""
        data = await asyncio.wait_for(self.call.read(), FRAME_S)
        if data is grpc.aio.EOF:
            return False
        self.cursor = _cursor_of(data)
        return True

    async def checked_frame(self) -> bool:
        """Take one frame, and look whether its events follow on the cursor."""
        data = await asyncio.wait_for(self.call.read(), FRAME_S)
        if data is grpc.aio.EOF:
            return False
        frame = wire.WatchJobResponse.FromString(data)
        for event in frame.events.events:
            self.gaps += event.sequence != (self.cursor or 0) + 1
            self.cursor = event.sequence
        self.cursor = frame.cursor
        return True

    async def until(self, cursor: int) -> None:
        """Read up to a sequence."""
        while (self.cursor or 0) < cursor and await self.frame():
            pass


def _cursor_of(frame: bytes) -> int:
    """The first field of a frame: parsing the rest would measure the reader."""
    value, shift, at = 0, 0, 1
    while True:
        byte = frame[at]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value
        at, shift = at + 1, shift + 7


class Crowd:
    """Watchers over a few shared connections, and the jobs that they watch."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [
            grpc.aio.insecure_channel(address, options=options) for _ in range(CONNECTIONS)
        ]
        self.jobs: Any = stubs.JobServiceStub(self.channels[0])

    def watchers(
        self, names: Sequence[str], count: int, cursor: int | None = None
    ) -> list[Watcher]:
        """Watchers spread over the connections and the jobs."""
        return [
            Watcher(self.channels[number % CONNECTIONS], names[number % len(names)], cursor)
            for number in range(count)
        ]

    async def waiting_job(self, **probe: Any) -> job_pb2.Job:
        """A job that starts tomorrow."""
        request = wire.SubmitJobRequest(project=PROJECT)
        request.spec.CopyFrom(spec_pb2.JobSpec(probe=probe))
        start = request.spec.policy.start_time
        start.FromDatetime(datetime.now(UTC) + timedelta(days=1))
        job: job_pb2.Job = (await self.jobs.SubmitJob(request)).job
        return job

    async def suspended_job(self, **probe: Any) -> job_pb2.Job:
        """A job that starts as soon as it is resumed."""
        request = wire.SubmitJobRequest(project=PROJECT)
        request.spec.CopyFrom(spec_pb2.JobSpec(probe=probe))
        start = request.spec.policy.start_time
        start.FromDatetime(datetime.now(UTC) + timedelta(seconds=2))
        job = (await self.jobs.SubmitJob(request)).job
        paused: job_pb2.Job = (await self.jobs.PauseJob(wire.PauseJobRequest(name=job.name))).job
        await asyncio.sleep(2)
        return paused

    async def change(self, name: str, number: int) -> int:
        """Change a job; gives its sequence after that."""
        request = wire.UpdateJobRequest(job=job_pb2.Job(name=name, priority=number % 1000))
        request.update_mask.paths.append("priority")
        return int((await self.jobs.UpdateJob(request)).job.sequence)

    async def close(self) -> None:
        """Leave the server."""
        for channel in self.channels:
            await channel.close()


async def opened(watchers: Sequence[Watcher]) -> int:
    """Open all at once; gives how many got no first frame."""
    for watcher in watchers:
        watcher.open()
    frames = await asyncio.gather(*(one.frame() for one in watchers), return_exceptions=True)
    return sum(frame is not True for frame in frames)


def left(watchers: Sequence[Watcher]) -> None:
    """Leave all streams."""
    for watcher in watchers:
        watcher.call.cancel()


async def memory(crowd: Crowd, server: psutil.Process, count: int) -> float:
    """KiB of the server for each of many watchers to whom nothing happens."""
    names = [(await crowd.waiting_job()).name for _ in range(100)]
    # What the first ones cost is the server's, not a watcher's.
    warm = crowd.watchers(names, 500)
    await opened(warm)
    before = server.memory_info().rss
    idle = crowd.watchers(names, count)
    assert await opened(idle) == 0
    after = server.memory_info().rss
    left([*warm, *idle])
    return (after - before) / count / 1024


async def delivery(crowd: Crowd, count: int, steps: int) -> float:
    """Events a second that reach the watchers of one busy job."""
    job = await crowd.suspended_job(steps=steps, metrics=True, isolation="ISOLATION_THREAD")
    watchers = crowd.watchers([job.name], count, job.sequence)
    await opened(watchers)
    began = time.perf_counter()
    await crowd.jobs.ResumeJob(wire.ResumeJobRequest(name=job.name))
    await asyncio.gather(*(_to_the_end(one) for one in watchers))
    took = time.perf_counter() - began
    events = sum((one.cursor or 0) - job.sequence for one in watchers)
    assert events >= count * steps
    return events / took


async def _to_the_end(watcher: Watcher) -> None:
    while await watcher.frame():
        pass


async def bare_delivery(address: str, count: int, frames: int) -> float:
    """Frames a second that a bare server writes to as many readers."""
    crowd = Crowd(address)
    watchers = crowd.watchers(["-"], count, frames)
    began = time.perf_counter()
    for watcher in watchers:
        watcher.open()
    await asyncio.gather(*(_to_the_end(one) for one in watchers))
    took = time.perf_counter() - began
    await crowd.close()
    return count * frames / took


async def one_event(crowd: Crowd, count: int, rounds: int) -> float:
    """Median milliseconds from a change to the last of many watchers."""
    job = await crowd.waiting_job()
    watchers = crowd.watchers([job.name], count)
    await opened(watchers)
    spans: list[float] = []
    for number in range(rounds):
        due = job.sequence + number + 1
        began = time.perf_counter()
        readers = [asyncio.create_task(one.until(due)) for one in watchers]
        assert await crowd.change(job.name, number) == due
        await asyncio.gather(*readers)
        spans.append((time.perf_counter() - began) * 1000)
    left(watchers)
    return statistics.median(spans)


async def storm(crowd: Crowd, count: int) -> int:
    """Cut many watches at once, let them all come back at once; gives those that are not whole."""
    job = await crowd.waiting_job()
    watchers = crowd.watchers([job.name], count, job.sequence)
    await opened(watchers)
    for number in range(3):
        left(watchers)
        await crowd.change(job.name, number)
        for watcher in watchers:
            watcher.open()
        await asyncio.gather(*(one.checked_frame() for one in watchers), return_exceptions=True)
    due = await crowd.change(job.name, 999)
    await crowd.jobs.CancelJob(wire.CancelJobRequest(name=job.name))
    await asyncio.gather(*(_checked_to_the_end(one) for one in watchers), return_exceptions=True)
    return sum(one.gaps > 0 or (one.cursor or 0) <= due for one in watchers)


async def _checked_to_the_end(watcher: Watcher) -> None:
    while await watcher.checked_frame():
        pass


async def unary(crowd: Crowd, address: str, count: int, rounds: int) -> float:
    """How much longer the slowest of a hundred calls takes while watchers are fed; a median."""
    ratios: list[float] = []
    for _ in range(rounds):
        job = await crowd.suspended_job(
            steps=160,
            step_duration={"nanos": 50_000_000},
            metrics=True,
            isolation="ISOLATION_THREAD",
        )
        watchers = crowd.watchers([job.name], count, job.sequence)
        await opened(watchers)
        idle = await _p99_ms(address, job.name)
        await crowd.jobs.ResumeJob(wire.ResumeJobRequest(name=job.name))
        fed = asyncio.gather(*(_to_the_end(one) for one in watchers))
        ratios.append(await _p99_ms(address, job.name) / idle)
        await fed
    return statistics.median(ratios)


async def _p99_ms(address: str, name: str) -> float:
    """Ask from a process of its own, which has nothing else to do."""
    command = [sys.executable, "-m", "bench.streams", "--ask", address, name]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await process.communicate()
    return float(told)


def ask(address: str, name: str) -> None:
    """Print the p99 of GetJob in milliseconds, over three seconds."""
    spans: list[float] = []
    with grpc.insecure_channel(address) as channel:
        jobs: Any = stubs.JobServiceStub(channel)
        ends_at = time.perf_counter() + 3
        while (began := time.perf_counter()) < ends_at:
            jobs.GetJob(wire.GetJobRequest(name=name), timeout=30)
            spans.append((time.perf_counter() - began) * 1000)
    print(statistics.quantiles(spans[1:], n=100)[-1])


async def measured(address: str, bare: str, given: argparse.Namespace) -> dict[str, float]:
    """Every figure, against one server."""
    server = next(
        one for one in psutil.Process().children() if "jobplane.cli" in " ".join(one.cmdline())
    )
    crowd = Crowd(address)
    few = given.watchers
    found: dict[str, float] = {"kib_per_watcher": await memory(crowd, server, 5 * few)}
    pairs = [
        (await bare_delivery(bare, few, 100), await delivery(crowd, few, 500))
        for _ in range(given.rounds)
    ]
    found["delivered_per_s"] = statistics.median(ours for _, ours in pairs)
    found["bare_frames_per_s"] = statistics.median(ceiling for ceiling, _ in pairs)
    found["delivered_to_bare"] = statistics.median(ours / ceiling for ceiling, ours in pairs)
    found["one_event_ms"] = await one_event(crowd, few, 20)
    names = [(await crowd.waiting_job()).name for _ in range(20)]
    burst = crowd.watchers(names, 4 * few)
    found["burst_lost"] = await opened(burst)
    left(burst)
    found["storm_lost"] = await storm(crowd, 3 * few)
    found["unary_p99"] = await unary(crowd, address, few, given.rounds)
    await crowd.close()
    return found


def main() -> int:
    """Measure, print a table, write JSON and a plot; 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--watchers", type=int, default=1_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--ask", nargs=2, metavar=("ADDRESS", "JOB"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.ask:
        ask(*given.ask)
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="jobplane-bench-") as folder,
        plane(folder) as address,
        bare_server() as bare,
    ):
        figures = asyncio.run(measured(address, bare, given))
    short = missed(TARGETS, figures)
    result = {**figures, "watchers": given.watchers, "targets": TARGETS}
    shown = {name: figures[name] for name in ("delivered_per_s", "bare_frames_per_s")}
    keep("streams", result, f"Events a second to {given.watchers} watchers", shown)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
