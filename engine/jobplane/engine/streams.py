"""Streams over more than one job's events: sets of jobs, and logs."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.job import Job
from jobplane.engine.query.expression import Expression
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.token import Key, PageTokens
from jobplane.engine.store import events, listing
from jobplane.engine.store.database import Database, Read
from jobplane.engine.store.events import Stretch
from jobplane.engine.watch.board import Board
from jobplane.engine.watch.jobs_stream import LIST_ORDER, JobsStream, SetInterest, SetSource
from jobplane.engine.watch.set_cursor import SetCursors
from jobplane.engine.watch.set_frame import SetFrame

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0


class Streams:
    """Follows sets of jobs. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        board: Board,
        clock: Clock,
        tokens: PageTokens,
        crossing: Crossing,
        max_age_s: Callable[[], float],
    ) -> None:
        self._database = database
        self._board = board
        self._clock = clock
        self._tokens = tokens
        self._crossing = crossing
        self._max_age_s = max_age_s

    def watch_jobs(
        self,
        project: str,
        *,
        filter: str,  # noqa: A002  the contract's word
        cursor: str,
        heartbeat_s: float,
        until_all_finished: bool,
    ) -> AsyncIterator[SetFrame]:
        """Frames of all jobs that match: the list first, then changes, until an end."""
        expression = parse_filter(filter)
        interest = SetInterest(project, expression, cursor, heartbeat_s, until_all_finished)
        stream = JobsStream(
            board=self._board,
            source=self._source(project, expression),
            cursors=SetCursors(self._tokens, ("watch", project, filter)),
            clock=self._clock,
            interest=interest,
            max_age_s=self._max_age_s(),
        )
        return stream.frames()

    def _source(self, project: str, expression: Expression) -> SetSource:
        async def page(after: Key | None, limit: int) -> Sequence[Job]:
            return await self._read(
                lambda connection: listing.page(
                    connection,
                    project=project,
                    expression=expression,
                    order=LIST_ORDER,
                    after=after,
                    limit=limit,
                )
            )

        async def stretch(after: int, limit: int) -> Stretch:
            return await self._read(
                lambda connection: events.stretch(
                    connection, after=after, limit=limit, project=project
                )
            )

        def unfinished(connection: Connection) -> tuple[bool, int]:
            events.hold_still(connection)
            position = events.latest_revision(connection)
            found = listing.any_unfinished(connection, project=project, expression=expression)
            return found, position

        return SetSource(
            latest=lambda: self._read(events.latest_revision),
            page=page,
            stretch=stretch,
            unfinished=lambda: self._read(unfinished),
        )

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )
