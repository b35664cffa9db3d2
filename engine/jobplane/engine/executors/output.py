"""Output of a child: copied to a file up to a limit, then only counted."""

import os
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 1 << 16


class OutputFile:
    """What a child wrote to stdout or stderr."""

    def __init__(
        self, source: int, path: Path, limit_bytes: int, *, tap: Callable[[bytes], None]
    ) -> None:
        self.source = source
        self.path = path
        # Hears everything, also what is beyond the limit.
        self._tap = tap
        self._limit = limit_bytes
        self._kept = 0
        self._dropped = 0
        self._file: int | None = None
        os.set_blocking(source, False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept."""
        return self._kept == 0

    def copy(self) -> bool:
        """Take what is there now; False at the end of the output."""
        try:
            data = os.read(self.source, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        if data:
            self._keep(data)
            self._tap(data)
        return bool(data)

    def _keep(self, data: bytes) -> None:
        room = self._limit - self._kept
        kept = data[:room]
        try:
            if kept:
                self._write(kept)
                self._kept += len(kept)
        except OSError:
            # A full disk must not end work that only talks much.
            self._limit = self._kept
            kept = b""
        self._dropped += len(data) - len(kept)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def finish(self) -> None:
        """Mark what was dropped, and close the file."""
        try:
            if self._dropped and self._file is not None:
                self._write(f"\n[truncated: {self._dropped} more bytes were dropped]\n".encode())
        except OSError:
            pass
        finally:
            if self._file is not None:
                os.close(self._file)
                self._file = None
