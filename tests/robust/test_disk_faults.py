"""A full disk, a locked or broken database, a folder that takes nothing: said, and healed."""

import asyncio
import errno
import os
import random
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from jobplane.engine import api
from jobplane.engine.content import store as content_store
from jobplane.engine.domain.errors import BackendUnavailableError
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.submission import Submission
from jobplane.engine.house import House
from jobplane.engine.store import database
from jobplane.engine.store.database import Transaction
from jobplane.service.convert.submission import submission_from_wire
from jobplane.v1 import job_service_pb2 as wire
from tests.robust.faults import make_house
from tests.robust.record import PROJECT, Record, read_record
from tests.robust.shapes import SHAPES, job_spec

WAIT_S = 20.0
SERVER = [sys.executable, "-m", "jobplane.service", "--port", "0", "--http-port", "0"]


@asynccontextmanager
async def _running(data: Path) -> AsyncIterator[tuple[House, api.Engine]]:
    house = make_house(data)
    engine = await house.start()
    try:
        yield house, engine
    finally:
        await house.stop(1.0)


def _submission(
    key: str, shape: str = "noop", *, padding: int = 0, attempts: int = 100
) -> Submission:
    spec = job_spec(SHAPES[shape], random.Random(key))
    spec.policy.max_attempts = attempts
    labels = {f"padding-{number}": "x" * 200 for number in range(padding)}
    request = wire.SubmitJobRequest(project=PROJECT, spec=spec, idempotency_key=key, labels=labels)
    return submission_from_wire(request, "robust")


async def _end_of(engine: api.Engine, job_id: str) -> Job:
    async with asyncio.timeout(WAIT_S):
        while True:
            job, is_over = await engine.wait(PROJECT, job_id, after_sequence=None, timeout_s=1.0)
            if is_over:
                return job


def _assert_whole(data: Path, acked: list[str]) -> Record:
    record = read_record(data)
    assert not record.damage
    assert set(acked) <= record.jobs.keys()
    assert not [one for one in record.artifacts if one.trouble]
    assert not record.leftovers
    return record


# A full disk under the database.


def _limit_pages(house: House, spare: int | None) -> None:
    """Have the database file grow by so many pages and no further; None lifts the limit."""

    def limit(transaction: Transaction) -> None:
        connection = transaction.connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        most = 2**30 if spare is None else pages + spare
        connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    house.database.write(limit).result(WAIT_S)


async def _fill(engine: api.Engine) -> tuple[list[str], BackendUnavailableError]:
    """Submit until the store refuses."""
    acked: list[str] = []
    for number in range(500):
        try:
            accepted = await engine.submit(_submission(f"key-{number}", padding=20))
        except BackendUnavailableError as error:
            return acked, error
        acked.append(accepted.job.job_id)
    raise AssertionError("the disk never got full")


def test_a_full_disk_is_said_and_loses_nothing_that_was_acknowledged(tmp_path: Path):
    async def live() -> list[str]:
        async with _running(tmp_path) as (house, engine):
            _limit_pages(house, spare=30)
            acked, error = await _fill(engine)
            assert "full" in error.message
            for job_id in acked:
                assert (await engine.get(PROJECT, job_id)).job_id == job_id
            return acked

    _assert_whole(tmp_path, asyncio.run(live()))


def test_once_the_disk_has_room_again_all_jobs_end(tmp_path: Path):
    async def live() -> list[str]:
        async with _running(tmp_path) as (house, engine):
            _limit_pages(house, spare=30)
            acked, _ = await _fill(engine)
            _limit_pages(house, spare=None)
            again = await engine.submit(_submission(f"key-{len(acked)}", padding=20))
            acked.append(again.job.job_id)
            for job_id in acked:
                assert (await _end_of(engine, job_id)).status == "SUCCEEDED"
            return acked

    record = _assert_whole(tmp_path, asyncio.run(live()))
    assert len(record.jobs) == len(record.keys)


