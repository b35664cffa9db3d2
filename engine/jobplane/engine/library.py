"""The library: immutable content that goes in by upload or by a job, and how it is read."""

from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from jobplane.engine.catalogue import Catalogue
from jobplane.engine.clock import Clock
from jobplane.engine.content.landing import Landing
from jobplane.engine.content.port import ContentError, ContentPort, ContentReader
from jobplane.engine.content.reading import Chunk, ContentDamagedError, Reading
from jobplane.engine.content.tables.workers import Workers
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.artifact import Artifact, artifact_name
from jobplane.engine.domain.errors import (
    ArtifactCorruptError,
    ArtifactMissingError,
    ArtifactNotFoundError,
    BackendUnavailableError,
    ContentChangedError,
    OffsetPastEndError,
    ResultNotReadyError,
)
from jobplane.engine.domain.upload import Uploaded, UploadHeader
from jobplane.engine.query.evaluate import evaluate_artifact
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.page import Page, page_limit
from jobplane.engine.query.schema import ARTIFACT_FIELDS
from jobplane.engine.query.token import PageTokens
from jobplane.engine.settings import EngineSettings
from jobplane.engine.sheets import Sheets, TablePage
from jobplane.engine.store import artifacts, jobs
from jobplane.engine.store.database import Database, Read
from jobplane.engine.uploads import Uploads

T = TypeVar("T")
CALL_TIMEOUT_S = 30.0
ARTIFACT_PAGE = 100
INLINE_BYTES = 64 * 1024
# A filter that little passes ends its page after so many rows; the next page goes on.
SCAN_ROWS = 5_000
# Complete reads that were held to their digest, so that a repeat need not be.
VERIFIED_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class ArtifactQuery:
    """One request for a page of a job's artifacts, or, without a job, of uploads."""

    project: str
    job_id: str = ""
    filter: str = ""
    page_size: int = 0
    page_token: str = ""

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token of this query is bound to; the page size may change."""
        return ("artifacts", self.project, self.job_id, self.filter)


class Library:
    """Lists, reads and takes in artifacts. Made and started by `engine.house.House`."""

    def __init__(
        self,
        *,
        database: Database,
        content: ContentPort,
        tokens: PageTokens,
        crossing: Crossing,
        files: ThreadPoolExecutor,
        uploads: Uploads,
        sheets: Sheets,
        datasets: Catalogue,
    ) -> None:
        self._database = database
        self._content = content
        self._tokens = tokens
        self._crossing = crossing
        self._files = files
        self._uploads = uploads
        self._sheets = sheets
        self.datasets = datasets
        self._verified: dict[str, str] = {}

    async def list_artifacts(self, query: ArtifactQuery) -> Page[Artifact]:
        """A page of a job's artifacts by id, or of uploads, newest first."""
        limit = page_limit(query.page_size, default=ARTIFACT_PAGE)
        expression = parse_filter(query.filter, ARTIFACT_FIELDS)
        token = query.page_token
        after = self._tokens.decode(token, query.bound)[0] if token else None

        def read(connection: Connection) -> artifacts.Slice:
            if query.job_id:
                jobs.get(connection, query.project, query.job_id)
            return artifacts.page(
                connection,
                project=query.project,
                job_id=query.job_id,
                after=after,
                limit=limit,
                scan=SCAN_ROWS,
                keeps=lambda artifact: evaluate_artifact(expression, artifact),
            )

        found = await self._read(read)
        key = found.next_key
        return Page(found.items, self._tokens.encode((key,), query.bound) if key else "")

    async def get_artifact(self, project: str, job_id: str, artifact_id: str) -> Artifact:
        """One artifact of a job, or, without a job, uploaded content by its SHA-256."""
        return await self._read(lambda connection: _get(connection, project, job_id, artifact_id))

    async def inline(self, artifact: Artifact) -> bytes:
        """The whole content where it is small, else nothing."""
        if artifact.size_bytes > INLINE_BYTES:
            return b""
        parts = self.read_artifact(artifact, offset=0, limit=0, encode=lambda chunk: chunk.data)
        return b"".join([part async for part in parts])

    async def read_artifact(
        self,
        artifact: Artifact,
        *,
        offset: int,
        limit: int,
        encode: Callable[[Chunk], T],
        expected_sha256: str = "",
    ) -> AsyncIterator[T]:
        """Chunks of the content from an offset, encoded off the event loop.

        The content is held to its digest the first time that it is read whole.
        """
        if expected_sha256 and expected_sha256 != artifact.sha256:
            raise ContentChangedError(artifact.name, artifact.sha256)
        if offset > artifact.size_bytes:
            raise OffsetPastEndError(offset, artifact.size_bytes)
        source = await self._in_thread(lambda: self._opened(artifact))
        is_verified = self._verified.get(artifact.sha256) == source.identity
        chunks = Reading(source, files=self._files).chunks(
            offset=offset,
            limit=limit,
            sha256="" if is_verified else artifact.sha256,
            encode=encode,
        )
        try:
            async for chunk in chunks:
                yield chunk
        except ContentError as error:
            raise BackendUnavailableError(str(error)) from error
        except ContentDamagedError:
            self._verified.pop(artifact.sha256, None)
            raise ArtifactCorruptError(artifact.name) from None
        if offset == 0 and not limit:
            self._note_verified(artifact.sha256, source.identity)

    async def upload(
        self, header: UploadHeader, chunks: AsyncIterator[bytes | memoryview]
    ) -> Uploaded:
        """Durable content from what a caller sends."""
        return await self._uploads.receive(header, chunks)

    async def read_table(
        self, artifact: Artifact, *, offset: int, limit: int, columns: Sequence[str]
    ) -> TablePage:
        """Rows of a table from an offset."""
        return await self._sheets.page(artifact, offset=offset, limit=limit, columns=columns)

    def rest(self) -> None:
        """Let go of what nobody needed for a while."""
        self._sheets.rest()

    def forget(self, sha256: str) -> None:
        """Drop what was made of content that is gone."""
        self._sheets.forget(sha256)

    def close(self) -> None:
        """Read no more; what is being read is cut."""
        self._sheets.close()
        self._files.shutdown(cancel_futures=True)

    def _opened(self, artifact: Artifact) -> ContentReader:
        try:
            source = self._content.open(artifact.sha256)
        except FileNotFoundError:
            raise ArtifactMissingError(artifact.name) from None
        except ContentError as error:
            raise BackendUnavailableError(str(error)) from error
        except OSError as error:
            raise ArtifactCorruptError(artifact.name) from error
        if source.size != artifact.size_bytes:
            source.close()
            raise ArtifactCorruptError(artifact.name)
        return source

    def _note_verified(self, sha256: str, identity: str) -> None:
        if len(self._verified) >= VERIFIED_LIMIT:
            self._verified.clear()
        self._verified[sha256] = identity

    async def _in_thread(self, operation: Callable[[], T]) -> T:
        return await self._crossing.outcome(self._files.submit(operation), timeout_s=CALL_TIMEOUT_S)

    async def _read(self, operation: Read[T]) -> T:
        return await self._crossing.outcome(
            self._database.read(operation), timeout_s=CALL_TIMEOUT_S
        )


