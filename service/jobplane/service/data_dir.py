"""The data folder: made when it is not there, and held by one server at a time."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_NAME = "server.lock"
_OWNER_ONLY = 0o700


class DataDirError(Exception):
    """The folder can't be used; the text says why."""


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Hold the folder while the server lives; the system lets go even after a crash."""
    try:
        folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise DataDirError(f"{folder} can't be used: it is a file, not a folder") from error
    except OSError as error:
        raise DataDirError(f"{folder} can't be used: {error.strerror}") from error
    try:
        _lock(lock, folder)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = ""
        with suppress(OSError):
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
        by = f" (process {owner})" if owner else ""
        raise DataDirError(f"{folder} is in use by another server{by}") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
