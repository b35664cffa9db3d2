"""Batches: many jobs submitted or cancelled by one call, in bounded transactions."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import (
    EngineError,
    InvalidSpecError,
    ReferenceNotFoundError,
    UnknownFieldError,
    Violation,
)
from jobplane.engine.domain.item_refusal import ItemRefusedError
from jobplane.engine.domain.job import Dependency, Job, job_name
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.engine.intake import Intake, Prepared, fingerprint_of
from jobplane.engine.query.evaluate import evaluate
from jobplane.engine.query.expression import And, Everything, Expression
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.order import Order
from jobplane.engine.query.token import Key
from jobplane.engine.scheduler import dependencies
from jobplane.engine.store import filter as sql
from jobplane.engine.store import jobs, listing
from jobplane.engine.store.database import Database, Read, Transaction, Write
from jobplane.engine.store.groups import group_column
from jobplane.engine.store.jobs import Stored

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
# Jobs that one transaction cancels: the other writers wait for no more.
CANCEL_CHUNK = 250
# A call that has cancelled for so long says that there is more.
CANCEL_S = 5.0
_CANCELLABLE = "done = false AND status != CANCELLING"
_OLDEST_FIRST = Order("create_time", descending=False)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One job of a batch, or why it can't be one."""

    submission: Submission | EngineError
    # What later items may call it in their depends_on, after a "#".
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a batch cancel did, or would do."""

    affected: int
    # A further call is needed.
    more: bool = False
    # By job name, why one could not be cancelled.
    refusals: Mapping[str, EngineError] = field(default_factory=dict[str, EngineError])


@dataclass(frozen=True, slots=True)
class _Ready:
    """An item that keeps every rule; `upstreams` are items, by place in its depends_on."""

    prepared: Prepared
    upstreams: Mapping[int, int]


class Batches:
    """Submits and cancels many jobs. Made by `engine.house.House`."""

    def __init__(
        self, *, database: Database, intake: Intake, clock: Clock, crossing: Crossing
    ) -> None:
        self._database = database
        self._intake = intake
        self._clock = clock
        self._crossing = crossing

    async def submit(
        self, items: Sequence[BatchItem], *, allow_partial: bool, validate_only: bool
    ) -> list[Accepted | EngineError]:
        """Jobs in one transaction: all of them, or, with `allow_partial`, each for itself."""
        _check_refs(items)
        # Rules and defaults of hundreds of specs take a while: others shall not wait for it.
        ready = await asyncio.to_thread(self._prepared, items)
        if not allow_partial:
            _refuse_all(ready)

        def write(transaction: Transaction) -> list[Accepted | EngineError]:
            with transaction.all_or_nothing() as nothing:
                results = self._accept(transaction, ready, allow_partial=allow_partial)
                if validate_only:
                    nothing()
            return results

        results = await self._write(write)
        failpoint.reach("submit_before_ack")
        return results

    def _prepared(self, items: Sequence[BatchItem]) -> list[_Ready | EngineError]:
        places = {item.ref: index for index, item in enumerate(items) if item.ref}
        return [self._ready(item, index, items, places) for index, item in enumerate(items)]

    def _ready(
        self, item: BatchItem, index: int, items: Sequence[BatchItem], places: Mapping[str, int]
    ) -> _Ready | EngineError:
        submission = item.submission
        if isinstance(submission, EngineError):
            return submission
        upstreams: dict[int, int] = {}
        named: list[Dependency] = []
        for place, dependency in enumerate(submission.spec.depends_on):
            if dependency.job.startswith("#"):
                target = places.get(dependency.job[1:], index)
                if target >= index:
                    text = f"{dependency.job!r} is the ref of no earlier item"
                    return InvalidSpecError([Violation(f"spec.depends_on[{place}].job", text)])
                upstreams[place] = target
                dependency = replace(dependency, job=_stand_in(submission, items[target], target))  # noqa: PLW2901
            named.append(dependency)
        submission = _depending_on(submission, named)
        try:
            return _Ready(self._intake.prepare(submission), upstreams)
        except EngineError as refusal:
            return refusal

    def _accept(
        self,
        transaction: Transaction,
        ready: Sequence[_Ready | EngineError],
        *,
        allow_partial: bool,
    ) -> list[Accepted | EngineError]:
        results: list[Accepted | EngineError] = []
        for index, one in enumerate(ready):
            if isinstance(one, EngineError):
                results.append(one)
                continue
            try:
                results.append(self._intake.accept(transaction, _resolved(one, results)))
            except EngineError as refusal:
                if not allow_partial:
                    raise ItemRefusedError(index, refusal) from None
                results.append(refusal)
        return results

    async def cancel_named(
        self,
        project: str,
        job_ids: Sequence[str],
        *,
        requester: str,
        reason: str,
        validate_only: bool,
    ) -> Cancelled:
        """Cancel these jobs; what can't be cancelled is told by name."""
        wanted = list(dict.fromkeys(job_ids))
        affected = 0
        refusals: dict[str, EngineError] = {}
        for start in range(0, len(wanted), CANCEL_CHUNK):
            part = _Part(project, wanted[start : start + CANCEL_CHUNK], requester, reason)
            done = await self._look(part) if validate_only else await self._end(part)
            affected += done.affected
            refusals |= done.refusals
        return Cancelled(affected, refusals=refusals)

    async def cancel_matching(
        self,
        project: str,
        filter: str,  # noqa: A002  the contract's word
        *,
        requester: str,
        reason: str,
        validate_only: bool,
    ) -> Cancelled:
        """Cancel the jobs that match and are not finished, for a bounded time."""
        expression = _and(parse_filter(filter), parse_filter(_CANCELLABLE))
        if validate_only:
            condition, group = sql.compile_filter(expression), group_column("")
            counts = await self._read(
                lambda connection: jobs.count(
                    connection, project=project, condition=condition, group_by=group
                )
            )
            return Cancelled(sum(counts.values()))
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + CANCEL_S
        affected = 0
        key: Key | None = None
        while True:
            page = await self._page(project, expression, key)
            if page:
                part = _Part(project, [job.job_id for job in page], requester, reason, expression)
                affected += (await self._end(part)).affected
                key = _OLDEST_FIRST.key_of(page[-1])
            if len(page) < CANCEL_CHUNK:
                return Cancelled(affected)
            if loop.time() >= ends_at:
                return Cancelled(affected, more=True)

    async def _page(self, project: str, expression: Expression, after: Key | None) -> list[Job]:
        return await self._read(
            lambda connection: listing.page(
                connection,
                project=project,
                expression=expression,
                order=_OLDEST_FIRST,
                after=after,
                limit=CANCEL_CHUNK,
            )
        )

    async def _end(self, part: "_Part") -> Cancelled:
        """Cancel some jobs in one transaction."""
        now = self._clock.now()

        def write(transaction: Transaction) -> Cancelled:
            held = jobs.hold_by_id(transaction.connection, part.project, part.job_ids)
            done = _absent(transaction.connection, part, held)
            for stored in held:
                done = _ended(transaction, part, stored, now, done)
            failpoint.reach("steer_before_commit")
            return done

        return await self._write(write)

    async def _look(self, part: "_Part") -> Cancelled:
        """What cancelling would do."""
        now = self._clock.now()

        def read(connection: Connection) -> Cancelled:
            affected = 0
            refusals: dict[str, EngineError] = {}
            for job_id in part.job_ids:
                try:
                    job = jobs.get(connection, part.project, job_id).job
                    affected += bool(part.step(job, now).events)
                except EngineError as refusal:
                    refusals[job_name(part.project, job_id)] = refusal
            return Cancelled(affected, refusals=refusals)

        return await self._read(read)

    async def _write(self, operation: Write[T]) -> T:
        return await self._crossing.outcome(
            self._database.write(operation), timeout_s=CALL_TIMEOUT_S
        )

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """Jobs that one transaction cancels, and on whose behalf."""

    project: str
    job_ids: Sequence[str]
    requester: str
    reason: str
    # They must still match when it comes to it; without one, each is told of.
    expression: Expression | None = None

    def step(self, job: Job, now: datetime) -> Change:
        """The cancel of one of them."""
        return lifecycle.cancelled(
            job, requester=self.requester, reason=self.reason, force=False, now=now
        )


