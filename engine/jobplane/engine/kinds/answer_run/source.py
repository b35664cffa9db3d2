"""Sources: files as they came, documents as text, and where in a file text stands."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.base import WorkError


@dataclass(frozen=True, slots=True)
class RawFile:
    """Content of one file, and its path below the folder or archive."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Marks:
    """Where each stretch of the extracted text stands: the line, or the page, of the file."""

    unit: str
    offsets: tuple[int, ...]
    numbers: tuple[int, ...]

    def at(self, offset: int) -> int:
        """Line or page that holds the character at `offset`."""
        return self.numbers[max(0, bisect_right(self.offsets, offset) - 1)]


@dataclass(frozen=True, slots=True)
class Document:
    """One readable document: text extracted, with its place in the file kept."""

    doc_id: str
    path: str
    sha256: str
    size_bytes: int
    title: str
    text: str
    marks: Marks
    # Where the body starts, after front matter.
    body: int = 0
    dated: date | None = None
    # Rank of its word against others: a draft or superseded paper yields.
    standing: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """One CSV or Parquet file, to be asked by SQL."""

    doc_id: str
    path: str
    sha256: str
    size_bytes: int
    name: str
    suffix: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Library:
    """All that a run reads."""

    documents: tuple[Document, ...] = ()
    tables: tuple[Table, ...] = ()
    # Tables that were there but not asked, as enable_sql is off.
    unread_tables: tuple[str, ...] = field(default=())


def line_marks(text: str) -> Marks:
    """Marks of a text that is its own file."""
    offsets = [0]
    offsets.extend(index + 1 for index, sign in enumerate(text) if sign == "\n")
    return Marks("line", tuple(offsets), tuple(range(1, len(offsets) + 1)))


def marks_of(unit: str, pairs: Sequence[tuple[int, int]]) -> Marks:
    """Marks from pairs of offset and number, in order of offset."""
    kept = pairs or [(0, 1)]
    return Marks(unit, tuple(pair[0] for pair in kept), tuple(pair[1] for pair in kept))


def bad_input(reason: str, message: str) -> WorkError:
    """Failure for which the input, not the plane, is to blame."""
    return WorkError(reason, message, category=FailureCategory.INPUT)
