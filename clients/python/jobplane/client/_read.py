"""Decides how the read of an artifact goes on, byte for byte, over every cut."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from jobplane.client import errors
from jobplane.client._steps import Ask, Fail, Read, Step, Stop
from jobplane.v1 import artifact_service_pb2

if TYPE_CHECKING:
    from jobplane.v1 import job_pb2

ATTEMPTS = 6
PAUSE_S = 0.2
# A server that sends nothing for so long is asked again.
SILENCE_S = 60.0
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
        self._is_open = False
        self._heard_at = 0.0
        self._error: errors.JobplaneError | None = None

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
        return PAUSE_S * 2 ** (self._failures - 1) if self._failures else 0.0

    def step(self, now: float) -> Step:
        """What to do next."""
        if self._error is not None:
            return Fail(self._error)
        if self.complete:
            return Stop()
        if not self._is_open:
            return Ask(self.request(), self.pause_s())
        left_s = self._heard_at + SILENCE_S - now
        if left_s <= 0:
            self.silent(now)
            return self.step(now)
        return Read(left_s)

    def opened(self, now: float) -> None:
        """Take note that a stream was opened."""
        self._is_open = True
        self._heard_at = now

    def received(
        self, frame: artifact_service_pb2.ReadArtifactResponse, now: float
    ) -> tuple[bytes, ...]:
        """Bytes of a frame."""
        self._heard_at = now
        try:
            data = self.take(frame)
        except errors.DataLoss as error:
            self._error = error
            return ()
        return (data,) if data else ()

    def ended(self, now: float) -> None:
        """Take note that the stream ended before the content did."""
        del now
        self._lose(None)

    def failed(self, error: errors.JobplaneError, now: float) -> None:
        """Take note that the stream broke."""
        del now
        self._lose(error)

    def silent(self, now: float) -> None:
        """Take note that the time to wait passed without a frame."""
        del now
        self._lose(None)

    def looked(self, job: job_pb2.Job) -> None:
        """Take note of what the job says: content does not depend on it."""

    def _lose(self, error: errors.JobplaneError | None) -> None:
        self._is_open = False
        try:
            self.cut(error)
        except errors.JobplaneError as last:
            self._error = last

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
