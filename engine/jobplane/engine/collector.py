"""The collector: removes content that nobody needs from the folder of a stopped server."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from jobplane.engine.backup import CONTENT, DATABASE
from jobplane.engine.content.store import ContentStore
from jobplane.engine.janitor import Collected, collect
from jobplane.engine.store.database import Database, sqlite_url

# The server holds it while it lives.
LOCK = "server.lock"


class FolderInUseError(Exception):
    """A server works in the folder; the text says which folder."""


def collect_folder(data: Path, *, grace_s: float, now: datetime, dry_run: bool) -> Collected:
    """Collect in a data folder that no server works in; a dry run only reads, at any time."""
    if dry_run:
        return _collect(data, grace_s=grace_s, now=now, dry_run=True)
    with _alone(data):
        return _collect(data, grace_s=grace_s, now=now, dry_run=False)


def _collect(data: Path, *, grace_s: float, now: datetime, dry_run: bool) -> Collected:
    database = Database(
        sqlite_url(data / DATABASE), on_commit=lambda _: None, on_end=lambda _: None
    )
    try:
        return collect(
            database=database,
            content=ContentStore(data / CONTENT),
            grace=timedelta(seconds=grace_s),
            now=now,
            dry_run=dry_run,
        )
    finally:
        database.close()


@contextmanager
def _alone(data: Path) -> Generator[None]:
    lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise FolderInUseError(f"{data} is in use by a server, which collects itself") from None
    finally:
        os.close(lock)
