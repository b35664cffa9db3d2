"""Boundaries: where the records of a CSV begin and end, found without parsing its cells."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from jobplane.engine.content.tables.shape import TableError

BLOCK_BYTES = 8 * 1024 * 1024
MAX_RECORD_BYTES = 64 * 1024 * 1024
_QUOTE, _CR, _LF = 0x22, 0x0D, 0x0A

Array = Any


class Boundaries:
    """Finds records as the parser of the standard library does.

    A quote opens a cell only at the cell's beginning. A block in which all do is decided at
    once; one with stray quotes is walked from quote to quote.
    """

    def __init__(self, *, delimiter: str, newline: bytes, block_bytes: int = BLOCK_BYTES) -> None:
        self._delimiter = ord(delimiter)
        self._newline = newline[0]
        self._block_bytes = block_bytes

    def records(self, source: BinaryIO, at: int) -> Iterator[tuple[bytes, int, Array, Array]]:
        """Blocks of whole records: bytes, their offset, and begins and ends inside them.

        `source` stands at `at`, which is the begin of a record. Empty lines are no records.
        """
        rest = b""
        while True:
            data = source.read(self._block_bytes)
            block = rest + data
            if not block:
                return
            ends = self._ends(block)
            if not data:
                # What comes after the last line end is a record too.
                if not len(ends) or ends[-1] != len(block) - 1:
                    ends = np.append(ends, len(block))
            elif not len(ends):
                if len(block) > MAX_RECORD_BYTES:
                    raise TableError(f"the row at byte {at} has no end: a quote is never closed?")
                rest = block
                continue
            begins = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
            filled = self._is_filled(block, begins, ends)
            if filled.any():
                yield block, at, begins[filled], ends[filled]
            taken = min(int(ends[-1]) + 1, len(block))
            rest, at = block[taken:], at + taken

    def _is_filled(self, block: bytes, begins: Array, ends: Array) -> Array:
        """Whether a record has bytes besides its line end."""
        lengths = ends - begins
        filled = lengths > 0
        if self._newline == _LF:
            single = np.flatnonzero(lengths == 1)
            filled[single] = np.frombuffer(block, dtype=np.uint8)[begins[single]] != _CR
        return filled

    def _ends(self, block: bytes) -> Array:
        """Places of the line ends that end a record; the block begins with one."""
        view = np.frombuffer(block, dtype=np.uint8)
        newlines = np.flatnonzero(view == self._newline)
        if _QUOTE not in block:
            return newlines
        quotes = np.flatnonzero(view == _QUOTE)
        if self._is_clean(view, quotes):
            # Inside of a cell the number of quotes before is odd.
            return newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        delimiters = np.flatnonzero(view == self._delimiter)
        return self._walked(view, np.sort(np.concatenate((newlines, quotes, delimiters))))

    def _is_clean(self, view: Array, quotes: Array) -> bool:
        """Whether every quote that opens stands at the beginning of a cell, or is doubled."""
        opening = quotes[::2]
        # What stands before the first byte of a block is a line end.
        before = np.where(opening == 0, self._newline, view[opening - 1])
        allowed = (before == self._delimiter) | (before == self._newline) | (before == _QUOTE)
        return bool(allowed.all())

    def _walked(self, view: Array, places: Array) -> Array:
        ends: list[int] = []
        is_quoted = False
        cell_at, closed_at = 0, -1
        for place, byte in zip(places.tolist(), view[places].tolist(), strict=True):
            if byte == _QUOTE:
                if is_quoted:
                    is_quoted, closed_at = False, place
                elif place == cell_at or place == closed_at + 1 > cell_at:
                    is_quoted = True
            elif not is_quoted:
                cell_at = place + 1
                closed_at = -1
                if byte == self._newline:
                    ends.append(place)
        return np.array(ends, dtype=np.int64)
