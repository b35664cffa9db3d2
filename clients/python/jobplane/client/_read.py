"""Decides how the read of an artifact goes on, byte for byte, over every cut."""

from __future__ import annotations

import hashlib
import time

from jobplane.client import errors
from jobplane.v1 import artifact_service_pb2

ATTEMPTS = 6
PAUSE_S = 0.2
RESUMED_CODES = frozenset({"UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED"})


class ArtifactRead:
    """One read: every chunk lies at the asked place, and the whole has the right digest."""

    def __init__(self, name: str, *, offset: int = 0, sha256: str = "") -> None:
        self.complete = False
        self._name = name
        self._offset = offset
        self._sha256 = sha256
        # The digest is over the whole content, so a read from the middle can't check it.
        self._digest = hashlib.sha256() if offset == 0 else None
        self._failures = 0

    @property
    def offset(self) -> int:
        """First byte that was not taken yet."""
        return self._offset

    def request(self) -> artifact_service_pb2.ReadArtifactRequest:
        """Request for the rest."""
        return artifact_service_pb2.ReadArtifactRequest(
            name=self._name, offset=self._offset, expected_sha256=self._sha256
        )

    def take(self, frame: artifact_service_pb2.ReadArtifactResponse) -> bytes:
        """Bytes of a frame, which must follow those before it."""
        if frame.HasField("artifact"):
            self._sha256 = self._sha256 or frame.artifact.sha256
        if frame.data and frame.offset != self._offset:
            raise self._damaged(f"byte {frame.offset} came where {self._offset} was due")
        self._offset += len(frame.data)
        if frame.data:
            self._failures = 0
        if self._digest is not None:
            self._digest.update(frame.data)
        if frame.end:
            self._check()
            self.complete = True
        return frame.data

    def cut(self, error: errors.JobplaneError | None) -> None:
        """Take note that the stream is over; raises when reading on can't help."""
        if self.complete:
            return
        self._failures += 1
        if error is None:
            error = errors.Unavailable(
                errors.Refusal(
                    code="UNAVAILABLE",
                    reason="READ_CUT",
                    message=f"the read of {self._name} broke off at byte {self._offset}",
                    resource=self._name,
                )
            )
        if error.code not in RESUMED_CODES or self._failures >= ATTEMPTS:
            raise error

    def pause_s(self) -> float:
        """Seconds to wait before the next stream."""
        return 0.0 if self.complete else PAUSE_S * 2 ** (self._failures - 1)

    def pause(self) -> None:
        """Wait before the next stream."""
        time.sleep(self.pause_s())

    def _check(self) -> None:
        if self._digest is None or not self._sha256:
            return
        if self._digest.hexdigest() != self._sha256:
            raise self._damaged("its content does not match its digest")

    def _damaged(self, why: str) -> errors.DataLoss:
        return errors.DataLoss(
            errors.Refusal(
                code="DATA_LOSS",
                reason="ARTIFACT_CORRUPT",
                message=f"{self._name}: {why}",
                resource=self._name,
            )
        )
