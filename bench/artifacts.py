"""Measures uploads, reads and pages of tables against bare gRPC streams, in one run.

    python bench/artifacts.py [--mib 1024] [--rows 10000000] [--rounds 3] [--json results.json]

A bare server copies a file through a stream of google.protobuf.BytesValue, a MiB each, with
no checksum, no durability and no rules: what ours takes longer is what those cost. Both
servers and the client share the machine, each server in a process of its own.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value

from jobplane.v1 import artifact_service_pb2 as wire
from jobplane.v1 import artifact_service_pb2_grpc

MIB = 1024 * 1024
READY = re.compile(r"(?:jobplane ready grpc=|bare )(\S+)")
OPTIONS = [("grpc.max_receive_message_length", 4 * MIB)]
# Ratios that must hold.
TARGETS = {"read": 0.7, "upload": 0.7, "last page": 3.0}
_STATM = "/proc/{}/statm"


class BareServer:
    """Files in and out of a folder, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ThreadPoolExecutor(2)
        # Each upload is a new file, as ours is: to write over an old one is cheaper.
        self._number = 0

    async def read(self, _: Int64Value, context: Any) -> None:
        """Stream the file."""
        loop = asyncio.get_running_loop()
        with (self._folder / f"bare-{self._number}").open("rb") as source:
            while data := await loop.run_in_executor(self._files, source.read, MIB):
                await context.write(BytesValue(value=data))

    async def write(self, requests: Any, _: Any) -> Int64Value:
        """Take the file in."""
        loop = asyncio.get_running_loop()
        size = 0
        self._number += 1
        with (self._folder / f"bare-{self._number}").open("wb") as target:
            async for request in requests:
                size += len(request.value)
                await loop.run_in_executor(self._files, target.write, request.value)
        return Int64Value(value=size)

    async def serve(self) -> None:
        """Serve until the process is ended."""
        server = grpc.aio.server(options=OPTIONS)
        read = grpc.unary_stream_rpc_method_handler(
            self.read, Int64Value.FromString, BytesValue.SerializeToString
        )
        write = grpc.stream_unary_rpc_method_handler(
            self.write, BytesValue.FromString, Int64Value.SerializeToString
        )
        handlers = grpc.method_handlers_generic_handler("bare", {"Read": read, "Write": write})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sys.stdout.write(f"bare 127.0.0.1:{port}\n")
        sys.stdout.flush()
        await server.wait_for_termination()


