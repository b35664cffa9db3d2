"""Report: the review as one HTML page, without scripts and without anything from elsewhere."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.charts import bar_chart, equity_chart, stacked_chart
from jobplane.engine.kinds.trade_audit.clock import time_text
from jobplane.engine.kinds.trade_audit.moments import amount
from jobplane.engine.kinds.trade_audit.skeleton import BADGES, PHASES, TOP_MOMENTS

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#fff;--card:#f5f7fa;
--line:#d9dfe7;--actual:#c2571a;--disciplined:#1f6fb5;--gain:#1f6fb533;--loss:#c2571a33}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--paper:#12171e;
--card:#1b222c;--line:#2f3a47;--actual:#f0965a;--disciplined:#6db3f2;--gain:#6db3f23d;
--loss:#f0965a3d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:980px;padding:28px 20px 60px;background:var(--paper);
color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:36px 0 10px}
p.sub{color:var(--soft);margin:4px 0 20px;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tile b{display:block;font-size:22px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{color:var(--soft);font-size:13px}
svg{width:100%;height:auto;display:block;font:13px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .tick{fill:var(--soft);font-size:12px}
.grid{stroke:var(--line)}.zero{stroke:var(--soft)}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.actual{stroke:var(--actual)}.disciplined{stroke:var(--disciplined)}
.gain{fill:var(--gain)}.loss{fill:var(--loss)}
.mark{fill:var(--paper);stroke:var(--ink);stroke-width:2}svg .mark-label{font-weight:700}
.track{fill:var(--card)}.bar{fill:var(--disciplined)}.under{fill:var(--actual)}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;color:var(--soft);font-size:13px;margin:0 0 6px}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;
vertical-align:-1px}
.swatch-actual{background:var(--actual)}.swatch-disciplined{background:var(--disciplined)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:7px 10px;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:break-word}
th{color:var(--soft);font-weight:600;font-size:13px}
th.number,td.number{text-align:right}
td.number{font-variant-numeric:tabular-nums;white-space:nowrap}
"""
_BADGE_COLOURS = {
    "MEGABLUNDER": "#7a1020",
    "BLUNDER": "#b3202e",
    "MISS": "#d9534f",
    "MISTAKE": "#e58a3c",
    "INACCURACY": "#efc04f",
    "BRILLIANT": "#1aa6a0",
    "GREAT": "#2f80c8",
    "BEST": "#4c9f50",
    "EXCELLENT": "#86bf6a",
    "GOOD": "#aab4bf",
}
_RATE_NAMES = {
    "revenge_rate": "Revenge",
    "overtrading_rate": "Overtrading",
    "loss_aversion_rate": "Loss aversion",
    "any_bias_rate": "Any bias",
}
_RULE_NAMES = {
    "revenge": "Keep to the usual size",
    "overtrading": "Pause when busy",
    "loss_aversion": "Cut losers",
    "daily_limit": "Stop at the daily limit",
    "interaction": "Together, beyond their sum",
}
_VERDICTS = {
    "WINNER": "Discipline would have earned more.",
    "DRAW": "Discipline would have changed nothing.",
    "RESIGN": "Discipline would have earned less.",
    "CHECKMATED": "Even the disciplined path hits the daily limit.",
}


def write_report(audit: Audit, review: Mapping[str, Any], *, title: str) -> str:
    """Give the page; whatever the journal holds is text on it, never markup."""
    sections = (
        _tiles(review),
        _equity(audit, review),
        _rates(review),
        _attribution(review),
        _phases(review),
        _moments(review),
        _advice(review),
        _habits(review),
        _warnings(review),
    )
    style = _STYLE + "".join(
        f".{badge}{{fill:{colour}}}.swatch-{badge}{{background:{colour}}}"
        for badge, colour in _BADGE_COLOURS.items()
    )
    span = " to ".join(time_text(int(audit.trades.timestamp[index]))[:10] for index in (0, -1))
    subtitle = f"{len(audit.trades):,} trades, {span}, {title}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Trade audit</title><style>{style}</style></head><body>"
        f"<h1>Trade audit: {escape(str(review['headline']))}</h1>"
        f'<p class="sub">{escape(_VERDICTS[review["headline"]])} {escape(subtitle)}</p>'
        + "\n".join(section for section in sections if section)
        + "</body></html>\n"
    )


