"""Pages of a CSV by its index."""

import csv
from itertools import islice
from pathlib import Path

from jobplane.engine.content.tables.boundaries import Boundaries
from jobplane.engine.content.tables.cells import CSV_CELLS, NULL, row_of
from jobplane.engine.content.tables.csv_index import cells_of, rows_from
from jobplane.engine.content.tables.shape import (
    MAX_CELL_BYTES,
    CsvIndex,
    PageError,
    PageRequest,
    picked,
)

_BLOCK_BYTES = 128 * 1024


def page(request: PageRequest, index: CsvIndex) -> list[bytes]:
    """Encoded rows, as many as were asked for, as there are, and as fit."""
    csv.field_size_limit(MAX_CELL_BYTES)
    places = picked([name for name, _ in index.columns], request.columns)
    encoders = [CSV_CELLS[index.columns[place][1]] for place in places]
    if request.offset >= index.row_count:
        return []
    delimiter = index.delimiter
    boundaries = Boundaries(
        delimiter=delimiter, newline=index.newline.encode(), block_bytes=_BLOCK_BYTES
    )
    nearest, skipped = divmod(request.offset, index.stride)
    rows: list[bytes] = []
    used = 0
    with Path(request.path).open("rb") as source:
        records = rows_from(source, index.offsets[nearest], boundaries, skipped + request.limit)
        for record in islice(records, skipped, None):
            cells = cells_of(record, delimiter)
            width = len(cells)
            row = row_of(
                [
                    encode(cells[place]) if place < width else NULL
                    for place, encode in zip(places, encoders, strict=True)
                ]
            )
            used += len(row)
            if used > request.max_bytes:
                break
            rows.append(row)
    if not rows:
        raise too_large(request.offset, used)
    return rows


def too_large(row: int, size: int) -> PageError:
    """What is said of a row that fits into no page."""
    return PageError(
        "columns", f"row {row} takes {size} bytes; ask for fewer columns, or read the bytes"
    )
