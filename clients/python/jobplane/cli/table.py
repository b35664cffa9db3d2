"""Plain tables: columns as wide as they must be, cut to the terminal."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text; on a terminal no line is longer than the terminal is wide."""
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(click.unstyle(row[at])) for row in cells) for at in range(len(headers))]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return "\n".join(_line(row, widths, width) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = [
        cell + " " * (widths[at] - len(click.unstyle(cell))) for at, cell in enumerate(row[:-1])
    ]
    head = GAP.join([*padded, ""])
    tail = row[-1]
    if width is not None:
        room = width - len(click.unstyle(head))
        if 0 < room < len(tail):
            tail = tail[: room - 1] + "…"
    return (head + tail).rstrip()
