"""Pages of a Parquet file by its row groups."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from jobplane.engine.content.tables.cells import any_cell, row_of
from jobplane.engine.content.tables.csv_pages import too_large
from jobplane.engine.content.tables.shape import PageRequest, TableError, picked

# Arrow is imported by the process that reads, never by the server.
# pyright: basic

# A group that takes more is streamed, not held for the next page.
_HELD_BYTES = 128 * 1024 * 1024
_HELD_GROUPS = 2
_BATCH_ROWS = 8192
_TEXT_TYPES = ("timestamp", "time32", "time64", "duration", "date64")

_groups: OrderedDict[tuple[Any, ...], Any] = OrderedDict()


class ParquetTable:
    """One open Parquet file."""

    def __init__(self, path: str) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415  ships no types; only where a Parquet file is read
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415  the same

        self._path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise TableError(f"it is no readable Parquet: {_first_line(error)}") from error
        self._unreadable = (pa.ArrowException, OSError, ValueError)
        self.schema = self._file.schema_arrow
        self.row_count: int = self._file.metadata.num_rows
        groups = range(self._file.metadata.num_row_groups)
        sizes = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._starts = [0, *accumulate(sizes)]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Name and Arrow type of each column."""
        return [(field.name, str(field.type)) for field in self.schema]

    def page(self, request: PageRequest) -> list[bytes]:
        """Encoded rows, as many as were asked for, as there are, and as fit."""
        places = picked([name for name, _ in self.columns], request.columns)
        rows: list[bytes] = []
        used = 0
        try:
            for row in self._rows(places, request.offset, request.limit):
                used += len(row)
                if used > request.max_bytes:
                    break
                rows.append(row)
        except self._unreadable as error:
            raise TableError(f"its rows can't be read: {_first_line(error)}") from error
        if not rows and request.offset < self.row_count:
            raise too_large(request.offset, used)
        return rows

    def _rows(self, places: list[int], offset: int, limit: int) -> Iterator[bytes]:
        end = min(offset + limit, self.row_count)
        while offset < end:
            group = bisect_right(self._starts, offset) - 1
            start, after = self._starts[group], self._starts[group + 1]
            stop = min(end, after)
            for batch in self._batches(group, places, offset - start, stop - start):
                columns = [_cells(batch.column(number)) for number in range(batch.num_columns)]
                yield from map(row_of, zip(*columns, strict=True))
            offset = stop

    def _batches(self, group: int, places: list[int], first: int, stop: int) -> Iterator[Any]:
        """Batches of some rows of a group, columns in order."""
        if self._file.metadata.row_group(group).total_byte_size <= _HELD_BYTES:
            yield self._held(group, tuple(places)).slice(first, stop - first)
            return
        names = [self.schema.field(place).name for place in places]
        seen = 0
        for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
            if seen + batch.num_rows > first:
                yield batch.select(names).slice(max(first - seen, 0), stop - max(first, seen))
            seen += batch.num_rows
            if seen >= stop:
                return

    def _held(self, group: int, places: tuple[int, ...]) -> Any:
        key = (self._path, group, places)
        if key not in _groups:
            names = [self.schema.field(place).name for place in places]
            table = self._file.read_row_group(group, columns=list(dict.fromkeys(names)))
            _groups[key] = table.select(names)
            while len(_groups) > _HELD_GROUPS:
                _groups.popitem(last=False)
        _groups.move_to_end(key)
        return _groups[key]


def _cells(column: Any) -> list[bytes]:
    kind = str(column.type)
    if kind.startswith(_TEXT_TYPES):
        # As text to the nanosecond, which no time of Python's holds.
        import pyarrow as pa  # noqa: PLC0415  as above

        if kind.startswith("duration"):
            column = column.cast(pa.int64())
        else:
            column = column.cast(pa.string())
    return [any_cell(value) for value in column.to_pylist()]


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
