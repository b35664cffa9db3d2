"""Streams over more than one job's events: sets of jobs, and logs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine.clock import Clock
from jobplane.engine.content.port import ContentPort, ContentReader
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.errors import ArtifactMissingError
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.log_line import LogFrame
from jobplane.engine.logbook import Fence, LogBook, log_artifact_id
from jobplane.engine.query.expression import Expression
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.token import Key, PageTokens
from jobplane.engine.store import artifacts, events, jobs, listing
from jobplane.engine.store.database import Database, Read
from jobplane.engine.store.events import Stretch
from jobplane.engine.watch.board import Board
from jobplane.engine.watch.hub import Hub
from jobplane.engine.watch.jobs_stream import LIST_ORDER, JobsStream, SetInterest, SetSource
from jobplane.engine.watch.log_file import LogFile, LogPage
from jobplane.engine.watch.logs import LogInterest, LogSource, LogStream
from jobplane.engine.watch.set_cursor import SetCursors
from jobplane.engine.watch.set_frame import SetFrame

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0


class Streams:
    """Follows sets of jobs, and logs. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        board: Board,
        hub: Hub,
        line_hub: Hub,
        logs: LogBook,
        content: ContentPort,
        clock: Clock,
        tokens: PageTokens,
        crossing: Crossing,
        max_age_s: Callable[[], float],
    ) -> None:
        self._database = database
        self._board = board
        self._hub = hub
        self._line_hub = line_hub
        self._logs = logs
        self._content = content
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

    def tail_logs(
        self,
        project: str,
        job_id: str,
        *,
        attempt: int,
        after_line: int,
        tail_lines: int,
        follow: bool,
    ) -> AsyncIterator[LogFrame]:
        """Lines of a job's log; with `follow` until the last one there will be."""
        stream = LogStream(
            hub=self._hub,
            line_hub=self._line_hub,
            source=self._log_source(project, job_id),
            interest=LogInterest(attempt, after_line, tail_lines, follow),
        )
        return stream.frames((project, job_id))

    def _log_source(self, project: str, job_id: str) -> LogSource:
        async def read_job() -> Job:
            stored = await self._read(lambda connection: jobs.get(connection, project, job_id))
            return stored.job

        async def page(attempt: int, offset: int | None, after_line: int) -> LogPage:
            return await self._in_log(
                (project, job_id, attempt),
                lambda log: log.page(offset=offset, after_line=after_line),
                LogPage((), offset),
            )

        async def last_line(attempt: int) -> int:
            return await self._in_log((project, job_id, attempt), LogFile.last_line, 0)

        return LogSource(
            read_job=read_job,
            read_page=page,
            last_line=last_line,
            is_live=lambda attempt: self._logs.is_live((project, job_id, attempt)),
        )

    async def _in_log(self, fence: Fence, read: Callable[[LogFile], T], absent: T) -> T:
        """What is read in a log, while it is a file and once it is an artifact."""

        def run(connection: Connection) -> T:
            source = self._open_log(connection, fence)
            if source is None:
                return absent
            try:
                return read(LogFile(source))
            finally:
                source.close()

        return await self._read(run)

    def _open_log(self, connection: Connection, fence: Fence) -> ContentReader | None:
        # The file first: it goes only after the artifact is there.
        with suppress(FileNotFoundError):
            return self._logs.open_file(fence)
        project, job_id, attempt = fence
        artifact = artifacts.find(connection, project, job_id, log_artifact_id(attempt))
        if artifact is None:
            return None
        try:
            return self._content.open(artifact.sha256)
        except FileNotFoundError:
            raise ArtifactMissingError(artifact.name) from None

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
