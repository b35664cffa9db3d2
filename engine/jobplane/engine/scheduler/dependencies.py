"""Dependencies: who may start, or never will, once a job has ended.

A job that ends tells a bounded number of dependents in its own transaction; the rest is kept
in a backlog and told a page at a time. Dependents that end by it tell theirs in turn, out of
one list: no chain is deep enough for recursion, and no fan wide enough for memory.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.errors import ReferenceNotFoundError, Violation
from jobplane.engine.domain.job import (
    Dependency,
    Job,
    Wait,
    WaitReason,
    job_name,
    split_job_name,
)
from jobplane.engine.domain.submission import Submission
from jobplane.engine.store import dependencies, jobs
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.dependencies import Dependent, Upstream, holds

# Dependents that one transaction tells.
PAGE = 200
WRITE_TIMEOUT_S = 30.0


class Awaited(NamedTuple):
    """An upstream of a new job, and what it must reach."""

    upstream: Upstream
    dependency: Dependency


class Dependencies:
    """Tells dependents of ends."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        # Set when somebody may start who could not before.
        self._unblocked = False
        self._left_over = False

    def follow(self, transaction: Transaction) -> None:
        """Tell the dependents of all jobs that ended in a transaction."""
        ended, transaction.ended = transaction.ended, []
        for pk, job in ended:
            if job.spec.depends_on:
                dependencies.close_all(transaction.connection, pk)
        self._tell(transaction, [Upstream(pk, job.name, job.status) for pk, job in ended])

    def step(self, database: Database) -> int:
        """Tell those that earlier transactions left over; how many were told."""
        self._left_over = False
        told = 0
        while database.read_now(dependencies.any_backlog):
            told += database.write(self._tell_backlog).result(WRITE_TIMEOUT_S)
        return told

    def take_unblocked(self) -> bool:
        """Whether somebody may start who could not at the last call."""
        unblocked, self._unblocked = self._unblocked, False
        return unblocked

    @property
    def is_left_over(self) -> bool:
        """Whether a step has something to do."""
        return self._left_over

    def _tell_backlog(self, transaction: Transaction) -> int:
        upstream = dependencies.backlog(transaction.connection)
        if upstream is None:
            return 0
        dependencies.told(transaction.connection, upstream.pk)
        return self._tell(transaction, [upstream])

    def _tell(self, transaction: Transaction, upstreams: Sequence[Upstream]) -> int:
        waiting = deque(upstreams)
        told = 0
        while waiting:
            upstream = waiting.popleft()
            room = PAGE - told
            page = dependencies.dependents(transaction.connection, upstream.pk, limit=room + 1)
            if len(page) > room:
                dependencies.tell_later(transaction.connection, upstream)
                self._left_over = True
                page = page[:room]
            told += len(page)
            if page:
                waiting.extend(self._resolve(transaction, upstream, page))
        return told

    def _resolve(
        self, transaction: Transaction, upstream: Upstream, page: Sequence[Dependent]
    ) -> list[Upstream]:
        """Let dependents start or end; those that ended."""
        connection = transaction.connection
        conditions = {dependent.pk: dependent.condition for dependent in page}
        held = jobs.hold(connection, conditions)
        met = {pk for pk, condition in conditions.items() if holds(condition, upstream.status)}
        dependencies.close(connection, upstream.pk, met)
        ended: list[Upstream] = []
        for stored in held:
            if stored.pk not in met:
                dependencies.close_all(connection, stored.pk)
                ended += self._end(transaction, stored, upstream)
            elif not dependencies.is_open(connection, stored.pk):
                jobs.unblock(connection, stored)
                self._unblocked = True
        return ended

    def _end(
        self, transaction: Transaction, stored: jobs.Stored, upstream: Upstream
    ) -> list[Upstream]:
        if stored.job.status.is_terminal:
            return []
        change = lifecycle.unsatisfiable(
            stored.job, upstream=upstream.name, status=upstream.status, now=self._clock.now()
        )
        job = jobs.save(transaction, stored, change).job
        # It is told here, with the others.
        transaction.ended.clear()
        return [Upstream(stored.pk, job.name, job.status)]


def violations(submission: Submission) -> list[Violation]:
    """What is wrong with the names of dependencies, whatever the store holds."""
    project = submission.project
    own = job_name(project, submission.job_id) if submission.job_id else ""
    found: list[Violation] = []
    seen: set[str] = set()
    for index, dependency in enumerate(submission.spec.depends_on):
        field = f"spec.depends_on[{index}].job"
        if dependency.job.startswith("#"):
            found.append(Violation(field, "#ref names an item of a batch, and this is none"))
        elif split_job_name(dependency.job)[0] != project:
            found.append(Violation(field, f"must be a job of the same project, {project!r}"))
        elif dependency.job == own:
            found.append(Violation(field, "a job can't wait for itself"))
        elif dependency.job in seen:
            found.append(Violation(field, "is listed twice"))
        seen.add(dependency.job)
    return found


def awaited(
    connection: Connection, project: str, depends_on: Sequence[Dependency]
) -> list[Awaited]:
    """What a new job waits for; a job that does not exist is refused.

    A job can only wait for one that is there before it, so there are no cycles.
    """
    ids = [split_job_name(dependency.job)[1] for dependency in depends_on]
    upstreams = dependencies.find_upstreams(connection, project, ids)
    found: list[Awaited] = []
    for index, (job_id, dependency) in enumerate(zip(ids, depends_on, strict=True)):
        if job_id not in upstreams:
            raise ReferenceNotFoundError(f"spec.depends_on[{index}].job", dependency.job)
        found.append(Awaited(upstreams[job_id], dependency))
    return found


def wait_of(found: Sequence[Awaited]) -> Wait | None:
    """The wait of a new job; None when every condition holds already."""
    waits = [one for one in found if not one.upstream.status.is_terminal]
    return (
        Wait(WaitReason.DEPENDENCY, waiting_for(len(waits), waits[0].upstream.name))
        if waits
        else None
    )


def waiting_for(number: int, name: str) -> str:
    """The sentence about what a job waits for."""
    more = number - 1
    others = f" and {more} other job{'s' if more > 1 else ''}" if more else ""
    return f"it waits for {name or 'a job that was purged'}{others}"


def bind(transaction: Transaction, stored: jobs.Stored, found: Sequence[Awaited]) -> Job:
    """Have a new job wait for its upstreams, or end at once if it would wait for ever."""
    open_ones: list[tuple[int, Dependency]] = []
    for upstream, dependency in found:
        if not upstream.status.is_terminal:
            open_ones.append((upstream.pk, dependency))
        elif not holds(dependency.condition, upstream.status):
            change = lifecycle.unsatisfiable(
                stored.job,
                upstream=upstream.name,
                status=upstream.status,
                now=stored.job.updated_at,
            )
            return jobs.save(transaction, stored, change).job
    dependencies.wait_for(transaction.connection, stored.pk, open_ones)
    return stored.job
