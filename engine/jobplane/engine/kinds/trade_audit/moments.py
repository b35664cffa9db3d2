"""Moments: the trades that mattered most, told in a sentence each."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.clock import time_text
from jobplane.engine.kinds.trade_audit.remarks import MAX_QUOTE
from jobplane.engine.kinds.trade_audit.skeleton import BADGES
from jobplane.engine.kinds.trade_audit.trades import Ints

DAILY_LIMIT_BLOCKED = "DAILY_LIMIT_BLOCKED"
LOSS_AVERSION_CAPPED = "LOSS_AVERSION_CAPPED"
REVENGE_RESCALED = "REVENGE_RESCALED"
OVERTRADING_DEFERRED = "OVERTRADING_DEFERRED"

_LABELS = {
    DAILY_LIMIT_BLOCKED: "Traded on past the daily limit",
    LOSS_AVERSION_CAPPED: "Held a loser too long",
    REVENGE_RESCALED: "Doubled up after a loss",
    OVERTRADING_DEFERRED: "One trade too many",
}
_ADVICE = {
    DAILY_LIMIT_BLOCKED: "the day was over by the daily limit, so it would not have been taken",
    LOSS_AVERSION_CAPPED: "cut at the usual loss it would have made {simulated}",
    REVENGE_RESCALED: "at the usual size it would have made {simulated}",
    OVERTRADING_DEFERRED: "after a pause it would have made {simulated}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentFacts:
    """One trade that mattered."""

    row: int
    timestamp: str
    asset: str
    pnl: float
    simulated_pnl: float
    impact: float
    badge: str
    label: str
    reason: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Give the moment as the review shows it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        numbers = [
            {"name": name, "value": getattr(self, name), "unit": "currency"}
            for name in ("pnl", "simulated_pnl", "impact")
        ]
        return {**fields, "metric_refs": numbers}


def top_moments(audit: Audit, count: int) -> list[MomentFacts]:
    """Give the trades with the largest impact; those without any are no moments."""
    impact = audit.grades.impact
    rows = np.flatnonzero(impact > 0)
    if len(rows) > count:
        # Ties at the edge stay in, so that time and line decide between them.
        edge = np.partition(impact[rows], len(rows) - count)[len(rows) - count]
        rows = rows[impact[rows] >= edge]
    trades = audit.trades
    order = np.lexsort((trades.row[rows], trades.timestamp[rows], -impact[rows]))
    return [moment(audit, int(index)) for index in rows[order[:count]]]


def moment(audit: Audit, index: int) -> MomentFacts:
    """Tell one trade."""
    trades, replay = audit.trades, audit.replay
    reason = reason_of(audit, index)
    pnl, simulated = float(trades.pnl[index]), float(replay.simulated[index])
    asset = trades.asset.at(index)[:MAX_QUOTE]
    time = time_text(int(trades.timestamp[index]))
    advice = _ADVICE[reason].format(simulated=amount(simulated))
    return MomentFacts(
        row=int(trades.row[index]),
        timestamp=time,
        asset=asset,
        pnl=pnl,
        simulated_pnl=simulated,
        impact=float(audit.grades.impact[index]),
        badge=BADGES[int(audit.grades.badge[index])],
        label=_LABELS[reason],
        reason=reason,
        sentence=f"{time[:16].replace('T', ' ')} UTC: {asset} made {amount(pnl)}; {advice}.",
    )


def reason_of(audit: Audit, index: int) -> str:
    """Give the last rule that changed a trade."""
    replay = audit.replay
    if replay.risk_blocked[index]:
        return DAILY_LIMIT_BLOCKED
    if replay.capped[index]:
        return LOSS_AVERSION_CAPPED
    if replay.rescaled[index]:
        return REVENGE_RESCALED
    return OVERTRADING_DEFERRED


def examples(audit: Audit, count: int) -> dict[str, list[dict[str, Any]]]:
    """Give a few trades of each badge that there is, those of most impact first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for code, badge in enumerate(BADGES):
        rows = np.flatnonzero(audit.grades.badge == code)
        if len(rows):
            found[badge] = [_example(audit, int(index)) for index in _best(audit, rows, count)]
    return found


def _best(audit: Audit, rows: Ints, count: int) -> Ints:
    """Give the rows of most impact, of most pnl either way where impact is equal."""
    impact, size = audit.grades.impact[rows], np.abs(audit.trades.pnl[rows])
    if len(rows) > count:
        edge = np.partition(impact, len(rows) - count)[len(rows) - count]
        keep = impact >= edge
        rows, impact, size = rows[keep], impact[keep], size[keep]
    return rows[np.lexsort((rows, -size, -impact))[:count]]


def _example(audit: Audit, index: int) -> dict[str, Any]:
    trades = audit.trades
    return {
        "row": int(trades.row[index]),
        "timestamp": time_text(int(trades.timestamp[index])),
        "asset": trades.asset.at(index)[:MAX_QUOTE],
        "pnl": float(trades.pnl[index]),
        "simulated_pnl": float(audit.replay.simulated[index]),
        "impact": float(audit.grades.impact[index]),
    }


def amount(value: float) -> str:
    """Give money for a sentence."""
    return f"{value:+,.2f}" if abs(value) < 1e15 else f"{value:+.6g}"  # noqa: PLR2004  beyond that nobody reads digits
