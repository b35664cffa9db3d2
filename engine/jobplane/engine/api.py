"""The engine's one door: everything that may be asked of it, by anybody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.batch import Batches
from jobplane.engine.clock import Clock
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import (
    BackendUnavailableError,
    EtagMismatchError,
    InvalidTransitionError,
    JobExpiredError,
    KindNotPausableError,
    QueueClosedError,
)
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.engine.intake import Intake
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.library import Library
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.page import JobQuery, Page, cut_page, page_limit, size_of
from jobplane.engine.query.token import PageTokens
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.queues import Planning
from jobplane.engine.scheduler.waiting import Obstacle, wait_of
from jobplane.engine.schedules.book import ScheduleBook
from jobplane.engine.store import events, jobs, listing, purge, queues
from jobplane.engine.store import filter as sql
from jobplane.engine.store.database import Database, Read, Transaction, Write
from jobplane.engine.store.groups import group_column
from jobplane.engine.store.jobs import Stored
from jobplane.engine.store.queues import QueueState
from jobplane.engine.streams import Streams
from jobplane.engine.watch.frame import Frame
from jobplane.engine.watch.hub import Hub
from jobplane.engine.watch.stream import Interest, JobStream, Source

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
MAX_WAIT_S = 60.0
EVENT_PAGE = 100


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs there are, in all and by group."""

    total: int
    groups: Mapping[str, int]


