"""Starts jobs: claims what may run, as many as there are free slots."""

import logging
import math
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.content.port import ContentPort
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.artifact import Artifact
from jobplane.engine.domain.attempt import Assignment, Broke, InputContent
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.job import Failure, FailureCategory, InputRef, Job, JobSpec
from jobplane.engine.domain.standing import NO_RESOURCES
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.executors.port import Executor
from jobplane.engine.scheduler.fair_share import Candidate, Decision, Turns
from jobplane.engine.scheduler.ledger import Fence, Ledger
from jobplane.engine.scheduler.packing import Capacity
from jobplane.engine.scheduler.quota import Gates
from jobplane.engine.store import artifacts, jobs, loads, queues
from jobplane.engine.store.codec import resources_from_row
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.jobs import Stored
from jobplane.engine.store.loads import Line

log = logging.getLogger(__name__)
CLAIM_LIMIT = 64
WRITE_TIMEOUT_S = 30.0
RECONCILE_S = 5.0


class Dispatcher:
    """Claims as part of the commits that let jobs start, and launches what is durable as RUNNING.

    A job that is submitted while a slot is free, and the next one in line when an attempt ends,
    become RUNNING in the same commit. A step asks for a commit of its own, for where slots and
    jobs have missed each other.
    """

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        executors: dict[str, Executor],
        ledger: Ledger,
        clock: Clock,
        worker: str,
        attempts_folder: Path,
        attempt_timeout_s: Callable[[JobSpec], float | None],
        capacity: Capacity,
        turns: Turns,
        can_run: Callable[[str, str], bool],
    ) -> None:
        self._database = database
        self._content = content
        self._executors = executors
        self._ledger = ledger
        self._clock = clock
        self._worker = worker
        self._attempts_folder = attempts_folder
        self._attempt_timeout_s = attempt_timeout_s
        self._capacity = capacity
        self._turns = turns
        self._can_run = can_run
        # Guards the capacity: claims, ends and this loop come from threads of their own.
        self._lock = threading.RLock()
        # What the present claim holds, and what it claimed, as long as it is not durable.
        self._placed: list[Fence] = []
        self._claimed: list[Stored] = []
        self._to_launch: queue.SimpleQueue[Stored] = queue.SimpleQueue()
        # Attempts that their executor does not know of yet, and its lane.
        self._unlaunched: dict[Fence, str] = {}
        # Nothing is claimed before the first step, which comes when all is open.
        self._is_open = False
        # Whether the next commit shall claim, whatever it is about.
        self._is_asked = False
        # Lanes in which the last claim may have left somebody waiting for want of slots.
        self._short: set[str] = set()
        self._reconciled_s = 0.0
        self.paused = False

    def step(self) -> None:
        """Claim what no commit has claimed on its way."""
        self._reconcile()
        self._is_open = True
        if not self.paused and any(self._free(lane) for lane in self._executors):
            self._is_asked = True
            self._database.write(lambda _: None).result(WRITE_TIMEOUT_S)

    def join(self, transaction: Transaction) -> None:
        """Start jobs in a commit that lets them, or that was made for it."""
        # A group of writes that failed is run again.
        self._give_back()
        is_asked, self._is_asked = self._is_asked, False
        if self.paused or not self._is_open:
            return
        if not is_asked and not any(_needs_or_frees_a_slot(one) for one in transaction.changes):
            return
        self._short.clear()
        try:
            transaction.loads.flush(transaction.connection)
            for lane in self._executors:
                self._fill(transaction, lane, self._free(lane))
            if self._claimed:
                failpoint.reach("claim_before_commit")
        except BaseException:
            # The group goes without it.
            self._give_back()
            raise

    def follow(self, changes: Sequence[Change]) -> bool:
        """Take what is durable as that; whether there is something to launch."""
        with self._lock:
            self._placed.clear()
            for stored in self._claimed:
                self._unlaunched[_fence_of(stored.job)] = stored.lane
                self._to_launch.put(stored)
            self._claimed.clear()
            for change in changes:
                before, job = change.before, change.job
                if before is None or not before.status.is_active:
                    continue
                if not job.status.is_active or job.attempt != before.attempt:
                    self._capacity.release((job.project, job.job_id, before.attempt))
        if self.paused:
            # The loop that launches may have ended.
            self.launch()
        return not self._to_launch.empty()

    @property
    def has_missed(self) -> bool:
        """Whether jobs may wait although slots have come free since the last claim."""
        return any(self._free(lane) for lane in self._short)

    def launch(self) -> None:
        """Launch what was claimed."""
        with suppress(queue.Empty):
            while True:
                stored = self._to_launch.get_nowait()
                failpoint.reach("claim_after_commit")
                try:
                    self._launch(stored, self._executors[stored.lane])
                finally:
                    with self._lock:
                        del self._unlaunched[_fence_of(stored.job)]

    def _reconcile(self) -> None:
        """Give back what attempts held that ended unseen, by the word of another server."""
        now_s = self._clock.now().timestamp()
        if now_s - self._reconciled_s < RECONCILE_S:
            return
        self._reconciled_s = now_s
        with self._lock:
            begun = {*self._placed, *self._unlaunched}
            for fence in tuple(self._capacity.held):
                if fence not in begun and not self._ledger.is_live(fence):
                    self._capacity.release(fence)

    def _free(self, lane: str) -> int:
        """Slots for which nothing is claimed."""
        with self._lock:
            claimed = list(self._unlaunched.values()).count(lane)
        return max(0, min(self._executors[lane].free_slots() - claimed, CLAIM_LIMIT))

    def _fill(self, transaction: Transaction, lane: str, free: int) -> int:
        """Move jobs to RUNNING, and say how many; each attempt is counted before it starts."""
        lines = self._lines(transaction.connection, lane) if free else ()
        begun = self._begun(transaction.connection, lines, free) if lines else []
        if begun:
            self._claimed += jobs.start(transaction, begun, worker=self._worker)
        if len(begun) == free:
            self._short.add(lane)
        return len(begun)

    def _begun(
        self, connection: Connection, lines: Sequence[Line], free: int
    ) -> list[tuple[Stored, Change]]:
        now = self._clock.now()
        begun: list[tuple[Stored, Change]] = []
        with self._lock:
            gates = Gates.held(connection, now)
            decision = self._decision(connection, lines, gates, now, free)
            for line, candidate in decision.picks(free=free):
                self._placed.append(_fence(line, candidate))
                gates.passed(line.project, line.kind)
                stored = jobs.stored_of(candidate.row)
                begun.append((stored, lifecycle.begun(stored.job, worker=self._worker, now=now)))
        return begun

    def _lines(self, connection: Connection, lane: str) -> list[Line]:
        """Lines whose jobs may start here."""
        waiting = loads.waiting(connection, lane=lane)
        if not waiting:
            return []
        cordoned = queues.cordoned(connection)
        return [
            line
            for line in waiting
            if line.queue not in cordoned and self._can_run(line.lane, line.kind)
        ]

    def _decision(
        self, connection: Connection, lines: Sequence[Line], gates: Gates, now: datetime, free: int
    ) -> Decision:
        def fetch(line: Line, last: Candidate | None, limit: int) -> list[Candidate]:
            after = (last.rank_us, last.pk) if last else None
            rows = jobs.candidates(connection, line, after=after, limit=limit)
            return [self._candidate(row) for row in rows]

        return Decision(
            lines,
            fetch=fetch,
            capacity=self._capacity,
            turns=self._turns,
            closed_by=lambda line, demand: gates.closed_by(line.project, line.kind, demand),
            holder_of=_fence,
            slots=len(self._capacity.held) + free,
            now_s=now.timestamp(),
        )

    def _candidate(self, row: Any) -> Candidate:
        if row.demand is None:
            return Candidate(row.pk, row.rank_us, NO_RESOURCES, row=row)
        timeout_s = self._attempt_timeout_s(jobs.stored_of(row).job.spec)
        takes_s = math.inf if timeout_s is None else timeout_s
        since_s = row.created_us / 1_000_000
        return Candidate(row.pk, row.rank_us, resources_from_row(row.demand), takes_s, since_s, row)

    def _give_back(self) -> None:
        with self._lock:
            for fence in self._placed:
                self._capacity.release(fence)
            self._placed.clear()
            self._claimed.clear()

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
        artifact = self._database.read_now(lambda connection: _source(connection, project, ref))
        path = self._content.path_of(ref.sha256)
        if not path.is_file():
            raise MissingContentError("INPUT_MISSING", f"the content of input {role!r} is gone")
        # The job keeps the content, but not what brought it.
        return InputContent(
            path=path,
            filename=_filename(artifact) if artifact else role,
            media_type=artifact.media_type if artifact else "application/octet-stream",
            size_bytes=path.stat().st_size,
            sha256=ref.sha256,
        )


def _needs_or_frees_a_slot(change: Change) -> bool:
    if change.job.status is JobStatus.QUEUED:
        return change.job.wait is None
    before = change.before
    return before is not None and before.status.is_active and not change.job.status.is_active


def _fence(line: Line, candidate: Candidate) -> Fence:
    """The attempt that a candidate's start would be."""
    return (line.project, candidate.row.job_id, candidate.row.attempt + 1)


def _fence_of(job: Job) -> Fence:
    """The attempt that a job is at."""
    return (job.project, job.job_id, job.attempt)


def _source(connection: Connection, project: str, ref: InputRef) -> Artifact | None:
    """What a reference names, or else something that has the same content."""
    named = artifacts.find_by_name(connection, ref.artifact) if ref.artifact else None
    if named is not None and named.sha256 == ref.sha256:
        return named
    return artifacts.find_content(connection, project, ref.sha256)


def _filename(artifact: Artifact) -> str:
    return artifact.filename or artifact.artifact_id.rpartition("/")[2]


class MissingContentError(Exception):
    """Content that an attempt needs is not in the store."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
