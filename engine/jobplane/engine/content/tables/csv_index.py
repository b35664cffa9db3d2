"""The index of a CSV: one pass over the file, after which any page is a short read."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from jobplane.engine.content.tables.boundaries import Boundaries
from jobplane.engine.content.tables.shape import (
    FORMAT_VERSION,
    MAX_CELL_BYTES,
    MAX_COLUMNS,
    CsvIndex,
    TableError,
)

STRIDE = 256
DELIMITERS = ",;\t|"
_HEAD_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_FOREIGN = (b"\xff\xfe", b"\xfe\xff", b"PAR1", b"PK\x03\x04", b"\x1f\x8b")
# Types are those of so many rows from the start and of as many spread over the rest.
_SAMPLED_ROWS = 1000
_SAMPLED_PLACES = 50
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?inf(?:inity)?|nan",
    re.IGNORECASE,
)
_BOOL = frozenset({"true", "false", "True", "False"})
_INT64 = 2**63
_INT64_DIGITS = 20


def build(path: Path) -> CsvIndex:
    """The index of a file; TableError when it is no CSV."""
    csv.field_size_limit(MAX_CELL_BYTES)
    with path.open("rb") as source:
        size = source.seek(0, io.SEEK_END)
        source.seek(0)
        delimiter, newline, start = _dialect(source)
        boundaries = Boundaries(delimiter=delimiter, newline=newline)
        offsets: list[int] = []
        count = 0
        header: list[str] | None = None
        source.seek(start)
        for block, at, begins, ends in boundaries.records(source, start):
            if header is None:
                first = block[int(begins[0]) : int(ends[0])]
                header = _header(cells_of(first, delimiter))
                rows = begins[1:]
            else:
                rows = begins
            # The next row that an offset is kept of.
            skip = -count % STRIDE
            offsets += (rows[skip::STRIDE] + at).tolist()
            count += len(rows)
        names = header or []
        types = _types(source, names, offsets, boundaries, delimiter)
    return CsvIndex(
        version=FORMAT_VERSION,
        delimiter=delimiter,
        newline=newline.decode(),
        row_count=count,
        columns=tuple(zip(names, types, strict=True)),
        stride=STRIDE,
        offsets=tuple(offsets),
        size_bytes=size,
    )


def cells_of(record: bytes, delimiter: str) -> list[str]:
    """The cells of one record without its line end."""
    text = record.removesuffix(b"\r").decode("utf-8", "replace")
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter))
    except (csv.Error, StopIteration):
        return _split(text, delimiter)


def _split(text: str, delimiter: str) -> list[str]:
    """The same for what the standard library refuses: a lone line end, a cell too large."""
    cells: list[str] = []
    cell: list[str] = []
    is_quoted = is_closed = False
    for character in text:
        if is_quoted:
            if character == '"':
                is_quoted, is_closed = False, True
            else:
                cell.append(character)
        elif character == '"' and (is_closed or not cell):
            if is_closed:
                cell.append('"')
            is_quoted, is_closed = True, False
        elif character == delimiter:
            cells.append("".join(cell))
            cell, is_closed = [], False
        else:
            cell.append(character)
            is_closed = False
    return [*cells, "".join(cell)]


def _dialect(source: BinaryIO) -> tuple[str, bytes, int]:
    """Delimiter, line end and offset of the header."""
    head = source.read(_HEAD_BYTES)
    if head.startswith(_FOREIGN) or b"\0" in head.split(b"\n", 1)[0]:
        raise TableError("the content is binary, and no Parquet")
    start = len(_BOM) if head.startswith(_BOM) else 0
    newline = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
    line = re.sub(rb'"[^"]*"', b"", head[start:].lstrip(b"\r\n")).split(newline, 1)[0]
    counts = {delimiter: line.count(delimiter.encode()) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter]), newline, start


def _header(cells: Sequence[str]) -> list[str]:
    """Names of the columns, made unique."""
    if len(cells) > MAX_COLUMNS:
        raise TableError(f"it has {len(cells)} columns; at most {MAX_COLUMNS} are read")
    names: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(cells, start=1):
        base = cell or f"column_{number}"
        name, copy = base, 0
        while name in taken:
            copy += 1
            name = f"{base}.{copy}"
        taken.add(name)
        names.append(name)
    return names


def _types(
    source: BinaryIO,
    names: Sequence[str],
    offsets: Sequence[int],
    boundaries: Boundaries,
    delimiter: str,
) -> list[str]:
    columns: list[list[str]] = [[] for _ in names]
    spread = max(len(offsets) // _SAMPLED_PLACES, 1)
    places = [*offsets[: _SAMPLED_ROWS // STRIDE + 1], *offsets[::spread]]
    for offset in dict.fromkeys(places):
        for record in rows_from(source, offset, boundaries, STRIDE):
            for values, cell in zip(columns, cells_of(record, delimiter), strict=False):
                if cell:
                    values.append(cell)
    return [_type(values) for values in columns]


def rows_from(source: BinaryIO, offset: int, boundaries: Boundaries, count: int) -> Iterable[bytes]:
    """At most so many records from an offset on."""
    source.seek(offset)
    for block, _, begins, ends in boundaries.records(source, offset):
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            if not count:
                return
            count -= 1
            yield block[begin:end]


def _type(values: Sequence[str]) -> str:
    """The Arrow type that all the values have."""
    if not values:
        return "null"
    if all(map(_is_int64, values)):
        return "int64"
    if all(map(_NUMBER.fullmatch, values)) and not any(map(_is_wide, values)):
        return "double"
    return "bool" if _BOOL.issuperset(values) else "string"


def _is_int64(value: str) -> bool:
    if len(value) > _INT64_DIGITS or not _INT.fullmatch(value):
        return False
    return -_INT64 <= int(value) < _INT64


def _is_wide(value: str) -> bool:
    """Whether it is a whole number that is too large, such as an id of 30 digits."""
    return bool(_INT.fullmatch(value)) and not _is_int64(value)