def open_library(
    settings: EngineSettings,
    *,
    database: Database,
    content: ContentPort,
    landing: Landing,
    tokens: PageTokens,
    clock: Clock,
    crossing: Crossing,
) -> Library:
    """A library with everything that it stands on besides the store and the content."""
    files = ThreadPoolExecutor(settings.file_threads, thread_name_prefix="content")
    sheets = Sheets(
        content=content,
        crossing=crossing,
        folder=settings.data_dir / "content" / "indexes",
        workers=Workers(limit=settings.table_readers, memory_bytes=settings.table_memory_bytes),
        slots=settings.table_readers,
    )
    return Library(
        database=database,
        content=content,
        tokens=tokens,
        crossing=crossing,
        files=files,
        uploads=Uploads(
            database=database,
            content=content,
            landing=landing,
            crossing=crossing,
            files=files,
            clock=clock,
            settings=settings,
        ),
        sheets=sheets,
        datasets=Catalogue(
            database=database, sheets=sheets, tokens=tokens, crossing=crossing, clock=clock
        ),
    )


def _get(connection: Connection, project: str, job_id: str, artifact_id: str) -> Artifact:
    if not job_id:
        found = artifacts.find_content(connection, project, artifact_id)
        if found is None:
            raise ArtifactNotFoundError(artifact_name(project, "", artifact_id))
        return found
    job = jobs.get(connection, project, job_id).job
    found = artifacts.find(connection, project, job_id, artifact_id)
    if found is None and not job.status.is_terminal:
        raise ResultNotReadyError(job.name, job.status)
    if found is None:
        raise ArtifactNotFoundError(artifact_name(project, job_id, artifact_id))
    return found
