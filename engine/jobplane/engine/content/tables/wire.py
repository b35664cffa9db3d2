"""What the server and its readers of tables say to each other."""

import struct

import msgspec

from jobplane.engine.content.tables.shape import PageRequest

LENGTH = struct.Struct("<I")


class Ask(msgspec.Struct, frozen=True):
    """One request: the index of a table, and a page of it when one is asked for."""

    path: str
    # Where the index of a CSV is kept.
    index_path: str
    page: PageRequest | None = None


class Answer(msgspec.Struct, frozen=True):
    """What is known of the table, and the lengths of the rows that follow."""

    row_count: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    lengths: tuple[int, ...] = ()
    error: str = ""
    # Field of the request that is to blame; "" when it is the table.
    field: str = ""
    # True when the index is to be built first, which may take long.
    needs_index: bool = False
