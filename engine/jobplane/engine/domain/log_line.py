"""Log lines: what an attempt printed, cut to lines that are numbered and bounded."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

MAX_LINE_BYTES = 16 * 1024
# A character that begins before the limit may end after it.
_LONGEST_CHARACTER = 4


class LogLine(msgspec.Struct, frozen=True):
    """One line; its text is valid Unicode, without the line's end."""

    line: int
    time: datetime
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class LogFrame:
    """Lines of one attempt, in order; without lines and end it only says that all is well."""

    attempt: int
    lines: tuple[LogLine, ...] = ()
    end: bool = False


class LineCutter:
    """Cuts one stream of bytes into lines; of a line that is too long it keeps the beginning."""

    def __init__(self) -> None:
        self._begun = b""
        self._is_open = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in the data."""
        *ended, rest = data.split(b"\n")
        lines = [self._complete(part) for part in ended]
        if rest:
            self._is_open = True
            self._begun = self._longer(rest)
        return lines

    def finish(self) -> list[str]:
        """The last line, if it has no end."""
        return [self._complete(b"")] if self._is_open else []

    def _complete(self, part: bytes) -> str:
        line = self._longer(part)
        self._begun, self._is_open = b"", False
        return text_of(line)

    def _longer(self, part: bytes) -> bytes:
        room = MAX_LINE_BYTES + _LONGEST_CHARACTER - len(self._begun)
        return self._begun + part[:room]


def text_of(line: bytes) -> str:
    """The line as text of at most MAX_LINE_BYTES; what is no UTF-8 becomes U+FFFD."""
    text = line.decode("utf-8", "replace")
    encoded = text.encode()
    if len(encoded) <= MAX_LINE_BYTES:
        return text
    return encoded[:MAX_LINE_BYTES].decode("utf-8", "ignore")
