"""The process that reads tables: what is hostile in one ends here, and not the server.

It reads requests from its input and answers each on its output: four bytes of length and
JSON, then, for a page, the encoded rows. It ends with its input.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from jobplane.engine.content.tables import csv_index, csv_pages
from jobplane.engine.content.tables.parquet_pages import ParquetTable
from jobplane.engine.content.tables.shape import (
    FORMAT_VERSION,
    CsvIndex,
    PageError,
    TableError,
)
from jobplane.engine.content.tables.wire import LENGTH, Answer, Ask

_MAGIC = b"PAR1"
_HELD_TABLES = 8


_encode = msgspec.json.Encoder().encode
_decode_ask = msgspec.json.Decoder(Ask).decode
_decode_index = msgspec.json.Decoder(CsvIndex).decode


class Tables:
    """Tables that were read of late."""

    def __init__(self) -> None:
        self._indexes: dict[str, CsvIndex] = {}
        self._parquets: dict[str, ParquetTable] = {}

    def answer(self, ask: Ask) -> tuple[Answer, list[bytes]]:
        """The table's shape, with the rows of a page."""
        try:
            if _is_parquet(ask.path):
                table = self._parquet(ask.path)
                rows = table.page(ask.page) if ask.page else []
                return _told(table.row_count, tuple(table.columns), rows), rows
            index = self._index(ask)
            if index is None:
                return Answer(needs_index=True), []
            rows = csv_pages.page(ask.page, index) if ask.page else []
            return _told(index.row_count, index.columns, rows), rows
        except PageError as error:
            return Answer(error=str(error), field=error.field), []
        except TableError as error:
            return Answer(error=str(error)), []
        except MemoryError:
            return Answer(error="it takes more memory than a table may"), []

    def _parquet(self, path: str) -> ParquetTable:
        if path not in self._parquets:
            _make_room(self._parquets)
            self._parquets[path] = ParquetTable(path)
        return self._parquets[path]

    def _index(self, ask: Ask) -> CsvIndex | None:
        """The index; None when there is none and a page is waiting."""
        if ask.path not in self._indexes:
            index = _kept(ask)
            if index is None:
                if ask.page is not None:
                    return None
                index = csv_index.build(Path(ask.path))
                _keep(Path(ask.index_path), index)
            _make_room(self._indexes)
            self._indexes[ask.path] = index
        return self._indexes[ask.path]


def _make_room(held: dict[str, Any]) -> None:
    if len(held) >= _HELD_TABLES:
        del held[next(iter(held))]


def _told(row_count: int, columns: tuple[tuple[str, str], ...], rows: list[bytes]) -> Answer:
    return Answer(row_count, columns, tuple(map(len, rows)))


def _is_parquet(path: str) -> bool:
    with Path(path).open("rb") as source:
        return source.read(len(_MAGIC)) == _MAGIC


def _kept(ask: Ask) -> CsvIndex | None:
    """The index that was kept, unless it is another version's or another content's."""
    try:
        index = _decode_index(Path(ask.index_path).read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    size = Path(ask.path).stat().st_size
    return index if (index.version, index.size_bytes) == (FORMAT_VERSION, size) else None


def _keep(path: Path, index: CsvIndex) -> None:
    """Write the index so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as target:
        target.write(_encode(index))
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Answer until the input ends."""
    tables = Tables()
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        ask = _decode_ask(source.read(LENGTH.unpack(head)[0]))
        try:
            answer, rows = tables.answer(ask)
        except OSError as error:
            answer, rows = Answer(error=error.strerror or "it can't be read"), []
        body = _encode(answer)
        target.write(b"".join((LENGTH.pack(len(body)), body, *rows)))
        target.flush()


def main() -> None:
    """Serve on the standard streams, with no more memory than is said on the command line."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A library that prints must not do so into an answer.
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    main()