def _tiles(review: Mapping[str, Any]) -> str:
    score, stats = review["scoreboard"], review["derived_stats"]
    tiles = (
        (amount(stats["total_pnl"]), "made"),
        (amount(stats["simulated_pnl"]), "with discipline"),
        (amount(score["delta_pnl"]), "difference"),
        (f"{review['bias_rates']['any_bias_rate']:.1%}", "biased trades"),
        (f"{score['blocked_risk_count']:,}", "past the daily limit"),
        (amount(-stats["daily_max_loss"]), "daily limit"),
    )
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'
        for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _equity(audit: Audit, review: Mapping[str, Any]) -> str:
    trades = audit.trades
    size = len(trades)
    places = (0, size // 2, size - 1)
    labels = [time_text(int(trades.timestamp[place]))[:10] for place in places]
    shown = [(moment["timestamp"], moment["row"]) for moment in review["top_moments"]]
    marks = [_find(audit, *one) for one in shown[:TOP_MOMENTS]]
    chart = equity_chart(
        np.cumsum(trades.pnl), np.cumsum(audit.replay.simulated), labels=labels, marks=marks
    )
    legend = _legend((("disciplined", "with discipline"), ("actual", "as traded")))
    return f"<section><h2>Equity, as traded and with discipline</h2>{legend}{chart}</section>"


def _find(audit: Audit, time: str, row: int) -> int:
    """Give where a moment stands among the trades."""
    stamp = int(np.datetime64(time.removesuffix("Z"), "us").astype(np.int64))
    first, last = np.searchsorted(audit.trades.timestamp, (stamp, stamp + 1))
    return int(first + np.argmax(audit.trades.row[first:last] == row))


def _rates(review: Mapping[str, Any]) -> str:
    bars = [
        (name, review["bias_rates"][key], f"{review['bias_rates'][key]:.2%}")
        for key, name in _RATE_NAMES.items()
    ]
    return f"<section><h2>Bias rates</h2>{bar_chart('Share of trades by bias', bars)}</section>"


def _attribution(review: Mapping[str, Any]) -> str:
    shares = review["derived_stats"]["attribution"]
    bars = [(name, shares[key], amount(shares[key])) for key, name in _RULE_NAMES.items()]
    chart = bar_chart("What each rule alone would have changed", bars)
    return f"<section><h2>What each rule would have changed</h2>{chart}</section>"


def _phases(review: Mapping[str, Any]) -> str:
    grades = review["grade_distribution_by_phase"]
    rows = [
        (
            phase,
            [(badge, grades[phase].get(badge, 0)) for badge in BADGES if grades[phase].get(badge)],
        )
        for phase in PHASES
    ]
    seen = [badge for badge in BADGES if review["badge_counts"][badge]]
    legend = _legend(
        (badge, f"{badge.lower()} {review['badge_counts'][badge]:,}") for badge in seen
    )
    chart = stacked_chart("Badges by third of the journal", rows)
    return f"<section><h2>Badges by third of the journal</h2>{legend}{chart}</section>"


def _legend(entries: Any) -> str:
    items = "".join(
        f'<span><i class="swatch-{escape(kind)}"></i>{escape(name)}</span>'
        for kind, name in entries
    )
    return f'<p class="legend">{items}</p>'


def _moments(review: Mapping[str, Any]) -> str:
    rows = [
        (
            str(number),
            moment["timestamp"][:16].replace("T", " "),
            moment["asset"],
            amount(moment["pnl"]),
            amount(moment["simulated_pnl"]),
            moment["badge"].lower(),
            moment["label"],
            str(moment["row"]),
        )
        for number, moment in enumerate(review["top_moments"], start=1)
    ]
    heads = ("#", "Time (UTC)", "Asset", "Made", "With discipline", "Badge", "What", "Line")
    return _table("Moments that mattered", heads, rows, numbers={3, 4, 7})


def _advice(review: Mapping[str, Any]) -> str:
    rows = [
        (advice["text"], f"{advice['count']:,}", amount(advice["saves"]))
        for advice in review["recommendations"]
    ]
    return _table("What to change", ("Rule", "Trades", "Would have changed"), rows, numbers={1, 2})


def _habits(review: Mapping[str, Any]) -> str:
    stats = review["derived_stats"]
    found = stats["disposition"]
    rows = [
        ("Win rate", _share(stats["win_rate"])),
        ("Win rate after a loss", _share(stats["win_rate_after_loss"])),
        ("Profit factor", _number(stats["profit_factor"])),
        ("Expectancy per trade", amount(stats["expectancy"])),
        ("Longest losing streak", f"{stats['max_losing_streak']:,}"),
        ("Size after a loss against after a win", _number(stats["size_ratio_after_loss_vs_win"])),
        ("Winners realised (PGR)", _share(found["pgr"])),
        ("Losers realised (PLR)", _share(found["plr"])),
        ("Disposition effect (t)", f"{_number(found['de'])} ({_number(found['t'])})"),
    ]
    return _table("Habits", ("Measure", "Value"), rows, numbers={1})


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.3g}"


def _warnings(review: Mapping[str, Any]) -> str:
    rows = [
        (
            warning["code"],
            f"{warning['count']:,}",
            warning["message"],
            ", ".join(map(str, warning["first_rows"])),
        )
        for warning in review["data_quality_warnings"]
    ]
    heads = ("Remark", "Count", "What", "First lines")
    return _table("Quality of the journal", heads, rows, numbers={1})


def _table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: set[int]
) -> str:
    """Give a table; nothing where it has no rows."""
    if not rows:
        return ""
    kinds = [' class="number"' if place in numbers else "" for place in range(len(heads))]
    head = "".join(
        f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, heads, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<section><h2>{escape(title)}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )
