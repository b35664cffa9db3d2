"""The timeline of a run as inline SVG: lives and kills over the calls around them."""

from collections.abc import Iterator

from tests.robust.history import History
from tests.robust.promises import Verdict

WIDTH, LEFT, RIGHT = 1040, 92, 10
BINS = 160
CALLS_H, OPEN_H, LIFE_H = 110, 60, 26
TOP = 26
_OK, _REFUSED, _UNKNOWN = "#4c8c6b", "#c9a227", "#c3cad0"
_UP, _DOWN, _KILL, _GRID, _INK = "#cfe3d8", "#f0d9d6", "#b3261e", "#e3e7ea", "#5a6570"


def plot(history: History, found: Verdict) -> str:
    """The plot: calls by outcome, open watches, lives with their kills."""
    ends = [life.ended for life in history.lives if life.ended < float("inf")]
    span = max([*ends, 1.0])
    height = TOP + CALLS_H + OPEN_H + LIFE_H + 84
    parts = [
        *_axis(span, height),
        *_calls(history, span),
        *_watches(history, span),
        *_lives(history, span, TOP + CALLS_H + OPEN_H + 40),
        *_legend(),
    ]
    said = "Calls, open watches and lives of the server over time"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{said}"'
        f' font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
        f"{_caption(history, found)}"
    )


def _x(at: float, span: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at / span, 0.0), 1.0)


def _axis(span: float, height: int) -> Iterator[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if span / size <= 12)
    at = 0
    while at <= span:
        x = _x(at, span)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 26}" stroke="{_GRID}"/>'
        yield (
            f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle" fill="{_INK}">{at} s</text>'
        )
        at += step


def _calls(history: History, span: float) -> Iterator[str]:
    """Stacked bars of calls a second, by outcome."""
    bins = [{"ok": 0, "refused": 0, "unknown": 0} for _ in range(BINS)]
    for one in history.operations:
        bins[min(int(one.start / span * BINS), BINS - 1)][one.outcome] += 1
    highest = max(*(sum(one.values()) for one in bins), 1)
    width = (WIDTH - LEFT - RIGHT) / BINS
    base = TOP + CALLS_H
    for index, counts in enumerate(bins):
        y = float(base)
        for outcome, color in (("ok", _OK), ("refused", _REFUSED), ("unknown", _UNKNOWN)):
            size = counts[outcome] / highest * (CALLS_H - 8)
            if size:
                y -= size
                yield (
                    f'<rect x="{LEFT + index * width:.1f}" y="{y:.1f}" width="{width - 0.5:.1f}"'
                    f' height="{size:.1f}" fill="{color}"/>'
                )
    rate = highest / (span / BINS)
    yield _label("calls", TOP + CALLS_H - 40)
    yield f'<text x="{LEFT - 8}" y="{TOP + 12}" text-anchor="end" fill="{_INK}">{rate:.0f}/s</text>'


def _watches(history: History, span: float) -> Iterator[str]:
    """How many streams were open."""
    changes: list[tuple[float, int]] = []
    for watch in history.watches:
        for stream in watch.streams:
            changes += [(stream.opened, 1), (min(stream.closed, span), -1)]
    levels = [0] * (BINS + 1)
    opened, index = 0, 0
    changes.sort()
    for number in range(BINS + 1):
        while index < len(changes) and changes[index][0] <= number / BINS * span:
            opened += changes[index][1]
            index += 1
        levels[number] = opened
    highest = max(*levels, 1)
    base = TOP + CALLS_H + 20 + OPEN_H
    points = [
        f"{LEFT + (WIDTH - LEFT - RIGHT) * number / BINS:.1f},{base - level / highest * OPEN_H:.1f}"
        for number, level in enumerate(levels)
    ]
    yield f'<polyline points="{" ".join(points)}" fill="none" stroke="#3b6ea5" stroke-width="1.5"/>'
    yield _label("open streams", base - OPEN_H / 2)
    yield (
        f'<text x="{LEFT - 8}" y="{base - OPEN_H + 8}" text-anchor="end" fill="{_INK}">'
        f"{highest}</text>"
    )


def _lives(history: History, span: float, top: float) -> Iterator[str]:
    """Green while up, red at each kill."""
    for life in history.lives:
        ended = min(life.ended, span)
        if life.ready < ended:
            x, to = _x(life.ready, span), _x(ended, span)
            said = f"life {life.number}: {ended - life.ready:.2f} s"
            yield (
                f'<rect x="{x:.1f}" y="{top}" width="{max(to - x, 0.6):.1f}" height="{LIFE_H}"'
                f' fill="{_UP}"><title>{said}</title></rect>'
            )
        if life.how in {"kill", "failpoint", "by itself"}:
            x = _x(ended, span)
            dash = "" if life.how == "kill" else ' stroke-dasharray="3 2"'
            yield (
                f'<line x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{top + LIFE_H + 4}"'
                f' stroke="{_KILL}" stroke-width="1.2"{dash}><title>{life.how}'
                f" {life.failpoint} at {ended:.2f} s</title></line>"
            )
    if history.drain_began < span:
        x = _x(history.drain_began, span)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{top + LIFE_H}" stroke="{_INK}"/>'
        yield f'<text x="{x + 4:.1f}" y="{TOP + 10}" fill="{_INK}">load ends</text>'
    yield _label("server up", top + LIFE_H / 2)


def _label(text: str, y: float) -> str:
    return f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{_INK}">{text}</text>'


def _legend() -> Iterator[str]:
    entries = (("answered", _OK), ("refused", _REFUSED), ("unknown outcome", _UNKNOWN))
    x = LEFT
    for name, color in entries:
        yield f'<rect x="{x}" y="4" width="11" height="11" fill="{color}"/>'
        yield f'<text x="{x + 16}" y="14" fill="{_INK}">{name}</text>'
        x += 30 + 7 * len(name)
    yield f'<line x1="{x + 5}" y1="3" x2="{x + 5}" y2="17" stroke="{_KILL}" stroke-width="1.5"/>'
    yield f'<text x="{x + 12}" y="14" fill="{_INK}">kill (dashed: at a failpoint)</text>'


def _caption(history: History, found: Verdict) -> str:
    times = sorted(one.start for one in history.operations if one.outcome == "unknown")
    word = f"{len(times):,} calls had an unknown outcome: a kill came between question and answer"
    broken = f"; {len(found.broken):,} broken promises" if found.broken else ""
    return f'<p class="muted">{word} or nobody was there to answer{broken}.</p>'
