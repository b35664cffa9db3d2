"""Starts jobs: claims what may run, as many as there are free slots."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.content.store import ContentStore
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.attempt import Assignment, Broke, InputContent
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.job import Failure, FailureCategory, InputRef, Job, JobSpec
from jobplane.engine.executors.port import Executor
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.store import artifacts, jobs
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.jobs import Stored

log = logging.getLogger(__name__)
CLAIM_LIMIT = 64
WRITE_TIMEOUT_S = 30.0


class Dispatcher:
    """One step claims and launches; nothing is launched that is not durable as RUNNING."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentStore,
        executors: dict[str, Executor],
        ledger: Ledger,
        clock: Clock,
        worker: str,
        attempts_folder: Path,
        attempt_timeout_s: Callable[[JobSpec], float | None],
    ) -> None:
        self._database = database
        self._content = content
        self._executors = executors
        self._ledger = ledger
        self._clock = clock
        self._worker = worker
        self._attempts_folder = attempts_folder
        self._attempt_timeout_s = attempt_timeout_s
        self.paused = False

    def step(self) -> int:
        """Start what can be started; how many attempts were launched."""
        return sum(self._fill(lane, executor) for lane, executor in self._executors.items())

    def _fill(self, lane: str, executor: Executor) -> int:
        launched = 0
        while not self.paused and (free := min(executor.free_slots(), CLAIM_LIMIT)) > 0:
            claimed = self._database.write(
                lambda transaction, free=free: self._claim(transaction, lane, free)  # type: ignore[misc]  # mypy can't see the default
            ).result(WRITE_TIMEOUT_S)
            if claimed:
                failpoint.reach("claim_after_commit")
            for stored in claimed:
                self._launch(stored, executor)
            launched += len(claimed)
            if len(claimed) < free:
                break
        return launched

    def _claim(self, transaction: Transaction, lane: str, limit: int) -> list[Stored]:
        """Move jobs to RUNNING: each attempt is counted before it starts."""
        now = self._clock.now()
        ready = jobs.claimable(transaction.connection, lane=lane, limit=limit)
        claimed = [
            jobs.save(
                transaction,
                stored,
                lifecycle.begun(stored.job, worker=self._worker, now=now),
                worker=self._worker,
            )
            for stored in ready
        ]
        if claimed:
            failpoint.reach("claim_before_commit")
        return claimed

    def _launch(self, stored: Stored, executor: Executor) -> None:
        assignment = self._assignment(stored.job)
        self._ledger.open(assignment, stored)
        try:
            assignment = self._supplied(assignment)
        except MissingContentError as missing:
            self._give_up(assignment, missing.reason, str(missing))
        except EngineError as error:
            self._give_up(assignment, error.reason, error.message)
        else:
            executor.launch(assignment)
            failpoint.reach("attempt_launched")

    def _give_up(self, assignment: Assignment, reason: str, message: str) -> None:
        """End an attempt that can't be launched."""
        failure = Failure(reason, FailureCategory.INPUT, message)
        self._ledger.concluded(assignment, Broke(failure), cpu_s=0.0, peak_memory_bytes=0)

    def _assignment(self, job: Job) -> Assignment:
        return Assignment(
            project=job.project,
            job_id=job.job_id,
            attempt=job.attempt,
            spec=job.spec,
            folder=self._attempts_folder / job.project / job.job_id / str(job.attempt),
            answers=job.answers,
            memory_limit_bytes=job.spec.resources.memory_bytes,
            checkpoint_ref=job.checkpoint.sha256 if job.checkpoint else "",
        )

    def _supplied(self, assignment: Assignment) -> Assignment:
        """The assignment with its time-out, its inputs and its checkpoint."""
        timeout_s = self._attempt_timeout_s(assignment.spec)
        assignment = replace(assignment, attempt_timeout_s=timeout_s)
        if not assignment.spec.inputs and not assignment.checkpoint_ref:
            return assignment
        checkpoint = None
        if assignment.checkpoint_ref:
            try:
                checkpoint = self._content.read(assignment.checkpoint_ref)
            except FileNotFoundError:
                raise MissingContentError("CHECKPOINT_MISSING", "the checkpoint is gone") from None
        inputs = {
            role: self._input(assignment.project, role, ref)
            for role, ref in assignment.spec.inputs.items()
        }
        return replace(assignment, inputs=inputs, checkpoint=checkpoint)

    def _input(self, project: str, role: str, ref: InputRef) -> InputContent:
        artifact = self._database.read_now(
            lambda connection: artifacts.find_content(connection, project, ref.sha256)
        )
        path = self._content.path_of(ref.sha256)
        if artifact is None or not path.is_file():
            raise MissingContentError("INPUT_MISSING", f"the content of input {role!r} is gone")
        return InputContent(
            path=path,
            filename=artifact.filename or artifact.artifact_id,
            media_type=artifact.media_type,
            size_bytes=artifact.size_bytes,
            sha256=artifact.sha256,
        )


class MissingContentError(Exception):
    """Content that an attempt needs is not in the store."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
