"""Tables of artifacts, row by row and as data frames."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from jobplane.client import errors
from jobplane.v1 import artifact_service_pb2

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    import pandas as pd
    from google.protobuf import struct_pb2

    from jobplane.v1 import artifact_pb2

    Column = artifact_pb2.TableInfo.Column

Row = dict[str, Any]

# Most that the contract gives at once; a page of bytes may end it sooner.
PAGE_ROWS = 2000
INSTALL = "pip install 'jobplane[pandas]'"
# Those that ReadTable takes, so that both ways of reading see the same columns.
DELIMITERS = ",;\t|"
_PARQUET = b"PAR1"
_TABLES = frozenset(
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


class TableRead:
    """One read of a table's rows, page after page."""

    def __init__(
        self,
        name: str,
        *,
        offset: int = 0,
        limit: int | None = None,
        columns: Sequence[str] = (),
    ) -> None:
        self.complete = limit == 0
        self._name = name
        self._offset = offset
        self._left = limit
        self._columns = tuple(columns)

    def request(self) -> artifact_service_pb2.ReadTableRequest:
        """Request for the next page."""
        limit = PAGE_ROWS if self._left is None else min(self._left, PAGE_ROWS)
        return artifact_service_pb2.ReadTableRequest(
            name=self._name, offset=self._offset, limit=limit, columns=self._columns
        )

    def take(self, page: artifact_service_pb2.ReadTableResponse) -> list[Row]:
        """Rows of a page, each by its columns."""
        rows = [_row(page.table.columns, cells.values) for cells in page.rows]
        self._offset = page.offset + len(rows)
        if self._left is not None:
            self._left -= len(rows)
        self.complete = not rows or self._left == 0 or self._offset >= page.table.row_count
        return rows


def _row(columns: Iterable[Column], cells: Iterable[struct_pb2.Value]) -> Row:
    return {
        column.name: _cell(column.type, cell) for column, cell in zip(columns, cells, strict=True)
    }


def _cell(column_type: str, cell: struct_pb2.Value) -> Any:
    """Give a value of Python; JSON has one type for all numbers, the column says which it is."""
    if cell.WhichOneof("kind") != "number_value":
        return json_format.MessageToDict(cell)
    return int(cell.number_value) if "int" in column_type else cell.number_value


def check_table(artifact: str, media_type: str) -> None:
    """Refuse what is no table before any of it is read."""
    if media_type.partition(";")[0] in _TABLES or artifact.lower().endswith(_SUFFIXES):
        return
    raise errors.InvalidArgument(
        errors.Refusal(
            code="INVALID_ARGUMENT",
            reason="NOT_A_TABLE",
            message=f"{artifact} is {media_type or 'of unknown type'}; only CSV and Parquet "
            "make a data frame",
            resource=artifact,
            hint="read it with read() or text()",
        )
    )


def frame_of_content(content: bytes, columns: Sequence[str] | None) -> pd.DataFrame:
    """Data frame of a CSV or Parquet file, with all columns or with these in this order."""
    chosen = None if columns is None else list(columns)
    with _install_line():
        import pandas as pd  # noqa: PLC0415  most clients make no frame
    if content.startswith(_PARQUET):
        with _install_line():
            return pd.read_parquet(io.BytesIO(content), columns=chosen)
    head = content.partition(b"\n")[0].decode(errors="replace")
    delimiter = max(DELIMITERS, key=head.count)
    frame = pd.read_csv(io.BytesIO(content), sep=delimiter, usecols=chosen)
    return frame if chosen is None else frame[chosen]


def frame_of_records(records: Iterable[Row]) -> pd.DataFrame:
    """Data frame with one row for each record."""
    with _install_line():
        import pandas as pd  # noqa: PLC0415  most clients make no frame
    return pd.DataFrame(list(records))


@contextmanager
def _install_line() -> Generator[None]:
    """Say how to install what a data frame needs and is not there."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"a data frame needs pandas, and pyarrow for Parquet ({error}); "
            f"install them with: {INSTALL}",
            name=error.name,
        ) from error