@contextmanager
def running(*command: str) -> Iterator[tuple[str, int]]:
    """Run a server; gives its address and its process id."""
    with subprocess.Popen(  # noqa: S603  our own servers
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            ready = READY.match(line)
            if ready is None:
                raise SystemExit(f"the server did not start: {line!r}")
            yield ready[1], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def chunks_of(path: Path) -> Iterator[bytes]:
    """The file, a MiB at a time."""
    with path.open("rb") as source:
        while data := source.read(MIB):
            yield data


class Bare:
    """The client of the bare server."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=OPTIONS)
        self._read = channel.unary_stream(
            "/bare/Read", Int64Value.SerializeToString, BytesValue.FromString
        )
        self._write = channel.stream_unary(
            "/bare/Write", BytesValue.SerializeToString, Int64Value.FromString
        )

    def upload(self, path: Path) -> int:
        """Send the file."""
        size: int = self._write(BytesValue(value=data) for data in chunks_of(path)).value
        return size

    def read(self) -> int:
        """Read the file."""
        return sum(len(frame.value) for frame in self._read(Int64Value()))


class Ours:
    """The client of our server."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=OPTIONS)
        self._stub = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
        self.name = ""

    def upload(self, path: Path, sha256: str) -> int:
        """Send the file with its digest; what it is called afterwards is kept."""
        header = wire.UploadArtifactRequest.Header(
            project="bench", filename=path.name, sha256=sha256, size_bytes=path.stat().st_size
        )
        answer = self._stub.UploadArtifact(self._requests(header, path))
        assert not answer.deduplicated
        self.name = answer.artifact.name
        size: int = answer.artifact.size_bytes
        return size

    def _requests(self, header: Any, path: Path) -> Iterator[wire.UploadArtifactRequest]:
        yield wire.UploadArtifactRequest(header=header)
        for data in chunks_of(path):
            yield wire.UploadArtifactRequest(chunk=data)

    def read(self) -> int:
        """Read what was sent last."""
        request = wire.ReadArtifactRequest(name=self.name)
        return sum(len(frame.data) for frame in self._stub.ReadArtifact(request))

    def page(self, offset: int) -> int:
        """Read a page of what was sent last."""
        request = wire.ReadTableRequest(name=self.name, offset=offset, limit=100)
        return len(self._stub.ReadTable(request).rows)


def timed(call: Callable[[], int], size: int) -> float:
    """Seconds of a call that must move so much."""
    started = time.perf_counter()
    moved = call()
    taken = time.perf_counter() - started
    assert moved == size, f"{moved} of {size}"
    return taken


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    pages = int(Path(_STATM.format(pid)).read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def fresh_file(path: Path, mib: int, seed: int) -> str:
    """Write a file that was never there before; gives its digest."""
    digest = hashlib.sha256()
    block = random.Random(seed).randbytes(MIB)  # noqa: S311  bytes to move, no secret
    with path.open("wb") as target:
        for number in range(mib):
            data = number.to_bytes(8, "big") + block[8:]
            digest.update(data)
            target.write(data)
    return digest.hexdigest()


def copies(folder: Path, bare: Bare, ours: Ours, pid: int, options: Any) -> dict[str, Any]:
    """Uploads and reads, ours and bare in turns."""
    size = options.mib * MIB
    taken: dict[str, list[float]] = {}
    before_mib = resident_mib(pid)
    peak_mib = before_mib
    for number in range(options.rounds):
        path = folder / "file.bin"
        sha256 = fresh_file(path, options.mib, number)
        turns: dict[str, Callable[[], int]] = {
            "bare upload": lambda: bare.upload(path),  # noqa: B023  called in this turn
            "upload": lambda: ours.upload(path, sha256),  # noqa: B023  called in this turn
            "bare read": bare.read,
            "read": ours.read,
            # The first read is held to its digest; those after it need not be.
            "read again": ours.read,
        }
        for name, call in turns.items():
            taken.setdefault(name, []).append(timed(call, size))
            peak_mib = max(peak_mib, resident_mib(pid))
    rates = {name: options.mib / statistics.median(all_) for name, all_ in taken.items()}
    ratios = {
        name: statistics.median(
            bare_s / ours_s
            for bare_s, ours_s in zip(taken[f"bare {name.split()[0]}"], taken[name], strict=True)
        )
        for name in ("upload", "read", "read again")
    }
    return {"mib_per_s": rates, "ratio": ratios, "rss_mib": [before_mib, peak_mib]}


def tables(folder: Path, ours: Ours, rows: int) -> dict[str, Any]:
    """Pages of a large CSV: the first, one in the middle, the last."""
    path = folder / "table.csv"
    with path.open("w") as target:
        target.write("row,time,asset,side,size,pnl,note\n")
        for number in range(rows):
            target.write(
                f"{number},2026-01-02T03:04:05Z,BTC-USD,buy,{number * 1.5},{number / 7:.4f},"
                f'"note, {number % 13}"\n'
            )
    sha256 = hashlib.sha256()
    for data in chunks_of(path):
        sha256.update(data)
    ours.upload(path, sha256.hexdigest())
    first_ever = timed(lambda: ours.page(0), 100)
    pages = {
        name: statistics.median(timed(lambda at=offset: ours.page(at), 100) for _ in range(30))  # type: ignore[misc]  # mypy can't see the default
        for name, offset in (("first", 0), ("middle", rows // 2), ("last", rows - 100))
    }
    milliseconds = {name: round(taken * 1000, 2) for name, taken in pages.items()}
    return {
        "table_mib": round(path.stat().st_size / MIB),
        "index_s": round(first_ever, 2),
        "page_ms": milliseconds,
        "last page": pages["last"] / pages["first"],
    }


def main() -> int:
    """Measure, print, and exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        asyncio.run(BareServer(options.bare).serve())
        return 0
    with tempfile.TemporaryDirectory(prefix="jobplane-bench-") as name:
        folder = Path(name)
        data = ("--data", str(folder / "data"), "--port", "0", "--http-port", "0")
        with (
            running(__file__, "--bare", name) as (bare_address, _),
            running("-m", "jobplane.cli", "dev", *data) as (address, pid),
        ):
            ours = Ours(address)
            result = copies(folder, Bare(bare_address), ours, pid, options)
            result |= tables(folder, ours, options.rows)
    result["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}"
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if options.json:
        options.json.write_text(json.dumps(result))
    is_kept = (
        all(result["ratio"][name] >= TARGETS[name] for name in ("read", "upload"))
        and result["last page"] <= TARGETS["last page"]
    )
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
