"""Measures: what the whole journal says of its trader, beside the single trades."""

from collections.abc import Callable
from math import erfc, sqrt
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.clock import local_days
from jobplane.engine.kinds.trade_audit.detective import Findings
from jobplane.engine.kinds.trade_audit.disposition import disposition
from jobplane.engine.kinds.trade_audit.grades import Grades
from jobplane.engine.kinds.trade_audit.options import Options
from jobplane.engine.kinds.trade_audit.trades import NO_TIME, Floats, Trades, group_starts


def measure(
    trades: Trades,
    findings: Findings,
    grades: Grades,
    options: Options,
    *,
    safe_point: Callable[[], None],
) -> dict[str, Any]:
    """Give the measures by name; null where the journal can't tell."""
    entry_day = local_days(
        np.where(trades.entry == NO_TIME, 0, trades.entry),
        timezone=options.timezone,
        boundary_minutes=options.day_boundary,
        rising=False,
    )
    safe_point()
    return {
        **_results(trades),
        **_after_results(trades),
        "max_losing_streak": int(
            (grades.streak + (trades.pnl < 0)).max(initial=0),
        ),
        "median_holding_winner_s": finite(findings.median_winner_holding_s),
        "disposition": disposition(trades, entry_day, safe_point=safe_point),
        # Needs price bars, which a journal does not have.
        "fomo_rate": None,
    }


def _results(trades: Trades) -> dict[str, Any]:
    """Measure the results themselves."""
    pnl = trades.pnl
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    days = len(group_starts([trades.day]))
    return {
        "trade_count": len(trades),
        "trading_days": days,
        "trades_per_day": len(trades) / days,
        "turnover_per_day": finite(float(np.nansum(trades.size_usd)) / days),
        "total_pnl": float(np.sum(pnl)),
        "total_fees": float(np.sum(trades.fee)),
        "win_rate": len(wins) / len(trades),
        "average_win": float(np.mean(wins)) if len(wins) else None,
        "average_loss": float(np.mean(losses)) if len(losses) else None,
        "profit_factor": float(np.sum(wins)) / -float(np.sum(losses)) if len(losses) else None,
        "expectancy": float(np.mean(pnl)),
    }


def _after_results(trades: Trades) -> dict[str, Any]:
    """Measure how a trade differs after a loss and after a win."""
    before, after = trades.pnl[:-1], trades.pnl[1:]
    lost, won = before < 0, before > 0
    gap, size = np.diff(trades.timestamp) / 1e6, trades.size_usd[1:]
    after_loss, after_win = _median(size[lost]), _median(size[won])
    ratio = after_loss / after_win if after_loss is not None and after_win else None
    return {
        "median_gap_after_loss_s": _median(gap[lost]),
        "median_gap_after_win_s": _median(gap[won]),
        "gap_mann_whitney_p": mann_whitney_p(gap[lost], gap[won]),
        "size_ratio_after_loss_vs_win": ratio,
        "win_rate_after_loss": float(np.mean(after[lost] > 0)) if lost.any() else None,
        "win_rate_after_win": float(np.mean(after[won] > 0)) if won.any() else None,
    }


def mann_whitney_p(first: Floats, second: Floats) -> float | None:
    """Give the two-sided p that both samples come from one distribution (normal, with ties)."""
    count, other = len(first), len(second)
    if not count or not other:
        return None
    _, inverse, ties = np.unique(
        np.concatenate((first, second)), return_inverse=True, return_counts=True
    )
    ranks = np.cumsum(ties) - (ties - 1) / 2.0
    statistic = float(ranks[inverse[:count]].sum()) - count * (count + 1) / 2.0
    total = count + other
    tied = float((ties.astype(np.float64) ** 3 - ties).sum())
    spread = count * other / 12.0 * (total + 1 - tied / (total * (total - 1)))
    if spread <= 0:
        return None
    # Half a rank is the correction for a statistic that moves in steps.
    distance = max(0.0, abs(statistic - count * other / 2.0) - 0.5)
    return erfc(distance / sqrt(spread) / sqrt(2.0))


def finite(value: float) -> float | None:
    """Give the value, or None where it is no number."""
    return float(value) if np.isfinite(value) else None


def _median(values: Floats) -> float | None:
    """Give the median of the known values; None of nothing."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
