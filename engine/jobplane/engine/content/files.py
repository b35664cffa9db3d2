"""Files that content comes from and lies in, opened so that nothing else is."""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jobplane.engine.content.port import ContentError

CHUNK_BYTES = 1024 * 1024


class OpenFile:
    """Content in an open file. Reads are safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._is_open = True
        status = os.fstat(self._handle)
        self.size = status.st_size
        self.identity = f"{status.st_ino}-{status.st_size}-{status.st_ctime_ns}"

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; fewer only where the content ends."""
        data = os.pread(self._handle, length, offset)
        while len(data) < length and (more := self._more(data, offset, length)):
            data += more
        return data

    def _more(self, data: bytes, offset: int, length: int) -> bytes:
        return os.pread(self._handle, length - len(data), offset + len(data))

    def close(self) -> None:
        """Let go of it; a second time changes nothing."""
        if self._is_open:
            self._is_open = False
            os.close(self._handle)


@contextmanager
def open_inside(path: Path, inside: Path) -> Generator[BinaryIO]:
    """Open a plain file below a folder, component by component, so that no link leads out."""
    try:
        parts = path.relative_to(inside).parts
    except ValueError:
        raise ContentError(
            "ARTIFACT_UNSAFE", f"{path.name} is not in the attempt's folder"
        ) from None
    if not parts or ".." in parts:
        raise ContentError("ARTIFACT_UNSAFE", f"{path.name} is not in the attempt's folder")
    folder = os.open(inside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            child = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = child
        # NONBLOCK: a FIFO in the place of the file must not hold us up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(parts[-1], flags, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(handle, "rb") as source:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ContentError("ARTIFACT_UNSAFE", f"{path.name} is not a plain file")
        yield source


_CAUSES = {
    errno.ENOSPC: ("DISK_FULL", "the content store is full", True),
    errno.EDQUOT: ("DISK_FULL", "the content store is full", True),
    errno.EFBIG: ("DISK_FULL", "the content store takes no file so large", True),
    errno.ELOOP: ("ARTIFACT_UNSAFE", "the file is a link", False),
    errno.ENOTDIR: ("ARTIFACT_UNSAFE", "a folder on the way to the file is a link", False),
    errno.EISDIR: ("ARTIFACT_UNSAFE", "the file is not a plain file", False),
    errno.ENXIO: ("ARTIFACT_UNSAFE", "the file is not a plain file", False),
    errno.ENOENT: ("ARTIFACT_MISSING", "the file is not there", False),
}


@contextmanager
def plain_errors() -> Generator[None]:
    """Turn errors of the file system into our own."""
    try:
        yield
    except OSError as error:
        fallback = ("CONTENT_STORE_FAILED", error.strerror or str(error), True)
        reason, message, is_resource = _CAUSES.get(error.errno or 0, fallback)
        raise ContentError(reason, message, is_resource=is_resource) from error
