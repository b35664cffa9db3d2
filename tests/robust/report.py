"""The report: one HTML page that a person can read, with no script and nothing to load."""

import html
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from tests.robust import checker, timeline
from tests.robust.history import History, Operation, Watch
from tests.robust.promises import Broken, Promise, Verdict
from tests.robust.record import JobRow, Record

MAX_FAILURES = 12
MAX_LINES = 60

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
  color: #1a1f24; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .3rem 0; } .muted { color: #5a6570; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e3e7ea;
  vertical-align: top; }
th { font-weight: 600; color: #5a6570; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.kept { color: #116b3c; font-weight: 600; white-space: nowrap; }
.broken { color: #b3261e; font-weight: 600; white-space: nowrap; }
.columns { columns: 2; column-gap: 3rem; } .columns div { display: flex;
  justify-content: space-between; border-bottom: 1px solid #e3e7ea; padding: .25rem 0;
  break-inside: avoid; }
.columns b { font-variant-numeric: tabular-nums; }
.columns .never, .columns .never b { color: #b3261e; }
pre { font: 12.5px/1.45 ui-monospace, monospace; background: #f5f7f8; padding: .8rem 1rem;
  overflow-x: auto; border-radius: 4px; }
svg { width: 100%; height: auto; }
code { font: 13px ui-monospace, monospace; }
"""


def page(history: History, record: Record, found: Verdict, *, wall_s: float) -> str:
    """The whole page."""
    parts = [
        *_head(history, record, found, wall_s),
        *_promises(found),
        "<h2>When it happened</h2>",
        timeline.plot(history, found),
        *_submits(found),
        *_counters(checker.counters(history, record)),
        *_lives(history),
        *_latencies(history),
        *_failures(history, record, found),
    ]
    title = "Kill run: " + ("all promises kept" if not found.broken else "promises broken")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"{''.join(parts)}</body></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _head(history: History, record: Record, found: Verdict, wall_s: float) -> Iterator[str]:
    kills = sum(life.how == "kill" for life in history.lives)
    points = sum(life.how == "failpoint" for life in history.lives)
    kept = not found.broken
    yield f"<h1>{'Every promise was kept' if kept else 'Promises were broken'}</h1>"
    yield (
        f"<p>The server was killed {kills} times at random moments"
        + (f" and died at {points} failpoints" if points else "")
        + f", under {len(history.operations):,} calls that made {len(record.jobs):,} jobs and"
        f" {len(history.watches):,} watches. Then it was left to finish, stopped, and its files"
        " were compared with what every client had seen.</p>"
    )
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    took = f", {wall_s:.0f} s" if wall_s else ""
    yield f'<p class="muted">{when}{took}, seed {history.seed}</p>'


def _promises(found: Verdict) -> Iterator[str]:
    yield "<h2>Promises</h2><table><tr><th></th><th>Promise</th>"
    yield '<th class="number">Looked at</th><th></th></tr>'
    for promise in checker.PROMISES:
        yield from _promise(promise, found)
    yield "</table>"


def _promise(promise: Promise, found: Verdict) -> Iterator[str]:
    broken = [one for one in found.broken if one.promise == promise.id]
    looked_at = found.looked_at[promise.id]
    word = '<span class="broken">broken</span>' if broken else '<span class="kept">kept</span>'
    if not looked_at and not broken:
        word = '<span class="broken">not tested</span>'
    errors = Counter(one.error for one in broken)
    names = ", ".join(f"{name} ({count})" for name, count in errors.most_common())
    detail = f'<br><span class="broken">{_text(names)}</span>' if names else ""
    yield (
        f"<tr><td>{promise.id}</td><td>{_text(promise.text)}{detail}</td>"
        f'<td class="number">{looked_at:,}</td><td>{word}</td></tr>'
    )


def _submits(found: Verdict) -> Iterator[str]:
    meanings = {
        "acknowledged": "The client was told that the job is durable.",
        "lost": "Acknowledged, but not in the record.",
        "duplicated": "One key, more than one job.",
        "unexpected": "In the record, but nobody asked for it.",
        "purged": "Acknowledged, and gone when its retention was over: as asked for.",
        "recovered": "Never acknowledged to anybody, but there: allowed.",
    }
    yield "<h2>Submits</h2><table>"
    for name, meaning in meanings.items():
        count = found.submits[name]
        yield (
            f'<tr><td>{name}</td><td class="number">{count:,}</td>'
            f'<td class="muted">{meaning}</td></tr>'
        )
    yield "</table>"


def _counters(counted: Counter[str]) -> Iterator[str]:
    yield "<h2>Where the run went</h2>"
    yield '<p class="muted">A run that never came by one of these would have proved nothing.</p>'
    yield '<div class="columns">'
    for name in checker.SOMETIMES:
        style = "" if counted[name] else ' class="never"'
        yield f"<div{style}><span>{_text(name)}</span><b>{counted[name]:,}</b></div>"
    yield "</div>"


def _lives(history: History) -> Iterator[str]:
    ready = sorted(life.ready - life.started for life in history.lives if life.ready < life.ended)
    up = sum(life.ended - life.ready for life in history.lives if life.ready < life.ended)
    yield "<h2>Lives of the server</h2>"
    if ready:
        middle, longest = ready[len(ready) // 2], ready[-1]
        yield (
            f"<p>{len(history.lives)} lives, up for {up:.1f} s in all. From the fork of a warm"
            f" process to the ready line: median {middle:.2f} s, longest {longest:.2f} s.</p>"
        )
    points = [life for life in history.lives if life.how == "failpoint"]
    if points:
        names = ", ".join(f"<code>{_text(life.failpoint)}</code>" for life in points)
        yield f"<p>Died at: {names}</p>"


def _latencies(history: History) -> Iterator[str]:
    by_verb: dict[str, list[float]] = {}
    for one in history.operations:
        if one.outcome != "unknown":
            by_verb.setdefault(one.verb, []).append((one.end - one.start) * 1000)
    yield "<h2>Calls that were answered</h2><table>"
    heads = ("Answers", "Median ms", "99th ms", "Longest ms")
    cells = "".join(f'<th class="number">{head}</th>' for head in heads)
    yield f"<tr><th>Call</th>{cells}</tr>"
    for verb, times in sorted(by_verb.items()):
        times.sort()
        at_99 = times[min(len(times) * 99 // 100, len(times) - 1)]
        cells = (
            f"{len(times):,}",
            *(f"{ms:.1f}" for ms in (times[len(times) // 2], at_99, times[-1])),
        )
        yield f"<tr><td>{_text(verb)}</td>"
        yield "".join(f'<td class="number">{cell}</td>' for cell in cells) + "</tr>"
    yield "</table>"


def _failures(history: History, record: Record, found: Verdict) -> Iterator[str]:
    if not found.broken:
        return
    yield "<h2>What broke</h2>"
    shown: set[str] = set()
    for broken in found.broken:
        if len(shown) >= MAX_FAILURES:
            yield f'<p class="muted">{len(found.broken):,} in all; the rest is in summary.json.</p>'
            return
        if broken.error in shown:
            continue
        shown.add(broken.error)
        yield from _failure(history, record, broken)


def _failure(history: History, record: Record, broken: Broken) -> Iterator[str]:
    yield f"<h3>{broken.promise} {_text(broken.error)}</h3>"
    yield f"<p>{_text(broken.evidence)}</p>"
    if not broken.job_id:
        return
    yield f'<p class="muted">Job {_text(broken.job_id)}</p>'
    lines = sorted(
        [
            *_call_lines(one for one in history.operations if one.job_id == broken.job_id),
            *_watch_lines(one for one in history.watches if one.job_id == broken.job_id),
        ]
    )
    seen = [f"{at:9.3f} s  {text}" for at, text in lines[:MAX_LINES]]
    yield f"<p>What clients saw</p><pre>{_text(chr(10).join(seen))}</pre>"
    job = record.jobs.get(broken.job_id)
    if job is not None:
        yield f"<p>What is durable</p><pre>{_text(chr(10).join(_event_lines(job)))}</pre>"


def _call_lines(operations: Iterable[Operation]) -> Iterator[tuple[float, str]]:
    for one in operations:
        answer = f"{one.status} at {one.sequence}" if one.is_ok else f"{one.outcome} {one.detail}"
        yield (
            one.start,
            f"#{one.number} {one.verb} -> {answer} ({(one.end - one.start) * 1e3:.1f} ms)",
        )


def _watch_lines(watches: Iterable[Watch]) -> Iterator[tuple[float, str]]:
    for watch in watches:
        for stream in watch.streams:
            end = stream.end or stream.broken or "open"
            yield stream.opened, f"watch {watch.number} opens after {stream.after}"
            yield min(stream.closed, 1e6), f"watch {watch.number} over: {end}"
        for one in watch.deliveries:
            if one.sequence:
                yield one.at, f"watch {watch.number} hears {one.sequence} {one.type} {one.status}"


def _event_lines(job: JobRow) -> Iterator[str]:
    for event in job.events[:MAX_LINES]:
        extra = event.payload.get("reason") or event.payload.get("action") or ""
        line = (
            f"{event.sequence:4} {event.type:18} {event.status:15} attempt {event.attempt} {extra}"
        )
        yield line.rstrip()
    yield f"row: {job.status} at {job.sequence}, attempt {job.attempt} {job.failure}".rstrip()
