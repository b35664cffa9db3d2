"""Planning: what operators and callers ask and say about queues and quotas."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.crossing import Crossing
from jobplane.engine.query.page import Page, page_limit
from jobplane.engine.query.token import PageTokens
from jobplane.engine.scheduler.quota import Quota, change_limits, read_quota
from jobplane.engine.store import queues
from jobplane.engine.store.database import Database, Read, Transaction, Write
from jobplane.engine.store.queues import Queue, QueueState

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
BOUND = ("queues",)


class Planning:
    """Reads and sets what decides about starts. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        tokens: PageTokens,
        crossing: Crossing,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens
        self._crossing = crossing
        self._on_change = on_change

    def now(self) -> datetime:
        """The time by which ages are told."""
        return self._clock.now()

    async def get_quota(self, project: str) -> Quota:
        """Limits and usage of a project."""
        now = self._clock.now()
        return await self._read(lambda connection: read_quota(connection, project, now=now))

    async def update_quota(
        self,
        project: str,
        *,
        limits: Mapping[str, float],
        metrics: frozenset[str] | None,
        etag: str,
    ) -> Quota:
        """Set the named metrics, or, without names, all of them; 0 and absence are no limit."""
        quota = await self._write(
            lambda transaction: change_limits(
                transaction,
                project,
                given=limits,
                metrics=metrics,
                etag=etag,
                now=self._clock.now(),
            )
        )
        self._on_change()
        return quota

    async def list_queues(self, *, page_size: int, page_token: str) -> Page[Queue]:
        """A page of queues, by name."""
        limit = page_limit(page_size)
        after = str(self._tokens.decode(page_token, BOUND)[0]) if page_token else ""

        def read(connection: Connection) -> list[Queue]:
            return queues.page(connection, after=after, limit=limit + 1)

        found = await self._read(read)
        page = tuple(found[:limit])
        more = len(found) > limit
        return Page(page, self._tokens.encode((page[-1].name,), BOUND) if more else "")

    async def set_queue_state(
        self, name: str, state: QueueState, *, reason: str, updater: str
    ) -> Queue:
        """Open, cordon or close a queue."""

        def write(transaction: Transaction) -> Queue:
            connection = transaction.connection
            transaction.loads.flush(connection)
            queues.set_state(
                connection, name, state, reason=reason, updater=updater, now=self._clock.now()
            )
            return queues.get(connection, name)

        queue = await self._write(write)
        self._on_change()
        return queue

    async def _write(self, operation: Write[T]) -> T:
        return await self._crossing.outcome(
            self._database.write(operation), timeout_s=CALL_TIMEOUT_S
        )

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )
