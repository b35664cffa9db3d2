"""The ticker: one step fires what is due, a page at a time, so that others get their turn."""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.schedule import Schedule, split_schedule_name
from jobplane.engine.schedules.firing import Firing
from jobplane.engine.schedules.timetable import started
from jobplane.engine.store import schedules
from jobplane.engine.store.database import Database, Transaction
from jobplane.engine.store.schedules import Place

log = logging.getLogger(__name__)
PAGE = 100
MAX_PAGES = 10
WRITE_TIMEOUT_S = 30.0
# Clocks of servers differ a little; one that is further back was turned back.
CLOCK_SLACK = timedelta(seconds=60)
# Ends of jobs are followed; those that another server saw are looked for so often.
FREED_INTERVAL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do at a moment, a page of each."""

    ahead: list[Schedule]
    freed: list[Schedule]
    due: list[Schedule]


class Ticker:
    """Fires schedules. What it leaves undone, the next step or another server finds."""

    def __init__(self, *, database: Database, firing: Firing, clock: Clock) -> None:
        self._database = database
        self._firing = firing
        self._clock = clock
        self._ended: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._freed_at: datetime | None = None

    def follow(self, changes: Iterable[Change]) -> bool:
        """Note the schedules whose jobs ended; whether there are any."""
        ended = {
            split_schedule_name(change.job.schedule)
            for change in changes
            if change.job.schedule and change.job.status.is_terminal
        }
        with self._lock:
            self._ended |= ended
        return bool(ended)

    def step(self) -> bool:
        """Decide about every schedule that is due, up to a bound; whether there is more."""
        more = self._look_at_ended()
        work = self._look()
        if work.ahead:
            self._turn_back(work.ahead)
            return True
        moved = self._decide(work.freed) and len(work.freed) == PAGE
        page = work.due
        for _ in range(MAX_PAGES):
            if not page:
                return more or moved
            moved |= self._decide(page)
            # A schedule that is still due after its fire has moved behind this place.
            place = Place.of(page[-1])
            page = self._due(place)
        return more or moved

    def _look(self) -> _Work:
        now = self._clock.now()
        freed_at = self._freed_at
        looks_for_freed = freed_at is None or abs(now - freed_at) >= FREED_INTERVAL

        def read(connection: Connection) -> _Work:
            return _Work(
                ahead=schedules.ahead(connection, after=now + CLOCK_SLACK, limit=PAGE),
                freed=schedules.freed(connection, limit=PAGE) if looks_for_freed else [],
                due=schedules.due(connection, now=now, after=Place(), limit=PAGE),
            )

        work = self._database.read_now(read)
        if looks_for_freed and len(work.freed) < PAGE:
            self._freed_at = now
        return work

    def _due(self, place: Place) -> list[Schedule]:
        now = self._clock.now()
        return self._database.read_now(
            lambda connection: schedules.due(connection, now=now, after=place, limit=PAGE)
        )

    def _look_at_ended(self) -> bool:
        """A job that ended may be one failure too many, or let a fire that waits go."""
        with self._lock:
            names = [self._ended.pop() for _ in range(min(len(self._ended), PAGE))]
            more = bool(self._ended)
        if names:
            found = self._database.read_now(
                lambda connection: [schedules.find(connection, *name) for name in names]
            )
            self._decide([one for one in found if one is not None and _minds_ends(one)])
        return more

    def _decide(self, page: list[Schedule]) -> bool:
        """Decide about each in a transaction of its own; whether any could be decided."""
        decided = False
        orders = [(schedule, self._order(schedule)) for schedule in page]
        for schedule, order in orders:
            try:
                decided |= order.result(WRITE_TIMEOUT_S) is not None
            except EngineError as error:
                # It stays due, so the next step tries again.
                fields = {"schedule": schedule.name, "reason": error.reason}
                log.warning("schedule.not_decided", extra=fields | {"detail": error.message})
            except Exception:
                # The defect of one schedule must not hold up the others.
                log.exception("schedule.not_decided", extra={"schedule": schedule.name})
        return decided

    def _order(self, schedule: Schedule) -> "Future[Schedule | None]":
        try:
            ready = self._firing.prepare(schedule)
        except Exception as error:  # noqa: BLE001  told with the defects of the others
            failed: Future[Schedule | None] = Future()
            failed.set_exception(error)
            return failed
        return self._database.write(
            lambda transaction: self._firing.decide(transaction, ready, now=self._clock.now())
        )

    def _turn_back(self, page: list[Schedule]) -> None:
        """Plan anew what was planned by a clock that was ahead, else it would stay silent."""
        limit = self._clock.now() + CLOCK_SLACK
        for order in [self._replan(schedule, limit) for schedule in page]:
            order.result(WRITE_TIMEOUT_S)
        log.warning("schedule.clock_turned_back", extra={"schedules": len(page)})

    def _replan(self, schedule: Schedule, limit: datetime) -> "Future[None]":
        def write(transaction: Transaction) -> None:
            connection = transaction.connection
            held = schedules.find_to_change(connection, schedule.project, schedule.schedule_id)
            if held is not None and held.decided_at > limit:
                schedules.save(connection, started(held, now=self._clock.now()))

        return self._database.write(write)


def _minds_ends(schedule: Schedule) -> bool:
    return schedule.waiting_at is not None or schedule.plan.pause_after_failures > 0
