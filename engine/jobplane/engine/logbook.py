"""The logbook: what attempts print, kept line by line while they run, and as artifacts after.

Each attempt has a file of its own under the folder of logs. It is there to be read while it
grows; once the attempt is over its content is an artifact and the file goes. What a server
leaves behind when it dies is taken up at the next start.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from jobplane.engine.clock import Clock
from jobplane.engine.content.files import OpenFile
from jobplane.engine.content.port import ContentError, ContentPort, ContentReader
from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.domain.log_line import LineCutter, LogLine

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 64 * 1024 * 1024
MEDIA_TYPE = "application/jsonl"
SYSTEM = "system"

Fence = tuple[str, str, int]
_encode = msgspec.json.Encoder().encode


def log_artifact_id(attempt: int) -> str:
    """What the log of an attempt is called among the artifacts of its job."""
    return f"logs/attempt-{attempt}.jsonl"


class _AttemptLog:
    """The file of one attempt. Safe from any thread."""

    def __init__(self, path: Path, clock: Clock, limit_bytes: int) -> None:
        self._path = path
        self._clock = clock
        self._room = limit_bytes
        self._lock = threading.Lock()
        self._cutters: dict[str, LineCutter] = {}
        self._file: int | None = None
        self._lines = 0
        self._dropped = 0
        self._is_closed = False

    def append(self, stream: str, data: bytes) -> bool:
        """Keep what a stream said; whether a line came to its end."""
        with self._lock:
            if self._is_closed or self._dropped:
                self._dropped += len(data)
                return False
            cutter = self._cutters.setdefault(stream, LineCutter())
            return self._write(stream, cutter.feed(data))

    def close(self) -> None:
        """Keep lines without an end, and say what is missing."""
        with self._lock:
            self._is_closed = True
            for stream, cutter in self._cutters.items():
                self._write(stream, cutter.finish())
            if self._dropped:
                self._put(SYSTEM, f"[truncated: {self._dropped} more bytes were dropped]")
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _write(self, stream: str, lines: list[str]) -> bool:
        time = self._clock.now()
        records: list[bytes] = []
        for text in lines:
            record = _encode(LogLine(self._lines + 1, time, stream, text))
            if len(record) > self._room:
                self._dropped += len(text.encode()) + 1
                # A line that is left out must not be followed by one that is not.
                self._room = 0
                continue
            self._room -= len(record) + 1
            self._lines += 1
            records.append(record)
        if records:
            self._flush(b"\n".join(records) + b"\n")
        return bool(records)

    def _put(self, stream: str, text: str) -> None:
        self._lines += 1
        self._flush(_encode(LogLine(self._lines, self._clock.now(), stream, text)) + b"\n")

    def _flush(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            # A full disk must not end work that only talks much.
            log.warning("log.write_failed", extra={"path": self._path.name, "why": str(error)})
            self._dropped += len(data)


class LogBook:
    """Logs of live attempts, and of those that are not artifacts yet."""

    def __init__(
        self,
        root: Path,
        *,
        content: ContentPort,
        clock: Clock,
        on_line: Callable[[tuple[str, str]], None],
        limit_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self._root = root
        self._content = content
        self._clock = clock
        self._on_line = on_line
        self._limit_bytes = limit_bytes
        self._live: dict[Fence, _AttemptLog] = {}
        self._lock = threading.Lock()

    def append(self, fence: Fence, stream: str, data: bytes) -> None:
        """Keep what an attempt printed."""
        with self._lock:
            attempt = self._live.get(fence)
            if attempt is None:
                attempt = _AttemptLog(self._path(fence), self._clock, self._limit_bytes)
                self._live[fence] = attempt
        if attempt.append(stream, data):
            self._on_line(fence[:2])

    def is_live(self, fence: Fence) -> bool:
        """Whether more lines may come."""
        return fence in self._live

    def close(self, fence: Fence) -> Artifact | None:
        """End a log; gives its artifact, which is for the caller to record, if it has lines."""
        attempt = self._live.get(fence)
        if attempt is None:
            return None
        attempt.close()
        with self._lock:
            self._live.pop(fence, None)
        self._on_line(fence[:2])
        return self._taken(fence)

    def drop(self, fence: Fence) -> None:
        """Forget the file of a log whose artifact is recorded."""
        path = self._path(fence)
        path.unlink(missing_ok=True)
        for folder in path.parents[:2]:
            with suppress(OSError):
                folder.rmdir()

    def leftovers(self) -> Iterator[tuple[Fence, Artifact]]:
        """What an earlier life of the server left, to be recorded and dropped."""
        for path in sorted(self._root.glob("*/*/*.jsonl")):
            project, job_id, attempt = (*path.parts[-3:-1], path.stem)
            fence = (project, job_id, int(attempt))
            if artifact := self._taken(fence):
                yield fence, artifact

    def open_file(self, fence: Fence) -> ContentReader:
        """The file of a log; FileNotFoundError when it is an artifact, or has no lines."""
        return OpenFile(self._path(fence))

    def _taken(self, fence: Fence) -> Artifact | None:
        path = self._path(fence)
        if not path.exists():
            return None
        try:
            content = self._content.take(path, inside=self._root)
        except ContentError as error:
            # The file stays where it is, and is read there.
            log.warning("log.not_kept", extra={"path": path.name, "why": str(error)})
            return None
        project, job_id, attempt = fence
        return Artifact(
            project=project,
            job_id=job_id,
            artifact_id=log_artifact_id(attempt),
            type=ArtifactType.LOG,
            media_type=MEDIA_TYPE,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
            created_at=self._clock.now(),
            attempt=attempt,
        )

    def _path(self, fence: Fence) -> Path:
        project, job_id, attempt = fence
        return self._root / project / job_id / f"{attempt}.jsonl"