def _check_refs(items: Sequence[BatchItem]) -> None:
    """Refuse a name that two items have."""
    first: dict[str, int] = {}
    violations: list[Violation] = []
    for index, item in enumerate(items):
        if item.ref and first.setdefault(item.ref, index) != index:
            text = f"{item.ref!r} is the ref of items[{first[item.ref]}] already"
            violations.append(Violation(f"items[{index}].ref", text))
    if violations:
        raise InvalidSpecError(violations)


def _refuse_all(ready: Sequence[_Ready | EngineError]) -> None:
    """Refuse the batch for what is wrong with its items: all broken rules at once."""
    refused = {index: one for index, one in enumerate(ready) if isinstance(one, EngineError)}
    violations = [
        Violation(f"items[{index}].request.{one.field}", one.description)
        for index, refusal in refused.items()
        if isinstance(refusal, InvalidSpecError)
        for one in refusal.violations
    ]
    if any(isinstance(refusal, UnknownFieldError) for refusal in refused.values()):
        raise UnknownFieldError(violations)
    if violations:
        raise InvalidSpecError(violations)
    for index, refusal in refused.items():
        raise ItemRefusedError(index, refusal)


def _stand_in(submission: Submission, upstream: BatchItem, index: int) -> str:
    """A name for a job that has none yet: the one that it will have, or one that no job has."""
    chosen = upstream.submission.job_id if isinstance(upstream.submission, Submission) else ""
    return job_name(submission.project, chosen or f"#{index}")


