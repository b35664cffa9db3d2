"""Collecting in the folder of a stopped server."""

import fcntl
import os
import time
from datetime import UTC, datetime

import pytest

from jobplane.engine.collector import LOCK, FolderInUseError, collect_folder
from jobplane.engine.content.store import ContentStore
from jobplane.engine.store.database import sqlite_url
from jobplane.engine.store.migrate import migrate

NOW = datetime.now(UTC)


@pytest.fixture
def data(tmp_path):
    migrate(sqlite_url(tmp_path / "jobplane.db"), now=NOW)
    content = ContentStore(tmp_path / "content")
    content.start()
    orphan = content.put(b"nobody's")
    old = time.time() - 86400
    os.utime(content.path_of(orphan.sha256), (old, old))
    content.put(b"just handed in")
    return tmp_path


def files(data):
    return sum(1 for _ in ContentStore(data / "content").walk())


def test_a_dry_run_counts_and_removes_nothing(data):
    collected = collect_folder(data, grace_s=3600.0, now=datetime.now(UTC), dry_run=True)
    assert (collected.examined, collected.unneeded, collected.removed) == (2, 1, 0)
    assert collected.unneeded_bytes == len(b"nobody's")
    assert files(data) == 2


def test_content_that_nobody_needs_is_removed_but_for_the_grace(data):
    assert collect_folder(data, grace_s=3600.0, now=datetime.now(UTC), dry_run=False).removed == 1
    assert files(data) == 1


def test_a_folder_that_a_server_works_in_is_left_alone(data):
    handle = os.open(data / LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(FolderInUseError, match="in use"):
        collect_folder(data, grace_s=0.0, now=datetime.now(UTC), dry_run=False)
    assert collect_folder(data, grace_s=0.0, now=datetime.now(UTC), dry_run=True).unneeded == 2
    os.close(handle)
    assert files(data) == 2
