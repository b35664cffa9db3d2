"""Charts: plain SVG inside the report, without a script."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

import numpy as np

from jobplane.engine.kinds.trade_audit.trades import Floats, Ints

WIDTH, HEIGHT = 920, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 14, 30
_MAX_POINTS = 600
_TICKS = 5


def thin(*lines: Floats, points: int = _MAX_POINTS) -> Ints:
    """Give the rows to draw: the first, the last, and each stretch's extremes of each line."""
    size = len(lines[0])
    if size <= points:
        return np.arange(size, dtype=np.int64)
    buckets = max(1, points // (2 * len(lines)))
    edges = np.linspace(0, size, buckets + 1).astype(np.int64)
    keep = {0, size - 1}
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for line in lines:
            keep |= {start + int(line[start:end].argmin()), start + int(line[start:end].argmax())}
    return np.array(sorted(keep), np.int64)


def ticks(low: float, high: float) -> list[float]:
    """Give round values that span the range."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / _TICKS
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = floor(low / step) + (0 if low % step == 0 else 1)
    count = floor((high - first * step) / step + 1e-9) + 1
    return [(first + index) * step for index in range(count)]


def short_number(value: float) -> str:
    """Give a number as an axis shows it."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if value else "0"


def equity_chart(
    actual: Floats, simulated: Floats, *, labels: Sequence[str], marks: Sequence[int] = ()
) -> str:
    """Draw both running totals from zero, and shade what lies between them.

    `labels` name the first, middle and last trade; `marks` are rows of moments.
    """
    actual, simulated = (np.concatenate(([0.0], line)) for line in (actual, simulated))
    rows = thin(actual, simulated)
    if marks:
        rows = np.union1d(rows, np.array(marks, np.int64) + 1)
    low = float(min(actual.min(), simulated.min(), 0.0))
    high = float(max(actual.max(), simulated.max(), 0.0))
    if high - low <= 0:
        low, high = low - 1.0, high + 1.0
    pad = (high - low) * 0.05
    frame = _Frame(low - pad, high + pad, len(actual) - 1)
    real = [(frame.x(int(row)), frame.y(float(actual[row]))) for row in rows]
    ideal = [(frame.x(int(row)), frame.y(float(simulated[row]))) for row in rows]
    dots = "".join(
        f'<circle class="mark" cx="{frame.x(mark + 1):.1f}" '
        f'cy="{frame.y(float(actual[mark + 1])):.1f}" r="4"/>'
        f'<text class="mark-label" x="{frame.x(mark + 1) + 6:.1f}" '
        f'y="{frame.y(float(actual[mark + 1])) - 6:.1f}">{number}</text>'
        for number, mark in enumerate(marks, start=1)
    )
    return _svg(
        "Running pnl: actual and disciplined",
        frame.axes(labels)
        + "".join(_between(real, ideal))
        + _line(ideal, "disciplined")
        + _line(real, "actual")
        + dots,
    )


class _Frame:
    """Where values lie on the picture."""

    def __init__(self, low: float, high: float, last: int) -> None:
        self._low, self._high, self._last = low, high, max(last, 1)

    def x(self, row: int) -> float:
        """Give the place of a row."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * row / self._last

    def y(self, value: float) -> float:
        """Give the place of a value."""
        share = (value - self._low) / (self._high - self._low)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share

    def axes(self, labels: Sequence[str]) -> str:
        """Draw the grid and the names of its lines."""
        parts: list[str] = []
        for tick in ticks(self._low, self._high):
            height = self.y(tick)
            kind = "zero" if tick == 0 else "grid"
            parts.append(
                f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" '
                f'y1="{height:.1f}" y2="{height:.1f}"/>'
                f'<text class="tick" x="{_LEFT - 8}" y="{height + 4:.1f}" '
                f'text-anchor="end">{short_number(tick)}</text>'
            )
        anchors = ("start", "middle", "end")
        places = (_LEFT, (_LEFT + WIDTH - _RIGHT) / 2, WIDTH - _RIGHT)
        for label, anchor, place in zip(labels, anchors, places, strict=False):
            parts.append(
                f'<text class="tick" x="{place:.0f}" y="{HEIGHT - 8}" '
                f'text-anchor="{anchor}">{escape(label)}</text>'
            )
        return "".join(parts)


_Points = list[tuple[float, float]]


def _between(real: _Points, ideal: _Points) -> list[str]:
    """Shade between two lines, in one class where discipline is ahead, in another where not."""
    shapes: list[str] = []
    upper: _Points = []
    lower: _Points = []
    ahead = False

    def close() -> None:
        if len(upper) > 1:
            outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in upper + lower[::-1])
            kind = "gain" if ahead else "loss"
            shapes.append(f'<polygon class="{kind}" points="{outline}"/>')

    before: tuple[float, float, float] | None = None
    for (x, y_real), (_, y_ideal) in zip(real, ideal, strict=True):
        gap = y_real - y_ideal
        if before and gap * (before[1] - before[2]) < 0:
            share = (before[1] - before[2]) / ((before[1] - before[2]) - gap)
            cross = (
                before[0] + (x - before[0]) * share,
                before[1] + (y_real - before[1]) * share,
            )
            upper.append(cross)
            lower.append(cross)
            close()
            upper, lower = [cross], [cross]
        if gap:
            ahead = gap > 0
        upper.append((x, y_ideal))
        lower.append((x, y_real))
        before = (x, y_real, y_ideal)
    close()
    return shapes


def _line(points: _Points, kind: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line {kind}" points="{path}"/>'


def bar_chart(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Draw bars to the right or left of zero: name, value and how the value reads."""
    row, name_width, number_width = 34, 190, 120
    height = row * len(bars) + 8
    values = [value for _, value, _ in bars]
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    room = WIDTH - name_width - number_width - _RIGHT
    zero = name_width + room * (0.0 - low) / span
    parts: list[str] = []
    for index, (name, value, text) in enumerate(bars):
        width = room * abs(value) / span
        left = zero - width if value < 0 else zero
        middle = row * index + row / 2 + 4
        kind = "bar under" if value < 0 else "bar"
        parts.append(
            f'<text class="name" x="0" y="{middle + 5:.0f}">{escape(name)}</text>'
            f'<rect class="track" x="{name_width}" y="{middle - 9:.0f}" width="{room}" '
            'height="18" rx="3"/>'
            f'<rect class="{kind}" x="{left:.1f}" y="{middle - 9:.0f}" '
            f'width="{max(width, 1 if value else 0):.1f}" height="18" rx="3"/>'
            f'<text class="value" x="{WIDTH - _RIGHT}" y="{middle + 5:.0f}" '
            f'text-anchor="end">{escape(text)}</text>'
        )
    parts.append(f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{height - 2}"/>')
    return _svg(title, "".join(parts), height=height)


def stacked_chart(title: str, rows: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> str:
    """Draw one bar per row, parted by the counts of its classes."""
    row, name_width = 40, 120
    room = WIDTH - name_width - _RIGHT
    parts: list[str] = []
    for index, (name, counts) in enumerate(rows):
        total = sum(count for _, count in counts) or 1
        left, middle = float(name_width), row * index + row / 2
        parts.append(f'<text class="name" x="0" y="{middle + 5:.0f}">{escape(name)}</text>')
        for kind, count in counts:
            width = room * count / total
            parts.append(
                f'<rect class="{escape(kind)}" x="{left:.1f}" y="{middle - 12:.0f}" '
                f'width="{width:.1f}" height="24"><title>{escape(kind)}: {count}</title></rect>'
            )
            left += width
    return _svg(title, "".join(parts), height=row * len(rows))


def _svg(title: str, content: str, *, height: int = HEIGHT) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="xMidYMid meet">'
        f"<title>{escape(title)}</title>{content}</svg>"
    )
