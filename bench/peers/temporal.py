"""Temporal's dev server as the CLI ships it, on a SQLite file, and a worker of its Python SDK."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError

from bench.peers.figures import WIDTH, Figures, await_true, running, tell
from bench.peers.temporal_work import QUEUE, Noop, NoopActivity
from bench.rate import rate

_TOOLS = Path(__file__).resolve().parents[2] / ".tools/bin"
# Where the header of a SQLite file says how it is written.
_WRITE_VERSION_AT, _WAL = 18, 2


def measure(seconds: float) -> list[Figures]:
    """Measure a dev server on a fresh file."""
    binary = shutil.which("temporal", path=f"{_TOOLS}{os.pathsep}{os.environ['PATH']}")
    if binary is None:
        sys.exit("no `temporal` on the PATH nor in .tools/bin; `make bench-peers` builds it")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        file, address = folder / "temporal.db", f"127.0.0.1:{port}"
        command = [binary, "server", "start-dev", "--headless", "--port", str(port)]
        options = ["--db-filename", str(file), "--log-level", "error"]
        with running([*command, *options], folder / "server.log"):
            await_true(lambda: _answers(port), "the dev server")
            worker = [sys.executable, "-m", "bench.peers.temporal_work", address]
            with running(worker, folder / "worker.log"):
                return asyncio.run(_measured(address, file, seconds))


async def _measured(address: str, file: Path, seconds: float) -> list[Figures]:
    client = await _connected(address)
    await _whole(client, NoopActivity)
    submits = await rate(lambda: _start(client, Noop, "idle"), WIDTH, seconds)
    found: list[Figures] = []
    for workflow, named in ((Noop, "a workflow"), (NoopActivity, "a workflow of one activity")):
        whole = await rate(lambda of=workflow: _whole(client, of), WIDTH, seconds)  # type: ignore[misc]  # mypy can't see the default
        single = await rate(lambda of=workflow: _whole(client, of), 1, seconds)  # type: ignore[misc]  # as above
        found.append(
            Figures(
                system=f"Temporal dev server, {named}",
                durability=f"SQLite, {_journal(file)}, driver's defaults: an ack is a commit",
                submit_64_per_s=submits.per_s,
                whole_64_per_s=whole.per_s,
                whole_1_p50_ms=single.p50_s * 1000,
            )
        )
    return found


async def _connected(address: str) -> Client:
    """A client, once the default namespace is there."""
    client = await Client.connect(address)
    for _ in range(200):
        try:
            await _start(client, Noop, "idle")
        except RPCError:
            await asyncio.sleep(0.05)
        else:
            return client
    sys.exit("the dev server takes no workflow")


async def _start(client: Client, workflow: Any, queue: str) -> Any:
    return await client.start_workflow(workflow.run, id=uuid.uuid4().hex, task_queue=queue)


async def _whole(client: Client, workflow: Any) -> None:
    await (await _start(client, workflow, QUEUE)).result()


def _journal(file: Path) -> str:
    """How the file is written, by its own header."""
    with file.open("rb") as source:
        header = source.read(_WRITE_VERSION_AT + 1)
    return "WAL" if header[_WRITE_VERSION_AT] == _WAL else "rollback journal"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


if __name__ == "__main__":
    tell(measure)
