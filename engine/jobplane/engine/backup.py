"""Backups: a copy of a store that is whole, taken while the server works."""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from jobplane.engine.store.database import open_engine, sqlite_url

DATABASE = "jobplane.db"
CONTENT = "content"


class BackupError(Exception):
    """The backup can't be made; the text says why."""


def back_up(data_dir: Path, target: Path) -> int:
    """Copy the store to a new folder; gives the number of content files.

    The database first, the content second: content is there before any row names it and
    never changes, so whatever the copied rows name is found.
    """
    source = data_dir / DATABASE
    if not source.is_file():
        raise BackupError(f"{data_dir} holds no store: there is no {DATABASE}")
    if target.exists():
        raise BackupError(f"{target} exists; a backup goes into a new folder")
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _copy_database(source, partial / DATABASE)
    copied = _copy_content(data_dir / CONTENT, partial / CONTENT)
    partial.rename(target)
    return copied


def _copy_database(source: Path, target: Path) -> None:
    with _statements(source) as run:
        run("VACUUM INTO ?", str(target))


def _copy_content(source: Path, target: Path) -> int:
    """Link each file where the file system can, else copy it: content never changes."""
    copied = 0
    for path in source.glob("??/??/*"):
        final = target / path.relative_to(source)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, final)
        except FileNotFoundError:
            # Collected since the listing: no row of the copy names it.
            continue
        except OSError:
            shutil.copyfile(path, final)
        copied += 1
    return copied


def vacuum(data_dir: Path) -> tuple[int, int]:
    """Give unused pages back to the file system; bytes before and after."""
    path = data_dir / DATABASE
    before = path.stat().st_size
    with _statements(path) as run:
        run("VACUUM")
        run("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, path.stat().st_size


@contextmanager
def _statements(path: Path) -> Generator[Callable[..., object]]:
    """Run statements outside any transaction, which is where VACUUM must be."""
    engine = open_engine(make_url(sqlite_url(path)), read_only=False, size=1)
    try:
        with engine.connect() as connection:
            cursor = connection.connection.cursor()

            def run(statement: str, *values: str) -> object:
                return cursor.execute(statement, values)

            yield run
            cursor.close()
    finally:
        engine.dispose()
