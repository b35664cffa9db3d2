"""Decides how an upload goes on, from the first byte that the server does not have."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from jobplane.client import errors
from jobplane.v1 import artifact_pb2, artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Content = bytes | Path
Request = artifact_service_pb2.UploadArtifactRequest
CHUNK_BYTES = 512 * 1024
ATTEMPTS = 6
PAUSE_S = 0.2
# Slower than this the upload is given up.
LEAST_BYTES_PER_S = 64 * 1024
GRACE_S = 60.0
RESUMED_CODES = frozenset({"UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN"})


class Upload:
    """One upload: its digest is declared up front, so that a cut costs only what was lost."""

    def __init__(
        self,
        content: Content,
        *,
        project: str,
        filename: str = "",
        media_type: str = "",
        labels: Mapping[str, str] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.artifact: artifact_pb2.Artifact | None = None
        self._content = content
        self._on_progress = on_progress
        name = filename or (content.name if isinstance(content, Path) else "")
        digest, self.size = _measured(content)
        self._header = Request.Header(
            project=project,
            filename=name,
            media_type=media_type or mimetypes.guess_type(name)[0] or "",
            sha256=digest,
            size_bytes=self.size,
            labels=labels or {},
        )
        self._offset = 0
        self._failures = 0

    @property
    def timeout_s(self) -> float:
        """Longest that one try may take."""
        return GRACE_S + self.size / LEAST_BYTES_PER_S

    def question(self) -> Iterator[Request]:
        """Messages that ask how much the server has."""
        header = Request.Header()
        header.CopyFrom(self._header)
        header.asks_received = True
        yield Request(header=header)

    def messages(self) -> Iterator[Request]:
        """Messages of one try: the header, then what the server does not have."""
        self._header.offset = self._offset
        yield Request(header=self._header)
        sent = self._offset
        for chunk in _chunks(self._content, start=self._offset):
            yield Request(chunk=chunk)
            sent += len(chunk)
            if self._on_progress:
                self._on_progress(sent, self.size)

    def answered(self, response: artifact_service_pb2.UploadArtifactResponse) -> None:
        """Take what the server has by now; tries that bring something on are not counted."""
        if response.received_bytes > self._offset:
            self._failures = 0
        self._offset = response.received_bytes
        if response.HasField("artifact"):
            self.artifact = response.artifact

    def cut(self, error: errors.JobplaneError) -> None:
        """Take note of a broken try; raises when another can't help."""
        self._failures += 1
        if error.code not in RESUMED_CODES or self._failures >= ATTEMPTS:
            raise error

    def pause_s(self) -> float:
        """Seconds to wait before the next try."""
        return PAUSE_S * float(2 ** (self._failures - 1))


def _measured(content: Content) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(content):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _chunks(content: Content, *, start: int = 0) -> Iterator[bytes]:
    if isinstance(content, bytes):
        for at in range(start, len(content), CHUNK_BYTES):
            yield content[at : at + CHUNK_BYTES]
        return
    with content.open("rb") as file:
        file.seek(start)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
