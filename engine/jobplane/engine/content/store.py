"""A folder of content: each file is named by its SHA-256 and never changes."""

import hashlib
import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from jobplane.engine import failpoint
from jobplane.engine.content.files import CHUNK_BYTES, OpenFile, open_inside, plain_errors
from jobplane.engine.content.port import Content, ContentError, Found

__all__ = ["Content", "ContentError", "ContentStore"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ContentStore:
    """Content in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        # What is found again is touched, and what is removed is looked at again: never both.
        self._lock = threading.Lock()

    def start(self) -> None:
        """Make the folder, and drop what an earlier process left half-written."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink(missing_ok=True)

    def put(self, data: bytes) -> Content:
        """Store bytes."""
        with plain_errors(), self._writing() as (target, path):
            target.write(data)
            return self._keep(target, path, hashlib.sha256(data).hexdigest(), len(data))

    def take(self, path: Path, *, inside: Path) -> Content:
        """Store a copy of a plain file that lies inside a folder; links are not followed."""
        with (
            plain_errors(),
            open_inside(path, inside) as source,
            self._writing() as (target, temporary),
        ):
            digest, size = hashlib.sha256(), 0
            # A file that grows for ever must not be copied for ever.
            most = os.fstat(source.fileno()).st_size
            while chunk := source.read(min(CHUNK_BYTES, most - size)):
                digest.update(chunk)
                target.write(chunk)
                size += len(chunk)
            return self._keep(target, temporary, digest.hexdigest(), size)

    def adopt(self, path: Path, content: Content) -> None:
        """Make a file of our own, already digested, durable under its name; the file goes."""
        with plain_errors(), path.open("r+b") as target:
            try:
                self._keep(target, path, content.sha256, content.size_bytes)
            finally:
                path.unlink(missing_ok=True)

    def touch(self, sha256: str) -> int | None:
        """Size of content that is here, kept from the sweep for another grace; else None."""
        path = self.path_of(sha256)
        with self._lock:
            try:
                os.utime(path)
                return path.stat().st_size
            except FileNotFoundError:
                return None

    def open(self, sha256: str) -> OpenFile:
        """Open content; FileNotFoundError when it is not here."""
        return OpenFile(self.path_of(sha256))

    def remove(self, found: Found) -> bool:
        """Delete content, unless it was touched since it was found; whether it is gone."""
        path = self.path_of(found.sha256)
        with self._lock:
            try:
                if _touched_at(path.stat()) != found.touched_at:
                    return False
                path.unlink()
            except FileNotFoundError:
                return True
        return True

    def walk(self) -> Iterator[Found]:
        """Everything that is stored, in the order of the digests."""
        for outer in _folders(self._root):
            for inner in _folders(outer):
                for path in sorted(inner.iterdir()):
                    if _DIGEST.fullmatch(path.name):
                        with suppress(FileNotFoundError):
                            status = path.stat()
                            yield Found(path.name, status.st_size, _touched_at(status))

    def path_of(self, sha256: str) -> Path:
        """Where the content lies, if it is here."""
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def read(self, sha256: str) -> bytes:
        """The whole content; FileNotFoundError when it is not here."""
        return self.path_of(sha256).read_bytes()

    @contextmanager
    def _writing(self) -> Generator[tuple[BinaryIO, Path]]:
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
        if self.touch(sha256) != size:
            target.flush()
            os.fsync(target.fileno())
            final.parent.mkdir(parents=True, exist_ok=True)
            failpoint.reach("content_before_rename")
            path.rename(final)
            failpoint.reach("content_after_rename")
            for folder in (final.parent, final.parent.parent, self._root):
                _sync_folder(folder)
        return Content(sha256, size)


def _folders(folder: Path) -> list[Path]:
    """Folders of two hexadecimal digits, in order."""
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"[0-9a-f]{2}", path.name))


def _touched_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
