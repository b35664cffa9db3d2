"""Log files: one JSON record to a line, numbered in order, so any line is found by halving."""

from dataclasses import dataclass

import msgspec

from jobplane.engine.content.port import ContentReader
from jobplane.engine.domain.log_line import LogLine

PAGE_BYTES = 256 * 1024
# More than any record has: a line of control characters is six times as long in JSON.
MAX_RECORD_BYTES = 128 * 1024
_NEAR_BYTES = 64 * 1024

_decode = msgspec.json.Decoder(LogLine).decode


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines, and where in the file the next one begins."""

    lines: tuple[LogLine, ...]
    offset: int | None


class LogFile:
    """A log that is complete, or that grows while it is read."""

    def __init__(self, source: ContentReader) -> None:
        self._source = source

    def page(self, *, offset: int | None, after_line: int) -> LogPage:
        """The next lines after a line; `offset` is where the last page ended, if there was one."""
        start = self._offset_near(after_line) if offset is None else offset
        while True:
            records, end = self._records(start, PAGE_BYTES)
            lines = tuple(line for line in records if line.line > after_line)
            if lines or end == start:
                return LogPage(lines, end)
            start = end

    def last_line(self) -> int:
        """Number of the last complete line; 0 of an empty log."""
        start = self._record_at(max(self._source.size - 2 * MAX_RECORD_BYTES, 0))
        records, _ = self._records(start, 2 * MAX_RECORD_BYTES)
        return records[-1].line if records else 0

    def _offset_near(self, line: int) -> int:
        """Where a record begins that is not after the line, and not long before its end."""
        low, high = 0, self._source.size
        while high - low > _NEAR_BYTES:
            middle = self._record_at((low + high) // 2)
            found = self._line_at(middle) if middle < high else None
            if found is None or found > line:
                high = (low + high) // 2
            else:
                low = middle
        return low

    def _record_at(self, offset: int) -> int:
        """Where the first record begins at an offset or after it."""
        if offset == 0:
            return 0
        data = self._source.read_at(offset - 1, MAX_RECORD_BYTES)
        end = data.find(b"\n")
        return offset + end if end >= 0 else self._source.size

    def _line_at(self, offset: int) -> int | None:
        data = self._source.read_at(offset, MAX_RECORD_BYTES)
        end = data.find(b"\n")
        return _decode(data[:end]).line if end > 0 else None

    def _records(self, offset: int, length: int) -> tuple[list[LogLine], int]:
        """Whole records from an offset; one that is still being written comes later."""
        data = self._source.read_at(offset, length)
        end = data.rfind(b"\n") + 1
        return [_decode(record) for record in data[:end].split(b"\n")[:-1]], offset + end