@contextmanager
def _no_room() -> Iterator[None]:
    """Have the system refuse to write beyond the first page of any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_finds_no_room_is_said_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 0)

    async def live() -> str:
        async with _running(tmp_path) as (house, engine):
            accepted = await engine.submit(_submission("first", padding=20))
            await _end_of(engine, accepted.job.job_id)
            with _no_room(), pytest.raises(BackendUnavailableError):
                house.database.checkpoint()
            house.database.checkpoint()
            return accepted.job.job_id

    _assert_whole(tmp_path, [asyncio.run(live())])


# A database that somebody else holds.


@contextmanager
def _held_by_another(data: Path) -> Iterator[None]:
    with closing(sqlite3.connect(data / "jobplane.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_locked_database_is_said_while_reads_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)

    async def live() -> str:
        async with _running(tmp_path) as (_, engine):
            first = await engine.submit(_submission("first"))
            await _end_of(engine, first.job.job_id)
            with _held_by_another(tmp_path):
                with pytest.raises(BackendUnavailableError, match="locked"):
                    await engine.submit(_submission("second"))
                assert (await engine.get(PROJECT, first.job.job_id)).status == "SUCCEEDED"
                assert not await engine.is_ready()
            second = await engine.submit(_submission("second"))
            assert (await _end_of(engine, second.job.job_id)).status == "SUCCEEDED"
            return second.job.job_id

    record = _assert_whole(tmp_path, [asyncio.run(live())])
    assert len(record.jobs) == 2


def test_an_attempt_outlives_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.1)

    async def live() -> Job:
        async with _running(tmp_path) as (_, engine):
            accepted = await engine.submit(_submission("first", "long"))
            job_id = accepted.job.job_id
            async with asyncio.timeout(WAIT_S):
                while (await engine.get(PROJECT, job_id)).checkpoint is None:
                    await engine.wait(PROJECT, job_id, after_sequence=5, timeout_s=0.05)
            with _held_by_another(tmp_path):
                # Some of its reports are refused meanwhile.
                for _ in range(3):
                    with pytest.raises(BackendUnavailableError):
                        await engine.submit(_submission("second"))
            return await _end_of(engine, job_id)

    job = asyncio.run(live())
    assert (job.status, job.attempt) == ("SUCCEEDED", 1)
    _assert_whole(tmp_path, [job.job_id])


# A full disk under the content.


class _FullDisk:
    """Refuses to make bytes durable, so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self._real = os.fsync

    def fsync(self, handle: int) -> None:
        if self.left > 0:
            self.left -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._real(handle)


def _end_with_full_disk(data: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> Job:
    disk = _FullDisk(times)
    monkeypatch.setattr(content_store.os, "fsync", disk.fsync)

    async def live() -> Job:
        async with _running(data) as (_, engine):
            accepted = await engine.submit(_submission("first", "artifact", attempts=3))
            return await _end_of(engine, accepted.job.job_id)

    return asyncio.run(live())


def test_an_artifact_that_finds_no_room_is_kept_by_a_later_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = _end_with_full_disk(tmp_path, 1, monkeypatch)
    assert (job.status, job.attempt) == ("SUCCEEDED", 2)
    record = _assert_whole(tmp_path, [job.job_id])
    assert sorted(one.artifact_id for one in record.artifacts) == ["payload.bin", "table.csv"]


def test_a_disk_that_stays_full_fails_the_job_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = _end_with_full_disk(tmp_path, 10**6, monkeypatch)
    assert job.status == "FAILED"
    assert job.failure is not None
    assert job.failure.reason == "DISK_FULL"
    assert not _assert_whole(tmp_path, [job.job_id]).artifacts


# Folders and files that a server can't start on.


def _refusal(data: Path) -> str:
    """What a server says that can't start."""
    done = subprocess.run(
        [*SERVER, "--data", str(data)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    (line,) = [one for one in done.stderr.splitlines() if not one.startswith("{")]
    return line


def _make_database(data: Path) -> bytes:
    async def live() -> None:
        async with _running(data) as (_, engine):
            for number in range(20):
                await engine.submit(_submission(f"key-{number}", padding=20))

    asyncio.run(live())
    return (data / "jobplane.db").read_bytes()


@pytest.mark.parametrize("content", [b"\x7fELF" * 20_000, b"SQLite format 3\0" + b"\0" * 8_000])
def test_a_file_that_is_no_database_is_refused_in_one_line(content: bytes, tmp_path: Path):
    (tmp_path / "jobplane.db").write_bytes(content)
    assert str(tmp_path) in _refusal(tmp_path)
    assert (tmp_path / "jobplane.db").read_bytes() == content


def test_a_database_with_a_broken_schema_is_refused_in_one_line(tmp_path: Path):
    whole = _make_database(tmp_path)
    broken = whole[:100] + b"\xff" * 3000 + whole[3100:]
    (tmp_path / "jobplane.db").write_bytes(broken)
    assert str(tmp_path) in _refusal(tmp_path)


def test_a_folder_that_can_not_be_made_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    assert "Not a directory" in _refusal(tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder: run as a user")
def test_a_read_only_folder_is_refused_in_one_line(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir(mode=0o500)
    assert "Permission denied" in _refusal(data)


def test_a_folder_on_a_read_only_file_system_is_refused_in_one_line():
    # /proc takes no folders, not even root's.
    assert "can't be used" in _refusal(Path("/proc/jobplane"))