class Engine:
    """Submits, reads, steers and watches jobs. Made and started by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        registry: Registry,
        intake: Intake,
        ledger: Ledger,
        hub: Hub,
        clock: Clock,
        tokens: PageTokens,
        crossing: Crossing,
        library: Library,
        planning: Planning,
        schedules: ScheduleBook,
        obstacle: Obstacle,
        streams: Streams,
        batches: Batches,
        watch_max_age_s: Callable[[], float],
    ) -> None:
        self.registry = registry
        self.library = library
        self.planning = planning
        self.schedules = schedules
        self.streams = streams
        self.batches = batches
        self._obstacle = obstacle
        self._database = database
        self._intake = intake
        self._ledger = ledger
        self._hub = hub
        self._clock = clock
        self._tokens = tokens
        self._crossing = crossing
        self._watch_max_age_s = watch_max_age_s

    async def submit(self, submission: Submission) -> Accepted:
        """The durable job; validate_only checks everything and writes nothing."""
        prepared = self._intake.prepare(submission)
        if submission.validate_only:
            return await self._read(lambda connection: self._intake.check(connection, prepared))
        accepted = await self._crossing.outcome(
            self._database.gather(self._intake.accept_all, prepared), timeout_s=CALL_TIMEOUT_S
        )
        failpoint.reach("submit_before_ack")
        return accepted

    async def get(self, project: str, job_id: str) -> Job:
        """The job as it stands."""
        return await self._read(lambda connection: self._get(connection, project, job_id))

    async def list(self, query: JobQuery) -> Page[Job]:
        """A page of jobs."""
        expression, order, limit = query.expression, query.order, query.limit
        token = query.page_token
        after = self._tokens.decode(token, query.bound) if token else None

        def read(connection: Connection) -> list[Job]:
            return listing.page(
                connection,
                project=query.project,
                expression=expression,
                order=order,
                after=after,
                limit=limit + 1,
            )

        found = [self._with_progress(job) for job in await self._read(read)]
        page, more = cut_page(found, limit=limit, max_bytes=query.max_bytes, size_of=size_of)
        key = order.key_of(page[-1]) if more else ()
        return Page(page, self._tokens.encode(key, query.bound) if more else "")

    async def count(self, *, project: str, filter: str, group_by: str) -> Counts:  # noqa: A002  the contract's word
        """Exact counts, in all or by a field."""
        condition = sql.compile_filter(parse_filter(filter))
        group = group_column(group_by)
        groups = await self._read(
            lambda connection: jobs.count(
                connection, project=project, condition=condition, group_by=group
            )
        )
        return Counts(sum(groups.values()), groups if group_by else {})

    async def cancel(
        self, project: str, job_id: str, *, requester: str, reason: str, force: bool
    ) -> Job:
        """Ask for an end: CANCELLED where nothing runs, else CANCELLING with a bound."""
        return await self._steer(
            project,
            job_id,
            lambda job, now: lifecycle.cancelled(
                job, requester=requester, reason=reason, force=force, now=now
            ),
        )

    async def pause(self, project: str, job_id: str, *, requester: str, reason: str) -> Job:
        """Ask for a checkpoint and a suspension."""

        def step(job: Job, now: datetime) -> Change:
            kind = self.registry.get(job.kind)
            if job.status is JobStatus.RUNNING and not kind.pausable:
                raise KindNotPausableError(job.name, job.kind)
            return lifecycle.paused(job, requester=requester, reason=reason, now=now)

        return await self._steer(project, job_id, step)

    async def resume(self, project: str, job_id: str, *, requester: str, reason: str) -> Job:
        """Ask to go on from the last checkpoint."""
        return await self._steer(
            project,
            job_id,
            lambda job, now: lifecycle.resumed(job, requester=requester, reason=reason, now=now),
        )

    async def update(
        self,
        project: str,
        job_id: str,
        *,
        priority: int | None = None,
        queue: str | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        updater: str = "",
    ) -> Job:
        """Change what may be changed of a job that is not over; None leaves as it is."""

        def write(transaction: Transaction) -> Stored:
            connection = transaction.connection
            stored = jobs.get_to_change(connection, project, job_id)
            if etag and etag != stored.job.etag:
                raise EtagMismatchError(stored.job.name, stored.job.etag)
            moves = queue is not None and queue != stored.job.queue
            if moves and queues.state_of(connection, queue or "") is QueueState.CLOSED:
                raise QueueClosedError(queue or "")
            change = lifecycle.updated(
                stored.job,
                priority=priority,
                queue=queue,
                labels=labels,
                updater=updater,
                now=self._clock.now(),
            )
            return jobs.save(transaction, stored, change)

        return self._with_progress((await self._write(write)).job)

    async def retry(
        self,
        project: str,
        job_id: str,
        *,
        from_checkpoint: bool,
        idempotency_key: str,
        creator: str,
    ) -> Accepted:
        """Submit a new job from a finished one, which stays as it is."""
        origin = await self.get(project, job_id)
        if not origin.status.is_terminal:
            allowed = [status for status in JobStatus if status.is_terminal]
            raise InvalidTransitionError(origin.name, "retry", origin.status, allowed)
        return await self.submit(
            Submission(
                project=project,
                spec=origin.spec,
                creator=creator,
                idempotency_key=idempotency_key,
                priority=origin.priority,
                queue=origin.queue,
                job_set=origin.job_set,
                labels=origin.labels,
                origin_job=origin.name,
                checkpoint=origin.checkpoint if from_checkpoint else None,
            )
        )

    async def delete(self, project: str, job_id: str, *, etag: str) -> None:
        """Purge a finished job and its artifacts; one that is purged already stays so."""

        def write(transaction: Transaction) -> None:
            stored = jobs.get_to_change(transaction.connection, project, job_id)
            if etag and etag != stored.job.etag:
                raise EtagMismatchError(stored.job.name, stored.job.etag)
            if not stored.job.status.is_terminal:
                allowed = [status for status in JobStatus if status.is_terminal]
                raise InvalidTransitionError(stored.job.name, "delete", stored.job.status, allowed)
            purge.job(transaction, stored, now=self._clock.now())

        try:
            await self._write(write)
        except JobExpiredError:
            return
        self._hub.forget((project, job_id))

    async def provide_input(
        self,
        project: str,
        job_id: str,
        *,
        input_id: str,
        answers: Mapping[str, str],
        responder: str,
    ) -> Job:
        """Answer the open question."""
        return await self._steer(
            project,
            job_id,
            lambda job, now: lifecycle.answered(
                job, input_id=input_id, answers=answers, responder=responder, now=now
            ),
        )

    async def events(
        self,
        project: str,
        job_id: str,
        *,
        after_sequence: int,
        page_size: int,
        page_token: str,
        descending: bool,
    ) -> Page[JobEvent]:
        """A page of a job's history."""
        limit = page_limit(page_size, default=EVENT_PAGE)
        bound = ("events", project, job_id, str(after_sequence), str(descending))
        key = self._tokens.decode(page_token, bound) if page_token else None

        def read(connection: Connection) -> list[JobEvent]:
            jobs.get(connection, project, job_id)
            if descending:
                before = int(key[0] or 0) if key else 2**62
                return events.before(
                    connection,
                    project,
                    job_id,
                    after=after_sequence,
                    before=before,
                    limit=limit + 1,
                )
            after = int(key[0] or 0) if key else after_sequence
            return events.after(connection, project, job_id, sequence=after, limit=limit + 1)

        found = await self._read(read)
        page = tuple(found[:limit])
        more = len(found) > limit
        return Page(page, self._tokens.encode((page[-1].sequence,), bound) if more else "")

    def watch(
        self,
        project: str,
        job_id: str,
        *,
        after_sequence: int | None,
        heartbeat_s: float,
        durable_only: bool,
        event_types: Collection[str],
    ) -> AsyncIterator[Frame]:
        """Frames of one job, until an End."""
        interest = Interest(after_sequence, heartbeat_s, durable_only, frozenset(event_types))
        stream = JobStream(
            hub=self._hub,
            source=self._source(project, job_id),
            clock=self._clock,
            interest=interest,
            max_age_s=self._watch_max_age_s(),
        )
        return stream.frames((project, job_id))

    async def wait(
        self, project: str, job_id: str, *, after_sequence: int | None, timeout_s: float
    ) -> tuple[Job, bool]:
        """The job, once it is over or past a sequence; False when the time ran out first."""

        def is_met(job: Job) -> bool:
            if after_sequence is not None:
                return job.sequence > after_sequence or job.status.is_terminal
            return job.status.is_terminal

        loop = asyncio.get_running_loop()
        ends_at = loop.time() + min(timeout_s, MAX_WAIT_S)
        with self._hub.subscribed((project, job_id)) as subscription:
            job = subscription.current or await self.get(project, job_id)
            while not is_met(job) and not self._hub.is_draining:
                left_s = ends_at - loop.time()
                if left_s <= 0:
                    # What it waits for is told as it is now.
                    job = await self.get(project, job_id)
                    break
                subscription.meet(job)
                await subscription.wait(left_s)
                subscription.take(job.sequence)
                job = subscription.current or await self.get(project, job_id)
            return self._with_progress(job), is_met(job)

    async def is_ready(self) -> bool:
        """Whether the store takes writes."""
        try:
            await self._write(lambda _transaction: None)
        except BackendUnavailableError:
            return False
        return True

    async def _steer(
        self, project: str, job_id: str, step: Callable[[Job, datetime], Change]
    ) -> Job:
        """Apply a step to the job in one transaction."""

        def write(transaction: Transaction) -> Stored:
            stored = jobs.get_to_change(transaction.connection, project, job_id)
            saved = jobs.save(transaction, stored, step(stored.job, self._clock.now()))
            failpoint.reach("steer_before_commit")
            return saved

        saved = await self._write(write)
        failpoint.reach("steer_before_ack")
        return self._with_progress(saved.job)

    def _get(self, connection: Connection, project: str, job_id: str) -> Job:
        stored = jobs.get(connection, project, job_id)
        job = self._with_progress(stored.job)
        if job.status is not JobStatus.QUEUED:
            return job
        wait = wait_of(connection, stored, now=self._clock.now(), obstacle=self._obstacle)
        return replace(job, wait=wait)

    def _with_progress(self, job: Job) -> Job:
        """The job with what its live attempt said last."""
        if not job.status.is_active:
            return job
        fence = (job.project, job.job_id, job.attempt)
        progress = self._ledger.progress_of(fence)
        heartbeat_at = self._ledger.heartbeat_of(fence)
        return replace(
            job,
            progress=progress or job.progress,
            heartbeat_at=heartbeat_at or job.heartbeat_at,
        )

    def _source(self, project: str, job_id: str) -> Source:
        async def read_events(after: int, limit: int) -> list[JobEvent]:
            return await self._read(
                lambda connection: events.after(
                    connection, project, job_id, sequence=after, limit=limit
                )
            )

        return Source(
            read_job=lambda: self.get(project, job_id),
            read_events=read_events,
            heartbeat_at=lambda job: self._with_progress(job).heartbeat_at,
        )

    async def _write(self, operation: Write[T]) -> T:
        return await self._crossing.outcome(
            self._database.write(operation), timeout_s=CALL_TIMEOUT_S
        )

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )
