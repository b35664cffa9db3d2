"""The board: what changed lately, kept once for all watches of sets of jobs.

The feed puts up what it read, and each watch takes what is newer than its cursor. A watch
that is further behind than the board reaches reads the table: its cursor is its queue.
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jobplane.engine.domain.change import Change
from jobplane.engine.domain.job import Job, job_name
from jobplane.engine.query.page import size_of

# What the board holds at most, over all projects.
MAX_ITEMS = 20_000
MAX_BYTES = 32 * 1024 * 1024
# Jobs as they were before a commit that the feed has not read yet.
MAX_EARLIER = 20_000
# How long the feed waits for a commit that it has seen to be told.
NOTE_PATIENCE_S = 0.05


@dataclass(frozen=True, slots=True)
class Item:
    """A job that changed, once for all its changes in a stretch of the feed."""

    project: str
    job_id: str
    first_revision: int
    revision: int
    # As it is after them; None when it was deleted.
    job: Job | None
    # As it was before them; None when it did not exist, or nobody knows.
    before: Job | None = None
    is_before_known: bool = False

    @property
    def name(self) -> str:
        """Resource name of the job."""
        return job_name(self.project, self.job_id)


class Waiter:
    """One watch's place at the board. Used only in the event loop."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Have the watch look again."""
        self._wake.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait for news, but no longer than this."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


class Board:
    """Items of the projects that are watched, oldest first."""

    def __init__(self, *, max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._noted = threading.Condition(self._lock)
        self._waiters: dict[str, set[Waiter]] = {}
        self._items: dict[str, deque[Item]] = {}
        # By project, the revision up to which items may be missing.
        self._missing: dict[str, int] = {}
        self._order: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._earlier: OrderedDict[tuple[str, str, int], tuple[int, Job | None]] = OrderedDict()
        self._noted_revision = 0
        self.position = 0
        self.is_draining = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake watches in this event loop from now on."""
        self._loop = loop

    @property
    def watchers(self) -> int:
        """How many watches there are."""
        with self._lock:
            return sum(map(len, self._waiters.values()))

    @contextmanager
    def subscribed(self, project: str) -> Generator[Waiter]:
        """Take a place; to be done before the first read of the table."""
        waiter = Waiter()
        with self._lock:
            self._waiters.setdefault(project, set()).add(waiter)
            self._missing.setdefault(project, self.position)
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters[project].discard(waiter)
                if not self._waiters[project]:
                    del self._waiters[project], self._missing[project]
                    # What is left in the order is skipped when its turn comes.
                    self._items.pop(project, None)

    def note(self, changes: Sequence[Change]) -> None:
        """Remember how jobs were before a commit; from the writer, right after it."""
        if not self._waiters:
            return
        with self._noted:
            for change in changes:
                self._note(change)
            while len(self._earlier) > MAX_EARLIER:
                self._earlier.popitem(last=False)
            self._noted.notify_all()

    def _note(self, change: Change) -> None:
        if not change.events or change.job.project not in self._waiters:
            return
        job, revision = change.job, change.events[-1].revision
        sequence = change.before.sequence if change.before else 0
        self._earlier[job.project, job.job_id, sequence] = (revision, change.before)
        self._noted_revision = max(self._noted_revision, revision)

    def await_note(self, revision: int) -> None:
        """Wait a moment for a commit that the feed has read to be noted."""
        with self._noted:
            self._noted.wait_for(lambda: self._noted_revision >= revision, NOTE_PATIENCE_S)

    def before(self, project: str, job_id: str, sequence: int) -> tuple[Job | None, bool]:
        """A job as it was at a sequence, and whether that is known."""
        if sequence == 0:
            return None, True
        with self._lock:
            found = self._earlier.get((project, job_id, sequence))
        return (None, False) if found is None else (found[1], True)

    def put_up(self, items: Sequence[Item], position: int) -> None:
        """Show what was read of the feed, up to a position; from any thread."""
        with self._lock:
            for item in items:
                self._put(item)
            self._trim()
            self.position = position
            while self._earlier and next(iter(self._earlier.values()))[0] <= position:
                self._earlier.popitem(last=False)
            projects = {item.project for item in items}
        self._wake(projects)

    def _put(self, item: Item) -> None:
        if item.project not in self._waiters:
            return
        size = size_of(item.job) if item.job else 0
        self._items.setdefault(item.project, deque()).append(item)
        self._order.append((item.project, size))
        self._bytes += size

    def _trim(self) -> None:
        while len(self._order) > self._max_items or self._bytes > self._max_bytes:
            project, size = self._order.popleft()
            self._bytes -= size
            items = self._items.get(project)
            if items:
                self._missing[project] = items.popleft().revision

    def skip_to(self, position: int) -> bool:
        """Move on without reading; False when somebody watches, and is told to read the table."""
        with self._lock:
            self.position = max(self.position, position)
            self._items.clear()
            self._order.clear()
            self._bytes = 0
            self._earlier.clear()
            for project in self._missing:
                self._missing[project] = self.position
            projects = set(self._waiters)
        self._wake(projects)
        return not projects

    def take(self, project: str, cursor: int) -> tuple[list[Item], int] | None:
        """Items after a cursor and the position they reach; None when the table must be read."""
        with self._lock:
            if cursor < self._missing.get(project, 0):
                return None
            found: list[Item] = []
            for item in reversed(self._items.get(project, ())):
                if item.revision <= cursor:
                    break
                found.append(item)
            return found[::-1], max(self.position, cursor)

    def drain(self) -> None:
        """Have every watch end; in the event loop."""
        self.is_draining = True
        with self._lock:
            projects = set(self._waiters)
        self._wake_now(projects)

    def _wake(self, projects: set[str]) -> None:
        loop = self._loop
        if projects and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake_now, projects)

    def _wake_now(self, projects: set[str]) -> None:
        with self._lock:
            waiters = [one for project in projects for one in self._waiters.get(project, ())]
        for waiter in waiters:
            waiter.wake()
