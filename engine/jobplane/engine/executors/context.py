"""The context of an attempt: one behaviour for work in a thread and in a child process."""

import hashlib
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Intent
from jobplane.engine.domain.event import (
    DurablePayload,
    MetricReported,
    StageFinished,
    StageStarted,
    Warned,
)
from jobplane.engine.domain.job import DefaultAction, InputRequest, Progress, Question
from jobplane.engine.executors import failures
from jobplane.engine.kinds.base import InputFile, Stopped, WorkError

PROGRESS_INTERVAL_S = 0.1
BEAT_INTERVAL_S = 0.25
# Metric points wait this long for company, so that a tight loop costs few commits.
EVENT_LINGER_S = 0.05
MAX_EVENT_BATCH = 200
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_MAX_ARTIFACT_NAME = 255


class Order(Enum):
    """Why the work shall stop at its next safe point."""

    CANCEL = auto()
    PAUSE = auto()
    DRAIN = auto()


class Asking(Stopped):
    """The work needs an answer that is not there yet."""

    def __init__(self, request: InputRequest, timeout_s: float) -> None:
        super().__init__()
        self.request = request
        self.timeout_s = timeout_s


class Sink(Protocol):
    """Where a context reports to; calls come in order, one at a time."""

    def beat(self) -> None:
        """Note that the work came by."""
        ...

    def progress(self, progress: Progress) -> None:
        """Keep the latest progress."""
        ...

    def events(self, payloads: Sequence[DurablePayload]) -> None:
        """Append events."""
        ...

    def artifact(
        self, *, name: str, path: Path, media_type: str, artifact_type: ArtifactType, stage: str
    ) -> None:
        """Return when the file is durable, or raise WorkError."""
        ...

    def checkpoint(self, data: bytes, *, completed_units: int) -> None:
        """Return when the checkpoint is durable, or raise WorkError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the work may know of its attempt."""

    project: str
    job_id: str
    attempt: int
    engine_version: str
    # Scratch folder of the work, and the folder for artifacts that it hands over as bytes.
    folder: Path
    outbox: Path
    inputs: Mapping[str, InputFile]
    settings: Mapping[str, Any]
    checkpoint: bytes | None
    answers: Mapping[str, str]


