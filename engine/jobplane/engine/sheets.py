"""Sheets: pages of rows of the tables among the artifacts."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jobplane.engine.content.port import ContentError, ContentPort
from jobplane.engine.content.tables.shape import PageRequest, TableError
from jobplane.engine.content.tables.wire import Answer, Ask
from jobplane.engine.content.tables.workers import Workers, WorkersBusyError
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.artifact import Artifact, ArtifactType, Column, TableShape
from jobplane.engine.domain.errors import (
    ArtifactMissingError,
    BackendUnavailableError,
    InvalidSpecError,
    OffsetPastEndError,
    Violation,
)

DEFAULT_ROWS = 100
MAX_ROWS = 2000
MAX_PAGE_BYTES = 3 * 1024 * 1024
PAGE_TIMEOUT_S = 60.0
INDEX_TIMEOUT_S = 900.0
# Processes that nobody needed for so long are ended.
IDLE_S = 60.0
_MEDIA_TYPES = frozenset(
    {
        "text/csv",
        "text/tab-separated-values",
        "application/csv",
        "application/vnd.apache.parquet",
        "application/x-parquet",
        "application/parquet",
    }
)
_SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class TablePage:
    """Some rows of a table, each a serialized google.protobuf.ListValue."""

    shape: TableShape
    offset: int
    rows: Sequence[bytes]


class Sheets:
    """Reads tables, in processes of their own. Made by `engine.house.House`."""

    def __init__(
        self,
        *,
        content: ContentPort,
        crossing: Crossing,
        folder: Path,
        workers: Workers,
        slots: int,
    ) -> None:
        self._content = content
        self._crossing = crossing
        self._folder = folder
        self._workers = workers
        self._threads = ThreadPoolExecutor(2 * slots, thread_name_prefix="tables")
        # Pages go on while an index is built.
        self._builders = asyncio.Semaphore(max(slots - 1, 1))
        self._building: dict[str, asyncio.Task[Answer]] = {}

    async def page(
        self, artifact: Artifact, *, offset: int, limit: int, columns: Sequence[str]
    ) -> TablePage:
        """Rows from an offset: as many as were asked for, as there are, and as fit."""
        if not 0 <= limit <= MAX_ROWS:
            message = f"must be at most {MAX_ROWS}, and not negative"
            raise InvalidSpecError([Violation("limit", message)])
        if not is_table(artifact):
            message = f"is no table: its media type is {artifact.media_type}"
            raise InvalidSpecError([Violation("name", message)])
        request = PageRequest(
            path="",
            offset=offset,
            limit=limit or DEFAULT_ROWS,
            columns=tuple(columns),
            max_bytes=MAX_PAGE_BYTES,
        )
        answer, rows = await self._asked(artifact, request)
        if answer.needs_index:
            await self._indexed(artifact)
            answer, rows = await self._asked(artifact, request)
        if offset > answer.row_count:
            raise OffsetPastEndError(offset, answer.row_count)
        return TablePage(_shape(answer, columns), offset, rows)

    async def shape(self, artifact: Artifact) -> TableShape | None:
        """Rows and columns of the whole table; None when it can't be read as one."""
        try:
            return _shape(await self._indexed(artifact), ())
        except InvalidSpecError:
            return None

    def forget(self, sha256: str) -> None:
        """Drop what was kept of content that is gone."""
        self._index_path(sha256).unlink(missing_ok=True)

    def rest(self) -> None:
        """End the processes that nobody needed for a while."""
        self._workers.rest(idle_s=IDLE_S)

    def close(self) -> None:
        """Read no more tables."""
        self._workers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _indexed(self, artifact: Artifact) -> Answer:
        """The shape, with an index built if there is none; once for all who wait for it."""
        sha256 = artifact.sha256
        if sha256 not in self._building:
            task = asyncio.create_task(self._build(artifact))
            self._building[sha256] = task
            task.add_done_callback(lambda _: self._building.pop(sha256, None))
        # Whoever goes away leaves the others, and the index, what was done so far.
        return await asyncio.shield(self._building[sha256])

    async def _build(self, artifact: Artifact) -> Answer:
        async with self._builders:
            answer, _ = await self._asked(artifact, None)
        return answer

    async def _asked(
        self, artifact: Artifact, page: PageRequest | None
    ) -> tuple[Answer, list[bytes]]:
        timeout_s = PAGE_TIMEOUT_S if page else INDEX_TIMEOUT_S
        future = self._threads.submit(self._ask, artifact, page, timeout_s)
        try:
            answer, rows = await self._crossing.outcome(future, timeout_s=2 * timeout_s)
        except (WorkersBusyError, ContentError) as error:
            raise BackendUnavailableError(str(error)) from None
        except TableError as error:
            raise _unreadable(str(error)) from None
        if answer.error and answer.field:
            raise InvalidSpecError([Violation(answer.field, answer.error)])
        if answer.error:
            raise _unreadable(answer.error)
        return answer, rows

    def _ask(
        self, artifact: Artifact, page: PageRequest | None, timeout_s: float
    ) -> tuple[Answer, list[bytes]]:
        path = self._content.path_of(artifact.sha256)
        if not path.is_file():
            raise ArtifactMissingError(artifact.name)
        if page is not None:
            page = PageRequest(str(path), page.offset, page.limit, page.columns, page.max_bytes)
        ask = Ask(str(path), str(self._index_path(artifact.sha256)), page)
        return self._workers.ask(ask, timeout_s=timeout_s)

    def _index_path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.json"


def is_table(artifact: Artifact) -> bool:
    """Whether an artifact says of itself that it is a table."""
    return (
        artifact.type is ArtifactType.TABLE
        or artifact.media_type.partition(";")[0].strip().lower() in _MEDIA_TYPES
        or artifact.filename.lower().endswith(_SUFFIXES)
        or artifact.artifact_id.lower().endswith(_SUFFIXES)
    )


def _unreadable(problem: str) -> InvalidSpecError:
    return InvalidSpecError([Violation("name", f"can't be read as a table: {problem}")])


def _shape(answer: Answer, wanted: Sequence[str]) -> TableShape:
    columns = answer.columns
    if wanted:
        types = dict(reversed(columns))
        columns = tuple((name, types[name]) for name in wanted)
    return TableShape(answer.row_count, tuple(Column(*column) for column in columns))
