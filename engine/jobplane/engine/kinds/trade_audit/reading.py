"""Reading: from the bytes of a journal to columns of text, with the line of each row."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.base import WorkError
from jobplane.engine.kinds.trade_audit.arrow import pa, pa_csv, pc, pq
from jobplane.engine.kinds.trade_audit.remarks import INFO, Remarks, quote
from jobplane.engine.kinds.trade_audit.trades import Ints

MAX_CELL_BYTES = 64 * 1024
MAX_ROWS = 20_000_000
BATCH_ROWS = 65_536
# About 64k rows of a usual journal.
_BLOCK_BYTES = 4 << 20
_SAMPLE_LINES = 20
_DELIMITERS = (",", ";", "\t", "|")
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (an .xlsx workbook is one)",
    b"\xd0\xcf\x11\xe0": "an old .xls workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "gzip",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"{\\rtf": "rich text",
    b"SQLi": "an SQLite database",
}
# What a text begins with that is no CSV; some brokers export pages.
_FOREIGN_TEXT = {"<": "a web page or XML", "{": "JSON", "[": "JSON"}
# Lines before the header have no more cells, and the header and rows no fewer.
_PREAMBLE_CELLS, _JOURNAL_CELLS = 2, 4
# One NUL in so many bytes is damage; more is no text.
_NUL_SHARE = 20

SafePoint = Callable[[], None]


@dataclass(frozen=True, slots=True)
class RawJournal:
    """A journal as text: a column per header field, and the line that each row stands on."""

    header: tuple[str, ...]
    columns: tuple[Any, ...]
    lines: Ints
    # Rows that could not even be parted into cells.
    dropped: int
    semicolons: bool


def refuse(reason: str, message: str) -> WorkError:
    """Give the error of a journal that can't be audited."""
    return WorkError(reason, message, category=FailureCategory.INPUT)


def read_journal(
    path: Path, *, max_bytes: int, remarks: Remarks, safe_point: SafePoint
) -> RawJournal:
    """Read a CSV or Parquet file; raise WorkError where it is neither, empty or too large."""
    size = path.stat().st_size
    if not size:
        raise refuse("EMPTY_INPUT", "the journal is empty")
    if size > max_bytes:
        raise refuse(
            "INPUT_TOO_LARGE",
            f"the journal has {size} bytes, more than the {max_bytes} that this server takes",
        )
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] == b"PAR1":
        return _read_parquet(path, safe_point)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise refuse("UNSUPPORTED_FORMAT", f"the journal is {what}; send CSV or Parquet")
    safe_point()
    return _read_csv(_as_utf8(path.read_bytes(), remarks), remarks, safe_point)


