"""The stream of a set of jobs: a list first, then what changes, with an end that is said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from jobplane.engine.clock import Clock
from jobplane.engine.domain.job import Job
from jobplane.engine.query.evaluate import evaluate
from jobplane.engine.query.expression import Expression
from jobplane.engine.query.order import Order
from jobplane.engine.query.possible import may_have_matched
from jobplane.engine.query.token import Key
from jobplane.engine.store.events import Stretch
from jobplane.engine.watch.board import Board, Item, Waiter
from jobplane.engine.watch.feed import items_of
from jobplane.engine.watch.frame import EndReason
from jobplane.engine.watch.set_cursor import Place, SetCursors
from jobplane.engine.watch.set_frame import (
    Beat,
    Changes,
    JobChange,
    Reset,
    SetEnd,
    SetFrame,
    Synced,
)
from jobplane.engine.watch.stream import RETRY_AFTER_S

LIST_PAGE = 200
# Newest first: what comes while the list is told comes as a change.
LIST_ORDER = Order()
# Events that are looked through at once by a watch that is behind.
CATCH_UP = 2_000


@dataclass(frozen=True, slots=True)
class SetInterest:
    """Which jobs a watcher wants to see."""

    project: str
    expression: Expression
    cursor: str = ""
    heartbeat_s: float = 15.0
    until_all_finished: bool = False


@dataclass(frozen=True, slots=True)
class SetSource:
    """Where a stream reads the table."""

    latest: Callable[[], Awaitable[int]]
    page: Callable[[Key | None, int], Awaitable[Sequence[Job]]]
    stretch: Callable[[int, int], Awaitable[Stretch]]
    # Whether a job that matches is not finished, and the position that this is known for.
    unfinished: Callable[[], Awaitable[tuple[bool, int]]]


class JobsStream:
    """One watch of the jobs that match a filter. Its cursor is all that it holds."""

    def __init__(
        self,
        *,
        board: Board,
        source: SetSource,
        cursors: SetCursors,
        clock: Clock,
        interest: SetInterest,
        max_age_s: float,
    ) -> None:
        self._board = board
        self._source = source
        self._cursors = cursors
        self._clock = clock
        self._interest = interest
        self._max_age_s = max_age_s
        # By the loop's clock, in seconds: the wall may be set while somebody listens.
        self._ends_at = self._heard_at = 0.0
        self._place = Place(0, 0)
        # Up to here the watcher may know a later state of a job than the feed tells.
        self._sure_after = 0
        self._may_be_over = interest.until_all_finished

    async def frames(self) -> AsyncIterator[SetFrame]:
        """Frames until the end of the server, of the stream's life, or of all jobs."""
        self._heard_at = _elapsed()
        self._ends_at = self._heard_at + self._max_age_s
        # A place at the board first, the table second: nothing between the two is missed.
        with self._board.subscribed(self._interest.project) as waiter:
            async for frame in self._opening():
                yield frame
            while True:
                async for frame in self._news():
                    yield frame
                if self._board.is_draining:
                    yield SetEnd(self._cursor, EndReason.DRAINING, RETRY_AFTER_S)
                    return
                if self._may_be_over and (position := await self._all_finished()) is not None:
                    async for frame in self._up_to(position):
                        yield frame
                    yield SetEnd(self._cursor, EndReason.FINISHED)
                    return
                if _elapsed() >= self._ends_at:
                    yield SetEnd(self._cursor, EndReason.MAX_AGE, 0.0)
                    return
                if beat := self._heartbeat():
                    yield beat
                await self._rest(waiter)

    async def _opening(self) -> AsyncIterator[SetFrame]:
        """Where the watcher stands: a list, what is left of one, or a sign of life."""
        latest = await self._source.latest()
        now = self._clock.now()
        self._place = Place.of_list(latest, now)
        if self._interest.cursor:
            asked = self._cursors.read(self._interest.cursor)
            if refusal := asked.refusal(latest=latest, now=now):
                yield Reset(self._cursor, refusal)
            else:
                self._place = asked
        if self._place.is_listing:
            async for frame in self._list():
                yield frame
        else:
            self._sure_after = self._place.revision
            if latest <= self._place.revision:
                yield self._beat()

    async def _list(self) -> AsyncIterator[SetFrame]:
        """All jobs that match, a page at a time, then the word that these are all."""
        while not self._board.is_draining:
            page = await self._source.page(self._place.last, LIST_PAGE)
            if page:
                yield self._listed(page)
            if len(page) < LIST_PAGE:
                break
        else:
            return
        self._sure_after = await self._source.latest()
        matching = self._place.listed
        self._move(self._place.revision)
        self._heard_at = _elapsed()
        yield Synced(self._cursor, matching)

    def _listed(self, jobs: Sequence[Job]) -> Changes:
        before = self._place
        places = [
            before.after(LIST_ORDER.key_of(job), listed=before.listed + number)
            for number, job in enumerate(jobs, start=1)
        ]
        self._place = places[-1]
        self._heard_at = _elapsed()
        return Changes(
            self._cursor,
            tuple(JobChange(job.name, job, matches=True) for job in jobs),
            lambda index: self._cursors.write(places[index]),
        )

    async def _news(self) -> AsyncIterator[SetFrame]:
        """What changed since the cursor, in order; a stream that is behind reads the table."""
        while not (self._board.is_draining or self._place.is_listing):
            taken = self._board.take(self._interest.project, self._place.revision)
            if taken is not None:
                if frame := self._changes(*taken):
                    yield frame
                return
            if frame := await self._catch_up():
                yield frame

    async def _up_to(self, position: int) -> AsyncIterator[SetFrame]:
        """What happened until a position, from the table."""
        while self._place.revision < position:
            if frame := await self._catch_up():
                yield frame

    async def _catch_up(self) -> Changes | None:
        stretch = await self._source.stretch(self._place.revision, CATCH_UP)
        frame = self._changes(items_of(stretch), stretch.through)
        # Jobs were read as they are now, which is later than where the stretch ends.
        self._sure_after = max(self._sure_after, stretch.latest)
        return frame

    def _changes(self, items: Sequence[Item], position: int) -> Changes | None:
        """What items mean to this watcher; each job once, as it is after all of them."""
        told: dict[str, tuple[Item, bool]] = {}
        for item in items:
            earlier = told.pop(item.name, None)
            told[item.name] = (item, earlier[1] if earlier else self._did_match(item))
        kept: list[tuple[int, JobChange]] = []
        for item, did_match in told.values():
            matches = item.job is not None and evaluate(self._interest.expression, item.job)
            if matches or did_match:
                kept.append((item.revision, JobChange(item.name, item.job, matches)))
        self._move(position)
        return self._told(kept) if kept else None

    def _did_match(self, item: Item) -> bool:
        """Whether the watcher may hold the job."""
        expression = self._interest.expression
        if item.first_revision > self._sure_after and item.is_before_known:
            return item.before is not None and evaluate(expression, item.before)
        return item.job is None or may_have_matched(expression, item.job)

    def _told(self, kept: Sequence[tuple[int, JobChange]]) -> Changes:
        self._heard_at, now = _elapsed(), self._clock.now()
        changes = tuple(change for _, change in kept)
        if any(change.job is None or change.job.status.is_terminal for change in changes) or not (
            all(change.matches for change in changes)
        ):
            self._may_be_over = self._interest.until_all_finished
        return Changes(
            self._cursor,
            changes,
            lambda index: self._cursors.write(self._place.moved(kept[index][0], now)),
        )

    async def _all_finished(self) -> int | None:
        """The position at which every job that matches is finished; None if one is not."""
        self._may_be_over = False
        unfinished, position = await self._source.unfinished()
        return None if unfinished else position

    def _move(self, revision: int) -> None:
        self._place = self._place.moved(revision, self._clock.now())

    @property
    def _cursor(self) -> str:
        return self._cursors.write(self._place)

    def _heartbeat(self) -> Beat | None:
        is_silent = _elapsed() >= self._heard_at + self._interest.heartbeat_s
        return self._beat() if is_silent else None

    def _beat(self) -> Beat:
        self._heard_at = _elapsed()
        return Beat(self._cursor, self._clock.now())

    async def _rest(self, waiter: Waiter) -> None:
        """Wait for news, until the next heartbeat or the end of the stream."""
        beat_at = self._heard_at + self._interest.heartbeat_s
        await waiter.wait(max(min(beat_at, self._ends_at) - _elapsed(), 0.0))


def _elapsed() -> float:
    """Seconds that only ever grow."""
    return asyncio.get_running_loop().time()
