"""procrastinate on PostgreSQL: deferred by an async client, worked on by one worker process."""

import asyncio
import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import App

from bench.peers.figures import WIDTH, Figures, running, tell
from bench.peers.postgres import cluster
from bench.peers.procrastinate_work import CONNECT, queues
from bench.rate import rate

_SLOTS = 32
_LOOK_S = 0.002
_ENDED = """
SELECT id FROM procrastinate_jobs
WHERE id = ANY(%s) AND status IN ('succeeded', 'failed', 'cancelled', 'aborted')
"""


class Endings:
    """Tells whoever waits that a job ended: no call of the library does, so one reader asks."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def of(self, job_id: int) -> None:
        """Return once the job ended."""
        self._waiting[job_id] = asyncio.get_running_loop().create_future()
        await self._waiting[job_id]

    async def look(self) -> None:
        """Look for ends until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if not self._waiting:
                continue
            rows = await self._connection.execute(_ENDED, (list(self._waiting),))
            for (job_id,) in await rows.fetchall():
                self._waiting.pop(job_id).set_result(None)


def measure(seconds: float) -> list[Figures]:
    """Measure on a fresh cluster."""
    with cluster() as connect, tempfile.TemporaryDirectory() as folder:
        return [asyncio.run(_measured(connect, Path(folder), seconds))]


async def _measured(connect: str, folder: Path, seconds: float) -> Figures:
    ours = queues(connect)
    async with ours.open_async():
        await ours.schema_manager.apply_schema_async()
        command = [
            sys.executable,
            "-m",
            "procrastinate",
            "--app",
            "bench.peers.procrastinate_work.app",
        ]
        options = ["worker", "--queues", "work", "--concurrency", str(_SLOTS)]
        with running([*command, *options], folder / "log", {**os.environ, CONNECT: connect}):
            async with await psycopg.AsyncConnection.connect(connect, autocommit=True) as reader:
                return await _rates(ours, reader, seconds)


async def _rates(ours: App, reader: psycopg.AsyncConnection[Any], seconds: float) -> Figures:
    endings = Endings(reader)
    looking = asyncio.create_task(endings.look())
    idle, work = (
        ours.configure_task("noop", queue=queue, allow_unknown=False) for queue in ("idle", "work")
    )

    async def whole() -> None:
        await endings.of(await work.defer_async())

    await asyncio.wait_for(whole(), 60)
    submits = await rate(idle.defer_async, WIDTH, seconds)
    many = await rate(whole, WIDTH, seconds)
    single = await rate(whole, 1, seconds)
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    return Figures(
        system="procrastinate",
        durability=await _durability(reader),
        submit_64_per_s=submits.per_s,
        whole_64_per_s=many.per_s,
        whole_1_p50_ms=single.p50_s * 1000,
    )


async def _durability(reader: psycopg.AsyncConnection[Any]) -> str:
    """What an acknowledgement is worth, by the server's own settings."""
    said: list[str] = []
    for name in ("server_version", "fsync", "synchronous_commit"):
        row = await (await reader.execute(f"SHOW {name}")).fetchone()  # type: ignore[arg-type]  # three fixed names
        said.append(str(row[0] if row else "?").split()[0])
    version, fsync, commit = said
    return f"PostgreSQL {version}, fsync={fsync}, synchronous_commit={commit}: an ack is fsynced"


if __name__ == "__main__":
    tell(measure)
