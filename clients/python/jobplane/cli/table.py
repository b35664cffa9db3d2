"""Plain tables: columns as wide as they must be, fitted to the terminal."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from jobplane.cli.safe import Safe, cut, safe, width

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

GAP = "  "
# On a terminal no cell is wider, save the last of its line.
CELL_COLUMNS = 40
# What the last column shall have before others are left out for it.
LAST_COLUMNS = 20


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, spare: Sequence[str] = ()
) -> Safe:
    """Aligned text; on a terminal no line is longer than the terminal is wide.

    `spare` are the headers of columns that a narrow terminal may do without, in that order.
    """
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    cells = [[_cell(cell, room) for cell in row] for row in [headers, *rows]]
    widths = [max(width(row[at]) for row in cells) for at in range(len(headers))]
    shown = range(len(headers)) if room is None else _fitting(headers, widths, room, spare)
    return Safe("\n").join(
        _line([row[at] for at in shown], [widths[at] for at in shown], room) for row in cells
    )


def _cell(text: str, room: int | None) -> Safe:
    return safe(text) if room is None else cut(text, max(CELL_COLUMNS, room))


def _fitting(
    headers: Sequence[str], widths: list[int], room: int, spare: Collection[str]
) -> list[int]:
    """Columns to show; the wide ones among them are narrowed in `widths`."""
    shown = list(range(len(headers)))
    for name in spare:
        if _needed(shown, widths) <= room:
            break
        shown = [at for at in shown if headers[at] != name]
    for at in shown[1:-1]:
        widths[at] = min(widths[at], CELL_COLUMNS)
    # The first one names the row, and stays whole.
    narrowed = shown[1:-1]
    while narrowed and _needed(shown, widths) > room:
        widest = max(narrowed, key=lambda at: widths[at])
        if widths[widest] <= len(headers[widest]):
            break
        widths[widest] -= 1
    return shown


def _needed(shown: Sequence[int], widths: Sequence[int]) -> int:
    fixed = sum(widths[at] + len(GAP) for at in shown[:-1])
    return fixed + min(widths[shown[-1]], LAST_COLUMNS)


def _line(row: Sequence[Safe], widths: Sequence[int], room: int | None) -> Safe:
    cells = [cut(cell, widths[at]) for at, cell in enumerate(row[:-1])]
    head = Safe("").join(
        part
        for at, cell in enumerate(cells)
        for part in (cell, " " * (widths[at] - width(cell)), GAP)
    )
    last = row[-1] if room is None else cut(row[-1], room - width(head))
    return Safe(str(head + last).rstrip())
