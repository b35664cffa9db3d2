"""Statements over queues. A queue that nobody touched is OPEN."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, func, select, text

from jobplane.engine.store import loads
from jobplane.engine.store.codec import from_us, to_us
from jobplane.engine.store.statement import Statement
from jobplane.engine.store.tables import jobs, queues


class QueueState(StrEnum):
    """What a queue does with jobs."""

    OPEN = "OPEN"
    # Takes jobs, starts none.
    CORDONED = "CORDONED"
    # Takes no jobs, starts those that it has.
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and what is in it."""

    name: str
    state: QueueState
    queued: int = 0
    active: int = 0
    oldest_since: datetime | None = None


_STATE = Statement(select(queues.c.state).where(queues.c.name == bindparam("name")))
_NOT_OPEN = Statement(
    select(queues.c.name).where(queues.c.state == bindparam("state")).order_by(queues.c.name)
)
_SET = Statement(
    text(
        "INSERT INTO queues (name, state, reason, updater, updated_us)"
        " VALUES (:name, :state, :reason, :updater, :updated_us)"
        " ON CONFLICT (name) DO UPDATE SET state = excluded.state, reason = excluded.reason,"
        " updater = excluded.updater, updated_us = excluded.updated_us"
    )
)
_OLDEST = Statement(
    select(func.min(jobs.c.created_us)).where(
        jobs.c.queue == bindparam("queue"), text("status = 'QUEUED'")
    )
)


def state_of(connection: Connection, name: str) -> QueueState:
    """What the queue does with jobs."""
    state = _STATE.run(connection, {"name": name}).scalar()
    return QueueState.OPEN if state is None else QueueState(state)


def cordoned(connection: Connection) -> Collection[str]:
    """Names of the queues that start no job."""
    return frozenset(_NOT_OPEN.run(connection, {"state": QueueState.CORDONED.value}).scalars())


def set_state(
    connection: Connection,
    name: str,
    state: QueueState,
    *,
    reason: str,
    updater: str,
    now: datetime,
) -> None:
    """Make the queue do so from now on."""
    row = {
        "name": name,
        "state": state.value,
        "reason": reason,
        "updater": updater,
        "updated_us": to_us(now),
    }
    _SET.run(connection, row)


def get(connection: Connection, name: str) -> Queue:
    """One queue."""
    return _queue(connection, name, state_of(connection, name), loads.of_queues(connection))


def page(connection: Connection, *, after: str, limit: int) -> list[Queue]:
    """Queues by name: those that have or had jobs, and those whose state was set."""
    by_name = loads.of_queues(connection)
    states = {row.name: QueueState(row.state) for row in connection.execute(select(queues))}
    names = sorted(name for name in {*by_name, *states} if name > after)[:limit]
    return [_queue(connection, name, states.get(name, QueueState.OPEN), by_name) for name in names]


def _queue(
    connection: Connection, name: str, state: QueueState, by_name: dict[str, loads.Load]
) -> Queue:
    load = by_name.get(name, loads.Load(0, 0))
    oldest_us = _OLDEST.run(connection, {"queue": name}).scalar() if load.queued else None
    return Queue(
        name, state, load.queued, load.active, None if oldest_us is None else from_us(oldest_us)
    )
