"""What has arrived of a file: kept beside it until it is whole and has the right digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from jobplane.client import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jobplane.v1 import artifact_pb2

READ_BYTES = 1 << 20


class Part:
    """An artifact on its way into a file, gone on with where an earlier try left off."""

    def __init__(
        self,
        artifact: artifact_pb2.Artifact,
        target: Path,
        *,
        resume: bool,
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.size = 0
        self._artifact = artifact
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._on_progress = on_progress
        self._digest = hashlib.sha256()
        self._file = self._path.open("a+b" if resume else "w+b")
        self._file.seek(0)
        while chunk := self._file.read(READ_BYTES):
            self._count(chunk)

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing left to read."""
        return self.size >= self._artifact.size_bytes

    def write(self, chunk: bytes) -> None:
        """Take what comes next."""
        self._file.write(chunk)
        self._count(chunk)
        if self._on_progress:
            self._on_progress(self.size, self._artifact.size_bytes)

    def finish(self) -> Path:
        """Path of the file, which is there from now on; raises when its content is another."""
        self.close()
        if self._digest.hexdigest() != self._artifact.sha256:
            self._path.unlink(missing_ok=True)
            raise _damaged(self._artifact)
        return self._path.replace(self._target)

    def close(self) -> None:
        """Leave what has arrived to the next try."""
        self._file.close()

    def _count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)


def _damaged(artifact: artifact_pb2.Artifact) -> errors.DataLoss:
    return errors.DataLoss(
        errors.Refusal(
            code="DATA_LOSS",
            reason="ARTIFACT_CORRUPT",
            message=(
                f"{artifact.artifact_id}: what was saved does not match its digest, and is removed"
            ),
            resource=artifact.name,
            hint="get it again; if that fails too: jobplane artifacts verify",
        )
    )
