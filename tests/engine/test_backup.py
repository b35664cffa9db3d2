"""Backups taken under load restore to a store that keeps every promise."""

import asyncio
import sqlite3

import pytest

from jobplane.engine.backup import CONTENT, DATABASE, BackupError, back_up, vacuum
from jobplane.engine.checker import Checker
from jobplane.engine.content.store import ContentStore
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.page import JobQuery
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store.database import sqlite_url
from tests.engine.conftest import finished, probe, running


def findings(folder, **options):
    content = ContentStore(folder / CONTENT)
    return Checker(url=sqlite_url(folder / DATABASE), content=content).findings(**options)


def store_with_jobs(folder):
    async def scenario():
        async with running(EngineSettings(folder)) as (_, engine):
            for _ in range(5):
                await finished(engine, (await engine.submit(probe(artifact_bytes=1000))).job)

    asyncio.run(scenario())
    return folder


def test_a_backup_under_load_keeps_every_promise_and_goes_on(tmp_path):
    copy = tmp_path / "copy"

    async def scenario():
        async with running(EngineSettings(tmp_path / "data")) as (_, engine):
            stop = asyncio.Event()

            async def load():
                while not stop.is_set():
                    await engine.submit(probe(steps=3, metrics=True, artifact_bytes=500))

            loads = [asyncio.create_task(load()) for _ in range(4)]
            for _ in range(20):
                await finished(engine, (await engine.submit(probe())).job)
            await asyncio.to_thread(back_up, tmp_path / "data", copy)
            stop.set()
            await asyncio.gather(*loads)

    asyncio.run(scenario())
    assert findings(copy, digests=True) == []

    async def go_on():
        async with running(EngineSettings(copy)) as (_, engine):
            page = await engine.list(JobQuery("demo", page_size=1000))
            for job in page.items:
                assert (await finished(engine, job)).status is JobStatus.SUCCEEDED
            assert len(page.items) >= 20

    asyncio.run(go_on())
    assert findings(copy, digests=True) == []


def test_a_backup_never_overwrites(tmp_path):
    store_with_jobs(tmp_path / "data")
    (tmp_path / "there").mkdir()
    with pytest.raises(BackupError, match="exists"):
        back_up(tmp_path / "data", tmp_path / "there")


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(BackupError, match="holds no store"):
        back_up(tmp_path, tmp_path / "copy")


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("DELETE FROM job_events WHERE sequence = 2", "a history is 1..n without a gap"),
        ("UPDATE jobs SET status = 'FAILED'", "a job's status is that of its last event"),
        ("DELETE FROM job_events WHERE type = 'finished'", "a finished job has one finished event"),
        ("UPDATE jobs SET done = 0", "done says whether the status is terminal"),
        ("UPDATE jobs SET worker = 'w'", "only an active job has a worker"),
        ("UPDATE artifacts SET size_bytes = 1", "a listed artifact is readable"),
    ],
)
def test_the_checker_names_each_broken_promise(tmp_path, damage, rule):
    store_with_jobs(tmp_path)
    assert findings(tmp_path) == []
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute(damage)
    connection.commit()
    connection.close()
    assert any(finding.rule.startswith(rule) for finding in findings(tmp_path))


def test_lost_and_changed_content_is_found(tmp_path):
    store_with_jobs(tmp_path)
    path = next((tmp_path / CONTENT).glob("??/??/*"))
    original = path.read_bytes()
    path.write_bytes(bytes(len(original)))
    assert findings(tmp_path) == []
    assert findings(tmp_path, digests=True)
    path.unlink()
    assert findings(tmp_path)


def test_a_vacuum_keeps_everything(tmp_path):
    store_with_jobs(tmp_path)
    before, after = vacuum(tmp_path)
    assert 0 < after <= before
    assert findings(tmp_path, digests=True) == []
