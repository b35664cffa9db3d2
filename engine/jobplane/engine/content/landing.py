"""Landing: where uploads arrive, and where broken ones wait to be gone on with."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from tempfile import mkstemp

from jobplane.engine.content.files import CHUNK_BYTES, plain_errors
from jobplane.engine.content.port import Content

# What comes is brought to disk beside the receiving, so that the end need not wait for it all.
FLUSH_BYTES = 32 * 1024 * 1024
_LOOSE = "loose-"


class Arrival:
    """One upload on its way in. Used by one thread at a time; every method may block."""

    def __init__(self, file: FileIO, path: Path, landing: "Landing") -> None:
        self._file = file
        self.path = path
        self._landing = landing
        self._digest = hashlib.sha256()
        self.received = 0
        self._flushed_to = 0
        self._flushing: Future[None] | None = None

    @property
    def is_loose(self) -> bool:
        """Whether nobody can go on with it: it has no digest, or another one runs."""
        return self.path.name.startswith(_LOOSE)

    def go_on(self, offset: int) -> None:
        """Keep so many of the bytes that are here, and drop the rest."""
        with plain_errors():
            self._file.truncate(offset)
            self._file.seek(0)
            while data := self._file.read(CHUNK_BYTES):
                self._digest.update(data)
                self.received += len(data)

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        with plain_errors():
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(data)
        self.received += len(data)
        if self.received - self._flushed_to >= FLUSH_BYTES:
            self._flushed_to = self.received
            self._flushing = self._landing.flush(self.path, self._flushing)

    def finish(self) -> Content:
        """What has come, all of it on disk."""
        with plain_errors():
            os.fsync(self._file.fileno())
        return Content(self._digest.hexdigest(), self.received)

    def close(self, *, keep: bool) -> None:
        """Let go of the file; what is kept can be gone on with."""
        with suppress(OSError):
            self._file.close()
        self._landing.release(self.path, keep=keep)


class Landing:
    """A folder of uploads that are not complete; none of it is ever listed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy: set[Path] = set()
        self._flusher = ThreadPoolExecutor(2, thread_name_prefix="landing")
        self._lock = threading.Lock()

    def start(self) -> None:
        """Make the folder, and drop what nobody can go on with."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(f"{_LOOSE}*"):
            leftover.unlink(missing_ok=True)

    def received(self, project: str, sha256: str) -> int:
        """How many bytes of some content are here."""
        try:
            return self._path(project, sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def open(self, project: str, sha256: str) -> Arrival:
        """Take up an upload. Without a digest, or while another one of it runs, none is kept."""
        with plain_errors():
            path = self._path(project, sha256) if sha256 else None
            if path is not None and self._occupy(path):
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            else:
                handle, name = mkstemp(prefix=_LOOSE, dir=self._folder)
                path = Path(name)
                self._occupy(path)
            return Arrival(os.fdopen(handle, "r+b", buffering=0), path, self)

    def flush(self, path: Path, before: "Future[None] | None") -> "Future[None]":
        """Bring to disk what was written, unless that is under way since an earlier call."""
        if before is not None and not before.done():
            return before
        return self._flusher.submit(_flush, path)

    def close(self) -> None:
        """Take in no more."""
        self._flusher.shutdown(cancel_futures=True)

    def release(self, path: Path, *, keep: bool) -> None:
        """Let others go on with an upload, if it is kept."""
        if not keep or path.name.startswith(_LOOSE):
            path.unlink(missing_ok=True)
        with self._lock:
            self._busy.discard(path)

    def sweep(self, *, before: datetime) -> int:
        """Drop what nobody went on with since; how many."""
        return sum(self._drop(path, before) for path in self._kept())

    def held_bytes(self) -> int:
        """How much is kept for uploads that broke off."""
        total = 0
        for path in self._kept():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def _kept(self) -> Iterator[Path]:
        return (path for path in self._folder.iterdir() if not path.name.startswith(_LOOSE))

    def _drop(self, path: Path, before: datetime) -> bool:
        with self._lock:
            if path in self._busy:
                return False
            with suppress(FileNotFoundError):
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    path.unlink()
                    return True
        return False

    def _occupy(self, path: Path) -> bool:
        with self._lock:
            is_free = path not in self._busy
            self._busy.add(path)
            return is_free

    def _path(self, project: str, sha256: str) -> Path:
        # A project id is [a-z0-9-]: no name of one project is a name of another.
        return self._folder / f"{project}.{sha256}"


def _flush(path: Path) -> None:
    # By a handle of its own: a fault is then told to the upload's own sync too.
    with suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)
