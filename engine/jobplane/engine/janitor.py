"""The janitor: ends what was kept long enough, and collects content that nobody needs."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.content.landing import Landing
from jobplane.engine.content.port import ContentPort, Found
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import content as holders
from jobplane.engine.store import purge
from jobplane.engine.store.database import Database, Transaction

log = logging.getLogger(__name__)
PAGE = 100
SWEEP_PAGE = 500
WRITE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Collected:
    """What a sweep found."""

    examined: int = 0
    # Content that nobody needs, and that was left alone for the grace.
    unneeded: int = 0
    unneeded_bytes: int = 0
    removed: int = 0


class Sweep:
    """Walks over all content, and removes what nobody needs.

    Content is removed once two looks, a grace apart, found it unneeded and untouched: what
    is being uploaded, or referred to by a transaction that is not over, is touched or needed
    within that time.
    """

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        grace: timedelta,
        forget: Callable[[str], None],
    ) -> None:
        self._database = database
        self._content = content
        self._grace = grace
        self._forget = forget
        self._unneeded_since: dict[str, datetime] = {}
        # One look at a time: each goes by what the one before it saw.
        self._looking = threading.Lock()

    def run(
        self,
        *,
        now: datetime,
        is_alone: bool = False,
        dry_run: bool = False,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Collected:
        """One look at everything. Without a server beside it, one look is enough."""
        with self._looking:
            return self._look(now, is_alone=is_alone, dry_run=dry_run, is_stopped=is_stopped)

    def _look(
        self, now: datetime, *, is_alone: bool, dry_run: bool, is_stopped: Callable[[], bool]
    ) -> Collected:
        total = Collected()
        seen: dict[str, datetime] = {}
        for page in _pages(self._content.walk(), SWEEP_PAGE):
            if is_stopped():
                return total
            found = self._unneeded(page, now, seen)
            due = [one for one in found if is_alone or self._is_due(one, now)]
            removed = 0 if dry_run else self._remove(due)
            total = Collected(
                total.examined + len(page),
                total.unneeded + len(due),
                total.unneeded_bytes + sum(one.size_bytes for one in due),
                total.removed + removed,
            )
        self._unneeded_since = seen
        return total

    def _unneeded(self, page: list[Found], now: datetime, seen: dict[str, datetime]) -> list[Found]:
        """What nobody needs, and nobody touched for the grace."""
        digests = [one.sha256 for one in page]
        needed = self._database.read_now(lambda connection: holders.needed(connection, digests))
        found = [
            one for one in page if one.sha256 not in needed and one.touched_at <= now - self._grace
        ]
        for one in found:
            seen[one.sha256] = self._unneeded_since.get(one.sha256, now)
        return found

    def _is_due(self, one: Found, now: datetime) -> bool:
        since = self._unneeded_since.get(one.sha256)
        return since is not None and since <= now - self._grace

    def _remove(self, due: Iterable[Found]) -> int:
        removed = 0
        for one in due:
            failpoint.reach("sweep_before_remove")
            if self._content.remove(one):
                self._forget(one.sha256)
                removed += 1
        return removed


class Janitor:
    """One step ends what is over, a page at a time, so that writers get their turn."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        landing: Landing,
        clock: Clock,
        settings: EngineSettings,
        on_purge: Callable[[str, str], None],
        forget: Callable[[str], None],
        rest: Callable[[], None],
    ) -> None:
        self._database = database
        self._landing = landing
        self._clock = clock
        self._settings = settings
        self._on_purge = on_purge
        self._rest = rest
        self._stopping = threading.Event()
        self._swept_at: datetime | None = None
        self._sweep = Sweep(
            database=database,
            content=content,
            grace=timedelta(seconds=settings.gc_grace_s),
            forget=forget,
        )

    def step(self) -> None:
        """End what is over; sweep when it is time."""
        self._rest()
        now = self._clock.now()
        purged = self.expire(now)
        kept = timedelta(seconds=self._settings.landing_keep_s)
        self._landing.sweep(before=now - kept)
        every = timedelta(seconds=self._settings.sweep_interval_s)
        if self._swept_at is None or now - self._swept_at >= every:
            self._swept_at = now
            self.sweep(now)
        if purged:
            log.info("janitor.purged", extra={"jobs": purged})

    def expire(self, now: datetime) -> int:
        """Purge jobs and uploads whose time is over; how many jobs."""
        purged = 0
        while not self._stopping.is_set():
            names = self._database.read_now(
                lambda connection: purge.expired_jobs(connection, now=now, limit=PAGE)
            )
            gone = [name for name in names if self._purge(name, now)]
            for name in gone:
                self._on_purge(*name)
            purged += len(gone)
            # A job that can't be purged now is met again at the next step.
            if len(gone) < PAGE:
                break
        while not self._stopping.is_set():
            seen = self._database.write(
                lambda transaction: purge.uploads(transaction.connection, now=now, limit=PAGE)
            ).result(WRITE_TIMEOUT_S)
            if seen < PAGE:
                break
        return purged

    def sweep(self, now: datetime) -> Collected:
        """Collect content that nobody needs."""
        collected = self._sweep.run(now=now, is_stopped=self._stopping.is_set)
        if collected.removed:
            fields = {"removed": collected.removed, "bytes": collected.unneeded_bytes}
            log.info("janitor.swept", extra=fields)
        return collected

    def stop(self) -> None:
        """Leave the rest for another time."""
        self._stopping.set()

    def _purge(self, name: purge.Name, now: datetime) -> bool:
        # A transaction each: a job with a long history must not hold up the others' writes.
        def write(transaction: Transaction) -> bool:
            stored = purge.still_expired(transaction, name, now=now)
            if stored is None:
                return False
            purge.job(transaction, stored, now=now)
            failpoint.reach("purge_before_commit")
            return True

        return self._database.write(write).result(WRITE_TIMEOUT_S)


def collect(
    *,
    database: Database,
    content: ContentPort,
    grace: timedelta,
    now: datetime,
    dry_run: bool,
) -> Collected:
    """Collect content that nobody needs, while no server works on it; a dry run only counts."""
    sweep = Sweep(database=database, content=content, grace=grace, forget=lambda _: None)
    return sweep.run(now=now, is_alone=True, dry_run=dry_run)


def _pages(items: Iterator[Found], size: int) -> Iterator[list[Found]]:
    while page := list(islice(items, size)):
        yield page
