"""The child: a process that runs one attempt and ends.

It imports the work first and waits for an attempt, so that a spare child costs nothing to
start. Descriptor 3 is its line to the server; when that breaks, it ends itself and all below.
"""

import contextlib
import ctypes
import faulthandler
import logging
import os
import queue
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Asked, Broke, Completed, Conclusion, Yielded
from jobplane.engine.domain.event import (
    DurablePayload,
    MetricReported,
    StageFinished,
    StageStarted,
    Warned,
)
from jobplane.engine.domain.job import Progress
from jobplane.engine.executors import failures, frames
from jobplane.engine.executors.attempts import OUTBOX_FOLDER, WORK_FOLDER
from jobplane.engine.executors.context import Attempt, AttemptContext
from jobplane.engine.executors.keeper import descendants
from jobplane.engine.executors.perform import Work, loaded, parsed, perform
from jobplane.engine.kinds.base import InputFile, WorkError

_CHANNEL = 3
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FLUSH_S = 0.1
# The kernel ends a job before the server when memory is short.
_OOM_SCORE = b"500"


class Line:
    """The line to the server: frames out from any thread, answers in."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._kept: queue.SimpleQueue[frames.Kept] = queue.SimpleQueue()

    def send(self, *together: frames.ToServer) -> None:
        """Send frames; a fork of the child has no business here and ends."""
        if os.getpid() != self._pid:
            os._exit(0)
        data = b"".join(map(frames.encoded, together))
        try:
            with self._lock:
                self._channel.sendall(data)
        except OSError:
            end_family()

    def keep(self, frame: frames.ArtifactMade | frames.CheckpointMade) -> None:
        """Send something that the server keeps, and wait until it is durable."""
        try:
            self.send(frame)
        except frames.FrameError as error:
            raise WorkError("CHECKPOINT_TOO_LARGE", str(error)) from error
        kept = self._kept.get()
        if kept.error:
            raise WorkError("ARTIFACT_REFUSED", kept.error)

    def answered(self, kept: frames.Kept) -> None:
        """Pass the server's answer to who waits for it."""
        self._kept.put(kept)


class LineSink:
    """Sink of a context: every report becomes a frame."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def beat(self) -> None:
        """Note that the work came by."""
        self._line.send(frames.Beat())

    def progress(self, progress: Progress) -> None:
        """Pass the latest progress on."""
        self._line.send(frames.ProgressMade(progress))

    def events(self, payloads: Sequence[DurablePayload]) -> None:
        """Pass events on."""
        self._line.send(*map(_frame, payloads))

    def artifact(
        self, *, name: str, path: Path, media_type: str, artifact_type: ArtifactType, stage: str
    ) -> None:
        """Return when the file is durable."""
        self._line.keep(frames.ArtifactMade(name, str(path), media_type, artifact_type, stage))

    def checkpoint(self, data: bytes, *, completed_units: int) -> None:
        """Return when the checkpoint is durable."""
        self._line.keep(frames.CheckpointMade(data, completed_units))


def _frame(payload: DurablePayload) -> frames.ToServer:
    match payload:
        case StageStarted(stage):
            return frames.StageBegan(stage)
        case StageFinished(stage, reused, failure):
            return frames.StageEnded(stage, reused, failure)
        case MetricReported(step, values):
            return frames.Measured(step, dict(values))
        case Warned(reason, message):
            return frames.Odd(reason, message)
        case _:
            raise TypeError(f"work does not report {type(payload).__name__}")


def _ending(conclusion: Conclusion) -> frames.Ending:
    match conclusion:
        case Completed(result, gaps, gate_refusal):
            return frames.WorkDone(result, gaps, gate_refusal)
        case Broke(failure):
            return frames.WorkFailed(failure)
        case Yielded(intent):
            return frames.WorkStopped(intent)
        case Asked(request, timeout_s):
            return frames.WorkAsks(request, timeout_s)


def end_family() -> NoReturn:
    """End everything below this process, then this process."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit


class Child:
    """One attempt, and the thread that listens to the server meanwhile."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._line = Line(channel)
        self._begin: queue.SimpleQueue[frames.Begin] = queue.SimpleQueue()
        self._began = False
        self._context: AttemptContext | None = None
        self._early: list[frames.Control] = []
        self._lock = threading.Lock()

    def run(self, *, kind: str, work: str, spec: str, hint: str) -> None:
        """Import, wait for the attempt, run it, tell how it ended."""
        threading.Thread(target=self._listen, name="server", daemon=True).start()
        try:
            function: Work = loaded(work)
            message = loaded(spec) if spec else None
        except ModuleNotFoundError as error:
            why = f"{error}; {hint}"
            self._line.send(frames.Refused(failures.kind_unavailable(kind, why)))
            return
        # Importing a plug-in runs its code, which may raise anything.
        except BaseException as error:  # noqa: BLE001
            self._line.send(frames.Refused(failures.of_exception(error)))
            return
        self._line.send(frames.Ready())
        conclusion = self._performed(function, message, self._begin.get())
        with contextlib.suppress(OSError, ValueError):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        self._line.send(_ending(conclusion))

    def _performed(self, work: Work, spec: Any, begin: frames.Begin) -> Conclusion:
        try:
            attempt = prepared(begin)
            params = parsed(spec, begin.params)
        except (OSError, ValueError, DecodeError) as error:
            return Broke(failures.child_start_failed(f"{type(error).__name__}: {error}"))
        context = AttemptContext(attempt, LineSink(self._line))
        self._bind(context)
        return perform(work, params, context)

    def _bind(self, context: AttemptContext) -> None:
        with self._lock:
            self._context = context
            for control in self._early:
                _obey(context, control)

    def _listen(self) -> None:
        reader: frames.FrameReader[frames.ToChild] = frames.FrameReader(
            self._channel, frames.ToChild
        )
        while True:
            ready, _, _ = select.select([self._channel], [], [], _FLUSH_S if self._began else None)
            if self._context is not None:
                self._context.flush_due()
            if not ready:
                continue
            try:
                arrived = reader.read()
            except frames.FrameError:
                arrived = None
            if arrived is None:
                end_family()
            for frame in arrived:
                self._take(frame)

    def _take(self, frame: frames.ToChild) -> None:
        match frame:
            case frames.Begin():
                self._began = True
                self._begin.put(frame)
            case frames.Control():
                with self._lock:
                    if self._context is None:
                        self._early.append(frame)
                    else:
                        _obey(self._context, frame)
            case frames.Kept():
                self._line.answered(frame)
            case frames.Ping():
                self._line.send(frames.Pong())


def _obey(context: AttemptContext, control: frames.Control) -> None:
    if control.draining:
        context.drain()
    else:
        context.order(control.intent)


def prepared(begin: frames.Begin) -> Attempt:
    """Move into the attempt's folder and take its limits."""
    folder = Path(begin.folder)
    work_folder = folder / WORK_FOLDER
    work_folder.mkdir(parents=True, exist_ok=True)
    os.chdir(work_folder)
    os.environ.update(HOME=str(work_folder), TMPDIR=str(work_folder))
    if begin.cpu_limit_s:
        used = time.process_time()
        limit = begin.cpu_limit_s + int(used) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    return Attempt(
        project=begin.project,
        job_id=begin.job_id,
        attempt=begin.attempt,
        engine_version=begin.engine_version,
        folder=work_folder,
        outbox=folder / OUTBOX_FOLDER,
        inputs={
            role: InputFile(
                Path(given.path), given.filename, given.media_type, given.size_bytes, given.sha256
            )
            for role, given in begin.inputs.items()
        },
        settings=begin.settings,
        checkpoint=begin.checkpoint,
        answers=begin.answers,
    )


def _settle_in(channel: socket.socket) -> None:
    """Make this process die with its parent, gather its orphans, and keep its line to itself."""
    libc: Any = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    channel.set_inheritable(False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_OOM_SCORE)
    faulthandler.enable()


def main() -> NoReturn:
    """Run one attempt of the kind that argv tells, then end without further ado."""
    channel = socket.socket(fileno=_CHANNEL)
    _settle_in(channel)
    kind, work, spec, hint = sys.argv[1:5]
    Child(channel).run(kind=kind, work=work, spec=spec, hint=hint)
    # Threads and exit hooks that the work left behind have no say.
    os._exit(0)


if __name__ == "__main__":
    main()
