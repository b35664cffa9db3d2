"""The ledger of live attempts: what they report goes into the store, in order, fenced."""

import logging
import shutil
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock, Randomness
from jobplane.engine.content.port import ContentError, ContentPort
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.domain.attempt import Asked, Assignment, Broke, Conclusion, Intent
from jobplane.engine.domain.change import Change, Draft
from jobplane.engine.domain.errors import (
    BackendUnavailableError,
    ConflictError,
    FencedError,
    JobExpiredError,
    JobNotFoundError,
)
from jobplane.engine.domain.event import (
    ArtifactReady,
    CheckpointSaved,
    DurablePayload,
    JobEvent,
    MetricReported,
)
from jobplane.engine.domain.job import (
    Checkpoint,
    Failure,
    FailureCategory,
    Job,
    Progress,
    Usage,
    finite,
)
from jobplane.engine.domain.naming import MAX_NAME_BYTES, artifact_id_problem
from jobplane.engine.executors import failures
from jobplane.engine.logbook import LogBook
from jobplane.engine.scheduler.room import Misfit, Output, Room
from jobplane.engine.scheduler.steering import Steering
from jobplane.engine.store import artifacts, events, jobs
from jobplane.engine.store import content as needed
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.jobs import Stored

log = logging.getLogger(__name__)

Fence = tuple[str, str, int]
# One step of a report: from the job as it is to the job after it.
Step = Callable[[Transaction, Stored, Draft], None]
MAX_TRACEBACK_BYTES = 64 * 1024
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(slots=True)
class _Live:
    """One live attempt, and what it reported that is not durable yet."""

    assignment: Assignment
    stored: Stored
    heartbeat_at: datetime
    progress: Progress | None = None
    touched: bool = False
    steps: list[Step] = field(default_factory=list[Step])
    conclusion: tuple[Conclusion, float, int] | None = None
    # Its log, once that is complete.
    log: Artifact | None = None
    # What a write that failed would have told: its commit may have happened.
    doubt: "_Doubt | None" = None
    # How many of the steps turned out to be durable, though their write had failed.
    kept: int = 0
    writing: bool = False
    failures: int = 0


