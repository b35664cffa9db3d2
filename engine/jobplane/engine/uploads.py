"""Uploads: content that callers bring, whole and durable before it is answered or listed."""

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar
from unicodedata import normalize

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock
from jobplane.engine.content.landing import Arrival, Landing
from jobplane.engine.content.port import Content, ContentError, ContentPort
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.domain.errors import (
    BackendUnavailableError,
    InvalidSpecError,
    OffsetPastEndError,
    RateLimitedError,
    UploadStalledError,
    UploadTooLargeError,
    Violation,
)
from jobplane.engine.domain.naming import filename_problem
from jobplane.engine.domain.upload import Uploaded, UploadHeader
from jobplane.engine.scheduler.room import Room
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import artifacts
from jobplane.engine.store.database import Database, Transaction

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
# Flushing what a slow disk has taken in may take long.
FINISH_TIMEOUT_S = 600.0
DEFAULT_MEDIA_TYPE = "application/octet-stream"
# Those that Python knows itself: what a machine adds to them is nobody's contract.
_MEDIA_TYPES = mimetypes.MimeTypes()


class Uploads:
    """Takes in content. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        landing: Landing,
        crossing: Crossing,
        files: ThreadPoolExecutor,
        clock: Clock,
        settings: EngineSettings,
    ) -> None:
        self._database = database
        self._content = content
        self._landing = landing
        self._crossing = crossing
        self._files = files
        self._clock = clock
        self._settings = settings
        self._open = 0

    async def receive(
        self, header: UploadHeader, chunks: AsyncIterator[bytes | memoryview]
    ) -> Uploaded:
        """The durable content; at once, without its chunks, when the project has it."""
        _check(header)
        if header.sha256 and (known := await self._known(header)):
            return known
        received = await self._in_thread(
            lambda: self._landing.received(header.project, header.sha256) if header.sha256 else 0
        )
        if header.asks_received:
            return Uploaded(None, received)
        if header.offset > received:
            raise OffsetPastEndError(header.offset, received)
        room = await self._room(header)
        with self._seat():
            content = await self._take_in(header, chunks, room)
        failpoint.reach("upload_before_row")
        artifact, is_new = await self._shelve(header, content)
        failpoint.reach("upload_before_ack")
        return Uploaded(artifact, content.size_bytes, deduplicated=not is_new)

    async def _known(self, header: UploadHeader) -> Uploaded | None:
        """Content that the project has already; what other projects have is not told."""
        found = await self._crossing.outcome(
            self._database.read(
                lambda connection: artifacts.find_content(connection, header.project, header.sha256)
            ),
            timeout_s=CALL_TIMEOUT_S,
        )
        if found is None:
            return None
        if header.size_bytes and header.size_bytes != found.size_bytes:
            raise _wrong_size(header, found.size_bytes)
        if await self._in_thread(lambda: self._content.touch(header.sha256)) != found.size_bytes:
            # It was lost, and here it comes again.
            return None
        artifact, _ = await self._shelve(header, Content(found.sha256, found.size_bytes))
        return Uploaded(artifact, found.size_bytes, deduplicated=True)

    async def _room(self, header: UploadHeader) -> Room:
        limit = self._settings.max_upload_bytes
        if header.size_bytes > limit:
            raise UploadTooLargeError("header.size_bytes", header.size_bytes, limit)
        room = await self._crossing.outcome(
            self._database.read(lambda connection: Room.of(connection, header.project)),
            timeout_s=CALL_TIMEOUT_S,
        )
        room.check(header.size_bytes)
        return room

    async def _take_in(
        self, header: UploadHeader, chunks: AsyncIterator[bytes | memoryview], room: Room
    ) -> Content:
        """Write the chunks, and make what they come to durable if it is what was declared."""
        arrival = await self._in_thread(lambda: self._opened(header))
        keep = bool(header.sha256)
        writing: Future[None] | None = None
        try:
            total = header.offset
            async for data in self._in_time(chunks, arrival):
                total += len(data)
                _check_total(header, total, self._settings.max_upload_bytes)
                room.check(total)
                if writing is not None:
                    await self._done(writing)
                writing = self._files.submit(arrival.write, data)
            if writing is not None:
                await self._done(writing)
            content = await self._in_thread(arrival.finish, timeout_s=FINISH_TIMEOUT_S)
            keep = keep and content.size_bytes < header.size_bytes
            _check_whole(header, content)
            await self._in_thread(
                lambda: self._content.adopt(arrival.path, content), timeout_s=FINISH_TIMEOUT_S
            )
        except InvalidSpecError:
            keep = keep and arrival.received < header.size_bytes
            raise
        else:
            return content
        finally:
            # A thread may be writing yet when the caller goes away.
            self._close_after(writing, arrival, keep=keep)

    def _close_after(self, writing: "Future[None] | None", arrival: Arrival, *, keep: bool) -> None:
        if writing is None or writing.done():
            arrival.close(keep=keep)
        else:
            writing.add_done_callback(lambda _: arrival.close(keep=keep))

    def _opened(self, header: UploadHeader) -> Arrival:
        if self._landing.held_bytes() > self._settings.max_landing_bytes:
            raise RateLimitedError
        arrival = self._landing.open(header.project, header.sha256)
        if header.offset and arrival.is_loose:
            arrival.close(keep=False)
            raise OffsetPastEndError(header.offset, 0)
        arrival.go_on(header.offset)
        return arrival

    async def _in_time(
        self, chunks: AsyncIterator[bytes | memoryview], arrival: Arrival
    ) -> AsyncIterator[bytes | memoryview]:
        """Chunks, while the sender is not silent for too long."""
        while True:
            try:
                async with asyncio.timeout(self._settings.upload_idle_s):
                    data = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise UploadStalledError(arrival.received) from None
            yield data

    async def _shelve(self, header: UploadHeader, content: Content) -> tuple[Artifact, bool]:
        """The upload's row, and whether it is new; one that is there lives longer."""
        now = self._clock.now()
        artifact = Artifact(
            project=header.project,
            artifact_id=content.sha256,
            type=ArtifactType.INPUT,
            media_type=header.media_type or _media_type(header.filename),
            size_bytes=content.size_bytes,
            sha256=content.sha256,
            created_at=now,
            filename=normalize("NFC", header.filename),
            expires_at=self._expires_at(now),
            labels=header.labels,
        )

        def write(transaction: Transaction) -> tuple[Artifact, bool]:
            connection = transaction.connection
            found = artifacts.find_upload(connection, header.project, content.sha256)
            if found is not None:
                return artifacts.prolong(connection, found, artifact.expires_at), False
            Room.held(connection, header.project).check(content.size_bytes)
            artifacts.shelve(connection, artifact)
            return artifact, True

        return await self._crossing.outcome(self._database.write(write), timeout_s=CALL_TIMEOUT_S)

    def _expires_at(self, now: datetime) -> datetime | None:
        kept_s = self._settings.upload_retention_s
        return now + timedelta(seconds=kept_s) if kept_s else None

    @contextmanager
    def _seat(self) -> Generator[None]:
        if self._open >= self._settings.max_uploads:
            raise RateLimitedError
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def _in_thread(
        self, operation: Callable[[], T], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> T:
        return await self._done(self._files.submit(operation), timeout_s=timeout_s)

    async def _done(self, future: "Future[T]", *, timeout_s: float = CALL_TIMEOUT_S) -> T:
        try:
            return await self._crossing.outcome(future, timeout_s=timeout_s)
        except ContentError as error:
            raise BackendUnavailableError(str(error)) from error


def _check(header: UploadHeader) -> None:
    violations: list[Violation] = []
    if problem := filename_problem(header.filename):
        violations.append(Violation("header.filename", problem))
    if not header.sha256 and (header.offset or header.asks_received):
        field = "header.offset" if header.offset else "header.asks_received"
        violations.append(Violation(field, "needs sha256, by which an upload is found again"))
    if not header.sha256 and not header.size_bytes:
        message = "declare sha256 or size_bytes, or a cut can't be told from the end"
        violations.append(Violation("header.sha256", message))
    if header.size_bytes and header.offset > header.size_bytes:
        violations.append(Violation("header.offset", "is behind the end at size_bytes"))
    if violations:
        raise InvalidSpecError(violations)


def _check_total(header: UploadHeader, total: int, limit: int) -> None:
    """Refuse as soon as too much has come."""
    if header.size_bytes and total > header.size_bytes:
        message = f"declares {header.size_bytes} bytes, but more came"
        raise InvalidSpecError([Violation("header.size_bytes", message)])
    if total > limit:
        raise UploadTooLargeError("chunk", total, limit)


def _check_whole(header: UploadHeader, content: Content) -> None:
    if header.size_bytes and content.size_bytes != header.size_bytes:
        raise _wrong_size(header, content.size_bytes)
    if header.sha256 and content.sha256 != header.sha256:
        message = f"the {content.size_bytes} bytes that came have the digest {content.sha256}"
        raise InvalidSpecError([Violation("header.sha256", message)])


def _wrong_size(header: UploadHeader, size: int) -> InvalidSpecError:
    message = f"declares {header.size_bytes} bytes, but the content has {size}"
    return InvalidSpecError([Violation("header.size_bytes", message)])


def _media_type(filename: str) -> str:
    return _MEDIA_TYPES.guess_type(filename)[0] or DEFAULT_MEDIA_TYPE