def _as_utf8(data: bytes, remarks: Remarks) -> bytes:
    """Give the text of a file as UTF-8 without a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            message = f"the journal is marked as UTF-16, but is not: {error.reason}"
            raise refuse("UNSUPPORTED_FORMAT", message) from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.count(b"\0") > len(data) // _NUL_SHARE:
        raise refuse("UNSUPPORTED_FORMAT", "the journal is no text; send CSV or Parquet")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remarks.add(
            "ENCODING_FALLBACK", "the text is not UTF-8 and was read as Windows-1252", rows=(line,)
        )
        return data.decode("cp1252", errors="replace").encode()
    return data


@dataclass(frozen=True, slots=True)
class _Head:
    """Names of the columns, and how many lines come before the first row."""

    names: tuple[str, ...]
    lines: int
    delimiter: str


def _read_csv(data: bytes, remarks: Remarks, safe_point: SafePoint) -> RawJournal:
    """Read CSV text: at once where every line is one sound row, else line by line."""
    if not data or data.isspace():
        raise refuse("EMPTY_INPUT", "the journal is empty")
    if what := _FOREIGN_TEXT.get(data[:64].decode(errors="replace").lstrip()[:1]):
        raise refuse("UNSUPPORTED_FORMAT", f"the journal is {what}; send CSV or Parquet")
    head = _read_head(data, remarks)
    # The arrow reader is fast, but its row numbers are no line numbers, and it takes NUL.
    journal = None
    if b"\0" not in data and (b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")):
        journal = _read_quickly(data, head, safe_point)
    if journal is None:
        journal = _read_carefully(data.decode(), head, remarks, safe_point)
    if not len(journal.lines) and not journal.dropped:
        raise refuse("NO_ROWS", "the journal has a header and no rows")
    return journal


def _read_head(data: bytes, remarks: Remarks) -> _Head:
    """Find the header line and the delimiter."""
    text = data[: 4 * MAX_CELL_BYTES].decode(errors="replace")
    lines = re.split(r"\r\n|\n|\r", text)[: 4 * _SAMPLE_LINES]
    sample = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    told = re.fullmatch(r"sep=(.)", sample[0][1].strip(), re.IGNORECASE) if sample else None
    sample = sample[bool(told) : _SAMPLE_LINES]
    if not sample:
        raise refuse("NO_ROWS", "the journal has no header and no rows")
    delimiter = told[1] if told else _sniff([line for _, line in sample])
    before = _preamble([line for _, line in sample], delimiter)
    if before:
        above = [number for number, _ in sample[:before]]
        remarks.add("PREAMBLE_SKIPPED", "lines above the header were skipped", rows=above)
    number, line = sample[before]
    names = tuple(name.strip().strip("\ufeff") for name in _cells(line, delimiter))
    return _Head(names, number, delimiter)


def _sniff(sample: Sequence[str]) -> str:
    """Give the delimiter that parts most lines of the sample into as many cells as the header."""

    def fit(delimiter: str) -> tuple[int, int]:
        widths = [len(_cells(line, delimiter)) for line in sample[_preamble(sample, delimiter) :]]
        agreeing = sum(width == widths[0] for width in widths) if widths[0] > 1 else 0
        return agreeing * (widths[0] > 1), widths[0]

    return max(_DELIMITERS, key=fit)


def _preamble(sample: Sequence[str], delimiter: str) -> int:
    """Give how many lines a broker put above the header: titles, the account, the date."""
    widths = [len(_cells(line, delimiter)) for line in sample]
    if widths[0] > _PREAMBLE_CELLS or max(widths) < _JOURNAL_CELLS:
        return 0
    return next(at for at, width in enumerate(widths) if width > _PREAMBLE_CELLS)


def _cells(line: str, delimiter: str) -> list[str]:
    """Part one line."""
    try:
        return next(csv.reader([line], delimiter=delimiter), list[str]())
    except csv.Error:
        return line.split(delimiter)


def _read_quickly(data: bytes, head: _Head, safe_point: SafePoint) -> RawJournal | None:
    """Read sound text at once; None where a line is no row of the header's width."""
    sound = True

    def spoil(row: Any) -> str:
        nonlocal sound
        del row
        sound = False
        return "skip"

    keys = [str(index) for index in range(len(head.names))]
    options = {
        "read_options": pa_csv.ReadOptions(
            column_names=keys, skip_rows=head.lines, block_size=_BLOCK_BYTES
        ),
        "parse_options": pa_csv.ParseOptions(
            delimiter=head.delimiter,
            newlines_in_values=b'"' in data,
            invalid_row_handler=spoil,
        ),
        "convert_options": pa_csv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    }
    batches: list[Any] = []
    try:
        with pa_csv.open_csv(pa.BufferReader(data), **options) as reader:
            for batch in reader:
                batches.append(batch)
                safe_point()
                if not sound:
                    return None
    except pa.ArrowInvalid:
        return None
    rows = sum(batch.num_rows for batch in batches)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if not sound or lines != rows + head.lines:
        return None
    _check_rows(rows)
    table = pa.Table.from_batches(batches) if batches else None
    columns = tuple(table.columns) if table else tuple(pa.array([], pa.string()) for _ in keys)
    if any((pc.max(pc.binary_length(column)).as_py() or 0) > MAX_CELL_BYTES for column in columns):
        return None
    numbers = np.arange(rows, dtype=np.int64) + head.lines + 1
    return RawJournal(head.names, columns, numbers, 0, head.delimiter == ";")