class AttemptContext:
    """A JobContext over a sink, with the orders that the engine gives."""

    def __init__(
        self, attempt: Attempt, sink: Sink, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._attempt = attempt
        self._sink = sink
        self._clock = clock
        # The work may use threads; reports of one attempt go out one at a time.
        self._lock = threading.RLock()
        self._orders: set[Order] = set()
        self.stopped_for: Order | None = None
        self._stages: list[str] = []
        self.broken_stage = ""
        self._progress: Progress | None = None
        self._progress_due = 0.0
        self._beat_due = 0.0
        self._batch: list[DurablePayload] = []
        self._batch_due = 0.0
        self._artifacts = 0

    @property
    def project(self) -> str:
        """Project of the job."""
        return self._attempt.project

    @property
    def job_id(self) -> str:
        """Id of the job."""
        return self._attempt.job_id

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._attempt.attempt

    @property
    def engine_version(self) -> str:
        """Version of the code that runs the attempt."""
        return self._attempt.engine_version

    @property
    def inputs(self) -> Mapping[str, InputFile]:
        """Inputs by role."""
        return self._attempt.inputs

    @property
    def folder(self) -> Path:
        """Scratch folder of this attempt, made when it is first asked for."""
        self._attempt.folder.mkdir(parents=True, exist_ok=True)
        return self._attempt.folder

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the operator configured for this kind."""
        return self._attempt.settings

    @property
    def checkpoint_data(self) -> bytes | None:
        """Content of the last checkpoint of an earlier attempt."""
        return self._attempt.checkpoint

    def order(self, intent: Intent) -> None:
        """Take an intent of the engine; called from any thread."""
        if intent is Intent.CANCEL:
            self._orders.add(Order.CANCEL)
        elif intent is Intent.PAUSE:
            self._orders.add(Order.PAUSE)
        elif intent is Intent.CONTINUE:
            self._orders.discard(Order.PAUSE)

    def drain(self) -> None:
        """Have the work checkpoint and stop because the server does."""
        self._orders.add(Order.DRAIN)

    def _standing_order(self) -> Order | None:
        """Give the order that counts: a cancel beats a pause, a pause beats a drain."""
        if not self._orders:
            return None
        return next((order for order in Order if order in self._orders), None)

    def safe_point(
        self, save: Callable[[], bytes] | None = None, *, completed_units: int = 0
    ) -> None:
        """Raise Stopped if the attempt shall end."""
        order = self._standing_order()
        if order is None:
            self._show_life()
            return
        if save is not None and order is not Order.CANCEL:
            self.save_checkpoint(save(), completed_units=completed_units)
            order = self._standing_order()
        if order is not None:
            self.stopped_for = order
            raise Stopped

    def _show_life(self) -> None:
        now = self._clock()
        if now >= self._beat_due:
            self._beat_due = now + BEAT_INTERVAL_S
            self._sink.beat()
        self.flush_due()

    def save_checkpoint(self, data: bytes, *, completed_units: int = 0) -> None:
        """Make `data` durable."""
        with self._lock:
            self.flush()
            self._sink.checkpoint(bytes(data), completed_units=completed_units)

    def progress(
        self,
        completed_units: int = 0,
        total_units: int = 0,
        *,
        unit: str = "",
        message: str = "",
        fraction: float | None = None,
    ) -> None:
        """Tell how far the work is."""
        if fraction is None and total_units > 0:
            fraction = min(1.0, max(0.0, completed_units / total_units))
        with self._lock:
            self._progress = Progress(
                fraction=fraction,
                message=message,
                stage=self.current_stage,
                completed_units=completed_units,
                total_units=total_units,
                unit=unit,
            )
            if self._clock() >= self._progress_due:
                self._send_progress()

    def _send_progress(self) -> None:
        if self._progress is not None:
            self._progress_due = self._clock() + PROGRESS_INTERVAL_S
            progress, self._progress = self._progress, None
            self._sink.progress(progress)

    @property
    def current_stage(self) -> str:
        """Innermost stage that the work is in, or empty."""
        return self._stages[-1] if self._stages else ""

    @contextmanager
    def stage(self, name: str, *, reused: bool = False) -> Generator[None]:
        """Mark what happens inside as a stage."""
        self.broken_stage = ""
        self._stages.append(name)
        self._report(StageStarted(name))
        try:
            yield
        except Stopped:
            raise
        except BaseException as error:
            self.broken_stage = self.broken_stage or name
            self._report(StageFinished(name, reused, failures.of_exception(error)))
            raise
        else:
            self._report(StageFinished(name, reused))
        finally:
            self._stages.remove(name)

    def metric(self, step: int, **values: float) -> None:
        """Record a point of each named metric."""
        point = MetricReported(step, {name: float(value) for name, value in values.items()})
        with self._lock:
            if not self._batch:
                self._batch_due = self._clock() + EVENT_LINGER_S
            self._batch.append(point)
            if len(self._batch) >= MAX_EVENT_BATCH or self._clock() >= self._batch_due:
                self._send_batch()

    def warn(self, reason: str, message: str) -> None:
        """Record something odd."""
        self._report(Warned(reason, message[: failures.MAX_MESSAGE]))

    def _report(self, payload: DurablePayload) -> None:
        with self._lock:
            self._batch.append(payload)
            self.flush()

    def _send_batch(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._sink.events(batch)

    def save_artifact(
        self,
        name: str,
        content: bytes | str | Path,
        *,
        media_type: str,
        type: ArtifactType = ArtifactType.OPAQUE,  # noqa: A002  the contract's word
    ) -> None:
        """Make content a durable artifact."""
        if len(name) > _MAX_ARTIFACT_NAME or not _ARTIFACT_NAME.fullmatch(name):
            raise WorkError("ARTIFACT_NAME_INVALID", f"an artifact can't be called {name!r}")
        with self._lock:
            self.flush()
            path = content if isinstance(content, Path) else self._written(content)
            self._sink.artifact(
                name=name,
                path=self.folder / path,
                media_type=media_type,
                artifact_type=type,
                stage=self.current_stage,
            )
            if not isinstance(content, Path):
                path.unlink(missing_ok=True)

    def _written(self, content: bytes | str) -> Path:
        self._attempt.outbox.mkdir(parents=True, exist_ok=True)
        self._artifacts += 1
        path = self._attempt.outbox / str(self._artifacts)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ask(
        self,
        prompt: str,
        questions: Iterable[Question],
        *,
        timeout_s: float = 7 * 86400.0,
        default_action: DefaultAction = DefaultAction.FAIL,
    ) -> Mapping[str, str]:
        """Give the answers, by question id, or end the attempt to wait for them."""
        asked = tuple(questions)
        answers = self._attempt.answers
        given = {question.id: answers[question.id] for question in asked if question.id in answers}
        if given and all(question.id in given for question in asked if question.required):
            blanks = {question.id: question.default_value for question in asked}
            return blanks | given
        request = InputRequest(_input_id(prompt, asked), prompt, asked, None, default_action)
        raise Asking(request, timeout_s)

    def flush_due(self) -> None:
        """Send what waited long enough; never waits, so that a watching thread may call it."""
        if (self._progress is None and not self._batch) or not self._lock.acquire(blocking=False):
            return
        try:
            now = self._clock()
            if self._batch and now >= self._batch_due:
                self._send_batch()
            if now >= self._progress_due:
                self._send_progress()
        finally:
            self._lock.release()

    def flush(self) -> None:
        """Send everything that waits: progress first, since it is older than what follows."""
        with self._lock:
            self._send_progress()
            self._send_batch()


def _input_id(prompt: str, questions: Sequence[Question]) -> str:
    """Name a request by what it asks, so that the next attempt gives it the same name."""
    text = "\0".join([prompt, *(question.id for question in questions)])
    return f"in-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
