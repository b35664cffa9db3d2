"""Lists of things, in whichever form was asked for."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from jobplane.cli.safe import Safe, safe
from jobplane.cli.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from google.protobuf.message import Message

    from jobplane.cli.session import Session

T = TypeVar("T")
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet(Generic[T]):
    """What to show of each thing of a list."""

    headers: Sequence[str]
    row: Callable[[T], Sequence[str]]
    # Full name, for `-o name`, and what it is called for short.
    name: Callable[[T], str]
    short: Callable[[T], str]
    wire: Callable[[T], Message]
    # Headers that a narrow terminal may do without, the first one first.
    spare: Sequence[str] = ()

    def write(self, session: Session, things: Iterable[T]) -> int:
        """Write them; gives how many there were."""
        found = list(things)
        if session.is_json:
            session.write_messages(map(self.wire, found))
        elif session.output == "csv":
            session.write(csv_of(self.headers, map(self.row, found)))
        elif session.output == "name" or session.quiet:
            for thing in found:
                session.write(self.name(thing) if session.output == "name" else self.short(thing))
        else:
            rows = [self.row(thing) for thing in found]
            session.write(table(self.headers, rows, spare=self.spare))
        return len(found)


def csv_of(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Safe:
    """Text of a CSV file, safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([header.lower() for header in headers])
    writer.writerows([[_cell(cell) for cell in row] for row in rows])
    return Safe(text.getvalue().removesuffix("\n"))


def _cell(text: str) -> str:
    plain = str(safe(text))
    return f"'{plain}" if plain.startswith(FORMULA) and not _is_number(plain) else plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == "-"
    return True
