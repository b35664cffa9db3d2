"""A folder of content: each file is named by its SHA-256 and never changes."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from jobplane.engine import failpoint

CHUNK_BYTES = 1024 * 1024


class ContentError(Exception):
    """Content can't be taken in; `is_resource` tells a full disk from a hostile file."""

    def __init__(self, reason: str, message: str, *, is_resource: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_resource = is_resource


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are in the store."""

    sha256: str
    size_bytes: int


class ContentStore:
    """Content in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def start(self) -> None:
        """Make the folder, and drop what an earlier process left half-written."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink(missing_ok=True)

    def put(self, data: bytes) -> Content:
        """Store bytes."""
        with _plain_errors(), self._writing() as (target, path):
            target.write(data)
            return self._keep(target, path, hashlib.sha256(data).hexdigest(), len(data))

    def take(self, path: Path, *, inside: Path) -> Content:
        """Store a copy of a plain file that lies inside a folder; links are not followed."""
        with _plain_errors(), _open_inside(path, inside) as source:
            with self._writing() as (target, temporary):
                digest, size = hashlib.sha256(), 0
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    target.write(chunk)
                    size += len(chunk)
                return self._keep(target, temporary, digest.hexdigest(), size)

    def path_of(self, sha256: str) -> Path:
        """Where the content lies, if it is here."""
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def read(self, sha256: str) -> bytes:
        """The whole content; FileNotFoundError when it is not here."""
        return self.path_of(sha256).read_bytes()

    @contextmanager
    def _writing(self) -> Iterator[tuple[BinaryIO, Path]]:
        handle, name = mkstemp(dir=self._incoming)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as target:
                yield target, path
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, target: BinaryIO, path: Path, sha256: str, size: int) -> Content:
        """Make a written file durable under its name; the folder too, or the name may be lost."""
        final = self.path_of(sha256)
        if not final.exists():
            target.flush()
            os.fsync(target.fileno())
            final.parent.mkdir(parents=True, exist_ok=True)
            failpoint.reach("content_before_rename")
            path.rename(final)
            failpoint.reach("content_after_rename")
            for folder in (final.parent, final.parent.parent):
                _sync_folder(folder)
        return Content(sha256, size)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _open_inside(path: Path, inside: Path) -> Iterator[BinaryIO]:
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
    errno.ENXIO: ("ARTIFACT_UNSAFE", "the file is not a plain file", False),
    errno.ENOENT: ("ARTIFACT_MISSING", "the file is not there", False),
}


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn errors of the file system into our own."""
    try:
        yield
    except OSError as error:
        fallback = ("CONTENT_STORE_FAILED", error.strerror or str(error), True)
        reason, message, is_resource = _CAUSES.get(error.errno or 0, fallback)
        raise ContentError(reason, message, is_resource=is_resource) from error