class Ledger:
    """Implements `Reports`."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        logs: LogBook,
        steering: Steering,
        clock: Clock,
        randomness: Randomness,
        on_progress: Callable[[Job, Progress], None],
    ) -> None:
        self._database = database
        self._content = content
        self._logs = logs
        self._steering = steering
        self._clock = clock
        self._randomness = randomness
        self._on_progress = on_progress
        self._lives: dict[Fence, _Live] = {}
        self._stopped = False
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)

    # What the scheduler asks.

    def open(self, assignment: Assignment, stored: Stored) -> None:
        """Take up an attempt before it is launched."""
        with self._lock:
            self._lives[assignment.fence] = _Live(assignment, stored, self._clock.now())

    def is_live(self, fence: Hashable) -> bool:
        """Whether an attempt has not concluded yet."""
        return fence in self._lives

    def progress_of(self, fence: Fence) -> Progress | None:
        """Latest progress of a live attempt."""
        live = self._lives.get(fence)
        return live.progress if live else None

    def heartbeat_of(self, fence: Fence) -> datetime | None:
        """When a live attempt was last heard of."""
        live = self._lives.get(fence)
        return live.heartbeat_at if live else None

    def touch(self) -> None:
        """Write the heartbeats and the progress that came since the last touch."""
        with self._lock:
            fresh = [live for live in self._lives.values() if live.touched]
            for live in fresh:
                live.touched = False
        if fresh:
            self._database.write(lambda transaction: _touch(transaction, fresh))

    def stop(self) -> None:
        """Give up on reports that can't be written; recovery takes the jobs up."""
        self._stopped = True

    def wait_settled(self, timeout_s: float) -> bool:
        """Wait until no attempt is live; whether that came in time."""
        with self._settled:
            return self._settled.wait_for(lambda: not self._lives, timeout_s)

    # What executors report.

    def progress(self, assignment: Assignment, progress: Progress) -> None:
        """Keep the latest progress, and show it to watchers."""
        live = self._lives.get(assignment.fence)
        if live is None:
            return
        live.progress = replace(progress, reported_at=self._clock.now())
        self.alive(assignment)
        self._on_progress(live.stored.job, live.progress)

    def events(self, assignment: Assignment, payloads: Sequence[DurablePayload]) -> None:
        """Append stage, metric and warning events."""

        def step(_: Transaction, __: Stored, draft: Draft) -> None:
            for payload in payloads:
                draft.emit(_storable(payload))

        self._report(assignment, step)

    def artifact(
        self,
        assignment: Assignment,
        *,
        name: str,
        path: Path,
        media_type: str,
        type: ArtifactType,  # noqa: A002  the contract's word
        stage: str,
    ) -> None:
        """Take a file of the attempt's folder as an artifact."""
        if problem := artifact_id_problem(name):
            message = f"an artifact can't be called {name[:MAX_NAME_BYTES]!r}: it {problem}"
            self._refuse(assignment, ContentError("ARTIFACT_NAME_INVALID", message))
            return
        if misfit := self._misfit(assignment, name, path):
            self._end(assignment, misfit.failure)
            return
        try:
            content = self._content.take(path, inside=assignment.folder)
        except ContentError as error:
            self._refuse(assignment, error)
            return
        failpoint.reach("artifact_before_row")
        artifact = Artifact(
            project=assignment.project,
            job_id=assignment.job_id,
            artifact_id=name,
            type=type,
            media_type=media_type,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
            created_at=self._clock.now(),
            attempt=assignment.attempt,
            stage=stage,
        )

        self._report(assignment, _Recorded(artifact, is_counted=not _tells_why(artifact)))

    def _misfit(self, assignment: Assignment, name: str, path: Path) -> Misfit | None:
        """Look whether a file fits before it is copied; what counts is the look with its row."""
        project = assignment.project
        with suppress(OSError, BackendUnavailableError):
            output = Output(name, path.lstat().st_size)
            return self._database.read_now(
                lambda connection: Room.of(connection, project).misfit(
                    connection, assignment.job_id, [output]
                )
            )
        return None

    def checkpoint(self, assignment: Assignment, data: bytes, *, completed_units: int) -> None:
        """Make a checkpoint durable."""
        try:
            content = self._content.put(data)
        except ContentError as error:
            self._refuse(assignment, error)
            return
        failpoint.reach("checkpoint_before_row")

        def step(transaction: Transaction, stored: Stored, draft: Draft) -> None:
            needed.need_checkpoint(transaction.connection, stored.pk, content.sha256)
            number = draft.job.sequence + 1
            checkpoint = Checkpoint(
                id=f"{assignment.attempt}-{number}",
                attempt=assignment.attempt,
                sha256=content.sha256,
                completed_units=completed_units,
            )
            draft.set(checkpoint=checkpoint)
            draft.emit(CheckpointSaved(checkpoint.id, completed_units))

        self._report(assignment, step)

    def alive(self, assignment: Assignment) -> None:
        """Note that the attempt lives."""
        live = self._lives.get(assignment.fence)
        if live is not None:
            live.heartbeat_at = self._clock.now()
            live.touched = True

    def concluded(
        self,
        assignment: Assignment,
        conclusion: Conclusion,
        *,
        cpu_s: float,
        peak_memory_bytes: int,
    ) -> None:
        """End the attempt."""
        kept = self._logs.close(assignment.fence)
        # Whatever it handed in was taken when it did.
        shutil.rmtree(assignment.folder, ignore_errors=True)
        with self._lock:
            live = self._lives.get(assignment.fence)
            if live is not None and live.conclusion is None:
                if kept is not None:
                    live.steps.append(_Recorded(kept))
                live.log, kept = kept, None
                live.conclusion = (conclusion, cpu_s, peak_memory_bytes)
        self._adopt(assignment.fence, kept)
        if live is not None:
            self._write(live)

    def log(self, assignment: Assignment, stream: str, data: bytes) -> None:
        """Keep what the attempt printed."""
        self._logs.append(assignment.fence, stream, data)

    def take_up_logs(self) -> None:
        """Record the logs that an earlier life of the server left."""
        for fence, artifact in self._logs.leftovers():
            self._adopt(fence, artifact)

    def _adopt(self, fence: Fence, artifact: Artifact | None) -> None:
        """Record the log of an attempt that has no say any more: no event tells of it."""
        if artifact is None:
            return

        def record(transaction: Transaction) -> None:
            stored = jobs.find(transaction.connection, artifact.project, artifact.job_id)
            if stored is not None:
                artifacts.put(transaction.connection, artifact, job_pk=stored.pk)

        def drop(done: "Future[None]") -> None:
            # What can't be recorded now is taken up at the next start.
            if done.exception() is None:
                self._logs.drop(fence)

        self._database.write(record).add_done_callback(drop)

    def _refuse(self, assignment: Assignment, error: ContentError) -> None:
        """Fail the attempt for what it tried to hand in."""
        failure = Failure(
            error.reason,
            FailureCategory.RESOURCE if error.is_resource else FailureCategory.USER_CODE,
            str(error),
            retryable=error.is_resource,
        )
        self._end(assignment, failure)

    def _end(self, assignment: Assignment, failure: Failure) -> None:
        """Have the attempt fail, and kill what runs of it."""
        with self._lock:
            live = self._lives.get(assignment.fence)
            if live is not None and live.conclusion is None:
                # It prints until it is killed: its log is closed when the executor says so.
                live.conclusion = (Broke(failure), 0.0, 0)
        if live is not None:
            self._write(live)
        self._steering.send(assignment.fence, Intent.KILL)

    def _report(self, assignment: Assignment, step: Step) -> None:
        with self._lock:
            live = self._lives.get(assignment.fence)
            if live is None or live.conclusion is not None:
                return
            live.steps.append(step)
        self._write(live)

    # One write at a time per attempt keeps its reports in order.

    def _write(self, live: _Live) -> None:
        with self._lock:
            if live.writing or not (live.steps or live.conclusion):
                return
            live.writing = True
            steps = tuple(live.steps)
            conclusion = live.conclusion
        future = self._database.write(
            lambda transaction: self._apply(transaction, live, steps, conclusion)
        )
        future.add_done_callback(
            lambda done: self._wrote(live, len(steps), conclusion is not None, done)
        )

    def _apply(
        self,
        transaction: Transaction,
        live: _Live,
        steps: Sequence[Step],
        conclusion: tuple[Conclusion, float, int] | None,
    ) -> "_Written":
        """Write all that an attempt reported as one change, guarded by its fence."""
        doubt, live.doubt = live.doubt, None
        if doubt is not None and doubt.has_happened(transaction.connection, live.stored):
            live.kept = doubt.steps
            if doubt.is_end and conclusion is not None:
                found = jobs.get(
                    transaction.connection, live.assignment.project, live.assignment.job_id
                )
                return _Written(found, None)
        steps = steps[live.kept :]
        try:
            return self._apply_to(transaction, live, live.stored, steps, conclusion)
        except ConflictError:
            # Somebody steered the job meanwhile; nothing is written yet.
            assignment = live.assignment
            fresh = jobs.get_to_change(
                transaction.connection, assignment.project, assignment.job_id
            )
            return self._apply_to(transaction, live, fresh, steps, conclusion)

    def _apply_to(
        self,
        transaction: Transaction,
        live: _Live,
        stored: Stored,
        steps: Sequence[Step],
        conclusion: tuple[Conclusion, float, int] | None,
    ) -> "_Written":
        job = stored.job
        if job.attempt != live.assignment.attempt or not job.status.is_active:
            raise FencedError(job.name, live.assignment.attempt)
        now = self._clock.now()
        draft = Draft(job, now)
        draft.set(progress=live.progress)
        refusal = None
        if steps:
            jobs.guard(transaction.connection, stored)
            steps, refusal = _fitting(transaction.connection, job, steps)
        if refusal is not None:
            conclusion = (Broke(refusal), *(conclusion[1:] if conclusion else (0.0, 0)))
        for step in steps:
            step(transaction, stored, draft)
        change = draft.change()
        if conclusion is not None:
            end = self._concluded(draft.job, conclusion, now)
            change = Change(job, end.job, (*change.events, *end.events))
        saved = jobs.save(transaction, stored, change)
        if change.events:
            live.doubt = _Doubt(
                change.events[-1], live.kept + len(steps), is_end=conclusion is not None
            )
        failpoint.reach("conclusion_before_commit" if conclusion else "report_before_commit")
        return _Written(saved, refusal)

    def _concluded(
        self, job: Job, conclusion: tuple[Conclusion, float, int], now: datetime
    ) -> Change:
        end, cpu_s, peak_memory_bytes = conclusion
        usage = _more(job.usage, cpu_s, peak_memory_bytes)
        return lifecycle.concluded(
            replace(job, usage=usage),
            end,
            now=now,
            jitter=self._randomness.jitter() if isinstance(end, Broke) else 0.0,
            input_id=self._randomness.new_id(now) if isinstance(end, Asked) else "",
        )

    def _wrote(self, live: _Live, steps: int, concluded: bool, done: "Future[_Written]") -> None:
        error = done.exception()
        if concluded and error is None:
            failpoint.reach("conclusion_after_commit")
        if isinstance(error, (BackendUnavailableError, ConflictError)):
            self._retry_later(live)
            return
        refusal = None
        with self._lock:
            live.writing = False
            live.failures = 0
            del live.steps[:steps]
            live.doubt, live.kept = None, 0
            if error is None:
                live.stored, refusal = done.result()
            if refusal is not None:
                # Whatever else it says comes too late.
                live.conclusion = (Broke(refusal), 0.0, 0)
        if error is None and refusal is None and not concluded:
            self._write(live)
            return
        if refusal is not None:
            self._adopt(live.assignment.fence, live.log)
            self._steering.send(live.assignment.fence, Intent.KILL)
        elif error is None and live.log is not None:
            self._logs.drop(live.assignment.fence)
        elif error is not None:
            self._disown(live, error)
            self._adopt(live.assignment.fence, live.log)
        self._close(live)

    def _retry_later(self, live: _Live) -> None:
        if self._stopped:
            self._close(live)
            return
        delay_s = RETRY_S[min(live.failures, len(RETRY_S) - 1)]
        live.failures += 1

        def again() -> None:
            with self._lock:
                live.writing = False
            self._write(live)

        timer = threading.Timer(delay_s, again)
        timer.daemon = True
        timer.start()

    def _disown(self, live: _Live, error: BaseException) -> None:
        """The attempt is not the job's any more: end it."""
        if isinstance(error, (FencedError, JobNotFoundError, JobExpiredError)):
            log.info(
                "attempt.fenced",
                extra={"job": live.stored.job.name, "attempt": live.assignment.attempt},
            )
        else:
            log.error("attempt.report_failed", extra={"job": live.stored.job.name}, exc_info=error)
        if live.conclusion is None:
            self._steering.send(live.assignment.fence, Intent.KILL)

    def _close(self, live: _Live) -> None:
        with self._settled:
            self._lives.pop(live.assignment.fence, None)
            self._settled.notify_all()