def _read_carefully(text: str, head: _Head, remarks: Remarks, safe_point: SafePoint) -> RawJournal:
    """Read any text, line by line; rows that break the rules are dropped, with their line."""
    width = len(head.names)
    columns: list[list[Any]] = [[] for _ in head.names]
    lines: list[int] = []
    bad: list[int] = []
    blank: list[int] = []
    batch: list[list[str]] = []

    def flush() -> None:
        safe_point()
        _check_rows(len(lines))
        for column, cells in zip(columns, zip(*batch, strict=True), strict=False):
            column.append(pa.array(cells, pa.string()))
        batch.clear()

    for line, cells in _records(text, head):
        if cells is None or len(cells) > width or not all(map(_is_sound, cells)):
            bad.append(line)
        elif not any(cell.strip() for cell in cells):
            blank.append(line)
        else:
            batch.append(cells + [""] * (width - len(cells)))
            lines.append(line)
            if len(batch) == BATCH_ROWS:
                flush()
    flush()
    if bad:
        remarks.add(
            "BAD_ROW",
            f"rows have more than the {width} cells of the header, a NUL, an open quote "
            f"or a cell above {MAX_CELL_BYTES // 1024} KiB, and were dropped",
            rows=bad,
        )
    if blank:
        remarks.add("BLANK_ROWS", "blank lines were skipped", rows=blank, severity=INFO)
    parts = tuple(pa.chunked_array(column, pa.string()) for column in columns)
    journal_lines = np.array(lines, np.int64)
    return RawJournal(head.names, parts, journal_lines, len(bad), head.delimiter == ";")


def _records(text: str, head: _Head) -> Iterator[tuple[int, list[str] | None]]:
    """Yield each record after the header with its first line; None for one that can't be read."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=head.delimiter)
    first = 1
    while True:
        try:
            cells: list[str] | None = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        if first > head.lines:
            # A broken quote swallows lines; each of them is lost.
            for line in range(first, reader.line_num if cells is None else first):
                yield line, None
            yield (reader.line_num if cells is None else first), cells
        first = reader.line_num + 1


def _is_sound(cell: str) -> bool:
    """Tell whether a cell may stay."""
    return "\0" not in cell and (
        len(cell) <= MAX_CELL_BYTES // 4 or len(cell.encode()) <= MAX_CELL_BYTES
    )


def _read_parquet(path: Path, safe_point: SafePoint) -> RawJournal:
    """Read a Parquet file, each column as text."""
    try:
        file = pq.ParquetFile(path)
        _check_rows(file.metadata.num_rows)
        batches: list[Any] = []
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            batches.append(batch)
            safe_point()
        table = pa.Table.from_batches(batches, file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        message = f"the Parquet file can't be read: {quote(first)}"
        raise refuse("UNSUPPORTED_FORMAT", message) from error
    if not table.num_rows:
        raise refuse("NO_ROWS", "the journal has columns and no rows")
    names: list[str] = []
    columns: list[Any] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        try:
            text = pc.fill_null(pc.cast(column, pa.string()), "")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue  # A nested column is nothing that an audit reads.
        names.append(field.name)
        columns.append(text)
    lines = np.arange(table.num_rows, dtype=np.int64) + 1
    return RawJournal(tuple(names), tuple(columns), lines, 0, semicolons=False)


def _check_rows(rows: int) -> None:
    """Refuse more rows than an audit takes."""
    if rows > MAX_ROWS:
        raise refuse(
            "INPUT_TOO_LARGE", f"the journal has more than the {MAX_ROWS} rows that an audit takes"
        )