def _resolved(ready: _Ready, results: Sequence[Accepted | EngineError]) -> Prepared:
    """The item with the names of the jobs that it depends on."""
    if not ready.upstreams:
        return ready.prepared
    submission = ready.prepared.submission
    depends_on = list(submission.spec.depends_on)
    for place, index in ready.upstreams.items():
        upstream = results[index]
        if isinstance(upstream, EngineError):
            field = f"spec.depends_on[{place}].job"
            text = f"items[{index}], which it depends on, was refused"
            raise ReferenceNotFoundError(field, f"items[{index}]", text)
        depends_on[place] = replace(depends_on[place], job=upstream.job.name)
    submission = _depending_on(submission, depends_on)
    # With an idempotency key, two items may be one job.
    if violations := dependencies.violations(submission):
        raise InvalidSpecError(violations)
    return replace(ready.prepared, submission=submission, fingerprint=fingerprint_of(submission))


def _depending_on(submission: Submission, depends_on: Sequence[Dependency]) -> Submission:
    spec = replace(submission.spec, depends_on=tuple(depends_on))
    return replace(submission, spec=spec)


def _ended(
    transaction: Transaction, part: _Part, stored: Stored, now: datetime, done: Cancelled
) -> Cancelled:
    """One more job cancelled, or refused."""
    # Read before it was held, it may have changed meanwhile.
    if part.expression is not None and not evaluate(part.expression, stored.job):
        return done
    try:
        change = part.step(stored.job, now)
    except EngineError as refusal:
        return replace(done, refusals={**done.refusals, stored.job.name: refusal})
    jobs.save(transaction, stored, change)
    return replace(done, affected=done.affected + bool(change.events))


def _absent(connection: Connection, part: _Part, held: Sequence[Stored]) -> Cancelled:
    """Why jobs that were asked for by name are not there."""
    refusals: dict[str, EngineError] = {}
    if part.expression is None:
        for job_id in set(part.job_ids).difference(stored.job.job_id for stored in held):
            try:
                jobs.get(connection, part.project, job_id)
            except EngineError as refusal:
                refusals[job_name(part.project, job_id)] = refusal
    return Cancelled(0, refusals=refusals)


def _and(*expressions: Expression) -> Expression:
    """All of them; flat, so that a list sees each term that has an index."""
    terms = [
        term
        for expression in expressions
        for term in (expression.terms if isinstance(expression, And) else (expression,))
        if not isinstance(term, Everything)
    ]
    return And(tuple(terms))