class _Written(NamedTuple):
    """A job after a report, and why the report ended the attempt, if it did."""

    stored: Stored
    refusal: Failure | None


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A write whose commit may have happened: its last event, and the steps up to its end."""

    event: JobEvent
    steps: int
    is_end: bool

    def has_happened(self, connection: Connection, stored: Stored) -> bool:
        """Whether it did: nobody else gives the event that number, time and attempt."""
        return events.is_kept(connection, self.event, job_pk=stored.pk)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The step that makes an artifact readable, and tells so."""

    artifact: Artifact
    # Whether it is refused when the project may store no more.
    is_counted: bool = False

    def __call__(self, transaction: Transaction, stored: Stored, draft: Draft) -> None:
        artifacts.put(transaction.connection, self.artifact, job_pk=stored.pk)
        draft.emit(ArtifactReady(self.artifact))


def _tells_why(artifact: Artifact) -> bool:
    """Whether it is what explains a failure: small, and worth more than the limit."""
    is_traceback = artifact.artifact_id == failures.TRACEBACK_ARTIFACT
    return is_traceback and artifact.size_bytes <= MAX_TRACEBACK_BYTES


def _fitting(
    connection: Connection, job: Job, steps: Sequence[Step]
) -> tuple[Sequence[Step], Failure | None]:
    """The steps up to the first output that the project has no room for, and why it has none."""
    outputs = [
        (at, Output(step.artifact.artifact_id, step.artifact.size_bytes))
        for at, step in enumerate(steps)
        if isinstance(step, _Recorded) and step.is_counted
    ]
    if not outputs:
        return steps, None
    room = Room.held(connection, job.project)
    misfit = room.misfit(connection, job.job_id, [output for _, output in outputs])
    if misfit is None:
        return steps, None
    return steps[: outputs[misfit.place][0]], misfit.failure


def _storable(payload: DurablePayload) -> DurablePayload:
    """The payload without numbers that JSON does not have."""
    if isinstance(payload, MetricReported):
        return replace(payload, values=finite(payload.values))
    return payload


def _more(usage: Usage, cpu_s: float, peak_memory_bytes: int) -> Usage:
    return replace(
        usage,
        cpu_s=usage.cpu_s + cpu_s,
        peak_memory_bytes=max(usage.peak_memory_bytes, peak_memory_bytes),
    )


def _touch(transaction: Transaction, lives: Sequence[_Live]) -> None:
    for live in lives:
        jobs.touch(
            transaction.connection,
            pk=live.stored.pk,
            attempt=live.assignment.attempt,
            heartbeat_at=live.heartbeat_at,
            progress=live.progress,
        )
