"""What is known of a table before its rows are read."""

import msgspec

FORMAT_VERSION = 1
# A cell or a header that is longer is no table's.
MAX_CELL_BYTES = 1024 * 1024
MAX_COLUMNS = 10_000


class TableError(Exception):
    """The content can't be read as a table; the text says why."""


class PageError(Exception):
    """A page can't be had: `field` of the request is to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class CsvIndex(msgspec.Struct, frozen=True):
    """Where the rows of a CSV begin, and what its columns hold."""

    version: int
    delimiter: str
    newline: str
    row_count: int
    # Name and Arrow type.
    columns: tuple[tuple[str, str], ...]
    # A row starts at each offset, and `stride` rows before the next.
    stride: int
    offsets: tuple[int, ...]
    size_bytes: int


class PageRequest(msgspec.Struct, frozen=True):
    """Some rows of a table."""

    path: str
    offset: int
    limit: int
    columns: tuple[str, ...]
    max_bytes: int


def picked(names: list[str], wanted: tuple[str, ...]) -> list[int]:
    """Places of the wanted columns; all of them when none is named."""
    if not wanted:
        return list(range(len(names)))
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    for number, name in enumerate(wanted):
        if name not in places:
            known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")  # noqa: PLR2004
            raise PageError(f"columns[{number}]", f"there is no column {name!r}; columns: {known}")
    return [places[name] for name in wanted]
