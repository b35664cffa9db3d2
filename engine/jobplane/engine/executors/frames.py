"""Frames: what a server and the child that runs an attempt say to each other.

A frame is four bytes of length and one message in msgpack. They go over a socket of
their own, so nothing that the work prints can be taken for one.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Intent
from jobplane.engine.domain.job import Failure, Gap, InputRequest, JobResult, Progress

# A longer frame is either garbage or a checkpoint that belongs into artifacts.
MAX_FRAME_BYTES = 256 << 20
_LENGTH = struct.Struct("!I")
_CHUNK_BYTES = 1 << 18


class FrameError(Exception):
    """The peer sent something that is no frame, or tried to send one too long."""


class GivenInput(msgspec.Struct, frozen=True):
    """Where an input's content lies, and what it is."""

    path: str
    filename: str
    media_type: str
    size_bytes: int
    sha256: str


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Server: run this attempt. Sent once to each child."""

    project: str
    job_id: str
    attempt: int
    engine_version: str
    folder: str
    params: bytes
    inputs: dict[str, GivenInput]
    settings: dict[str, Any]
    checkpoint: bytes | None
    answers: dict[str, str]
    cpu_limit_s: int


class Control(msgspec.Struct, frozen=True, tag=True):
    """Server: the attempt is asked to stop, or to go on after all."""

    intent: Intent
    # The server stops: checkpoint if possible, then end.
    draining: bool = False


class Kept(msgspec.Struct, frozen=True, tag=True):
    """Server: the artifact or checkpoint before this is durable, or `error` says why not."""

    error: str = ""


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Server: answer, if the interpreter still runs."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Child: the kind's work is imported."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """Child: the kind's work can't be imported."""

    failure: Failure


class Pong(msgspec.Struct, frozen=True, tag=True):
    """Child: the interpreter runs."""


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Child: the work came by a safe point."""


class ProgressMade(msgspec.Struct, frozen=True, tag=True):
    """Child: how far the work is."""

    progress: Progress


class StageBegan(msgspec.Struct, frozen=True, tag=True):
    """Child: a stage began."""

    stage: str


class StageEnded(msgspec.Struct, frozen=True, tag=True):
    """Child: a stage ended."""

    stage: str
    reused: bool
    failure: Failure | None


class Measured(msgspec.Struct, frozen=True, tag=True):
    """Child: a metric point."""

    step: int
    values: dict[str, float]


class Odd(msgspec.Struct, frozen=True, tag=True):
    """Child: a warning."""

    reason: str
    message: str


class ArtifactMade(msgspec.Struct, frozen=True, tag=True):
    """Child: a file is ready to be taken; answered by Kept."""

    name: str
    path: str
    media_type: str
    artifact_type: ArtifactType
    stage: str


class CheckpointMade(msgspec.Struct, frozen=True, tag=True):
    """Child: a checkpoint is to be made durable; answered by Kept."""

    data: bytes
    completed_units: int


class WorkDone(msgspec.Struct, frozen=True, tag=True):
    """Child, last: the work came to its end."""

    result: JobResult
    gaps: tuple[Gap, ...]
    gate_refusal: str


class WorkFailed(msgspec.Struct, frozen=True, tag=True):
    """Child, last: the work failed."""

    failure: Failure


class WorkStopped(msgspec.Struct, frozen=True, tag=True):
    """Child, last: the work stopped because it was asked to."""

    intent: Intent


class WorkAsks(msgspec.Struct, frozen=True, tag=True):
    """Child, last: the work needs an answer."""

    request: InputRequest
    timeout_s: float


ToChild = Begin | Control | Kept | Ping
Ending = WorkDone | WorkFailed | WorkStopped | WorkAsks
ToServer = (
    Ready
    | Refused
    | Pong
    | Beat
    | ProgressMade
    | StageBegan
    | StageEnded
    | Measured
    | Odd
    | ArtifactMade
    | CheckpointMade
    | Ending
)

F = TypeVar("F")
_ENCODER = msgspec.msgpack.Encoder()


def encoded(frame: ToChild | ToServer) -> bytes:
    """Give the frame as it goes over the wire."""
    body = _ENCODER.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"{len(body)} bytes are over the limit of {MAX_FRAME_BYTES} for a frame")
    return _LENGTH.pack(len(body)) + body


class FrameReader(Generic[F]):
    """Gives the frames that arrive on a socket, however they were cut."""

    def __init__(self, source: socket.socket, frame_type: Any) -> None:
        self._source = source
        self._decoder: msgspec.msgpack.Decoder[F] = msgspec.msgpack.Decoder(frame_type)
        self._pending = bytearray()

    def read(self) -> list[F] | None:
        """Give the frames complete after one read, maybe none; None at the end."""
        try:
            chunk = self._source.recv(_CHUNK_BYTES)
        except ConnectionError:
            return None
        if not chunk:
            return None
        self._pending += chunk
        return list(self._complete())

    def _complete(self) -> Iterator[F]:
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes was announced")
            end = _LENGTH.size + length
            if len(self._pending) < end:
                return
            body = bytes(memoryview(self._pending)[_LENGTH.size : end])
            del self._pending[:end]
            try:
                yield self._decoder.decode(body)
            except msgspec.DecodeError as error:
                raise FrameError(f"a frame can't be read: {error}") from error
