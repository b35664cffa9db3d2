"""Detective: which trades were made out of revenge, out of habit, or held in hope."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from jobplane.engine.kinds.trade_audit.options import Thresholds
from jobplane.engine.kinds.trade_audit.trades import (
    MINUTE,
    NO_TIME,
    Flags,
    Floats,
    Ints,
    Trades,
    group_starts,
)

# Rows of which a rolling median is made at once.
_MEDIAN_BATCH = 262_144
# A day is calm where it has at most the median number of trades.
_CALM = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Flags per trade, and the numbers they came from."""

    revenge: Flags
    overtrading: Flags
    loss_aversion: Flags
    # Median size of the trades before each one; NaN where there are too few.
    usual_size: Floats
    # Trades in the window that ends with each one.
    window_count: Ints
    # Limits that were applied, given or derived.
    revenge_min_prev_loss: float
    overtrading_limit: int
    median_win: float
    median_loss: float
    median_winner_holding_s: float

    @property
    def any_bias(self) -> Flags:
        """Whether a trade has any flag."""
        return self.revenge | self.overtrading | self.loss_aversion


def detect(trades: Trades, limits: Thresholds, *, safe_point: Callable[[], None]) -> Findings:
    """Find the biased trades of a journal that is sorted by time."""
    wins, losses = trades.pnl[trades.pnl > 0], -trades.pnl[trades.pnl < 0]
    median_win, median_loss = _median(wins), _median(losses)
    usual_size = rolling_median(
        trades.size_usd,
        window=limits.rolling_trades,
        least=limits.rolling_min_trades,
        safe_point=safe_point,
    )
    safe_point()
    least_loss = limits.revenge_min_prev_loss
    if least_loss is None:
        least_loss = max(0.0, median_loss) if len(losses) else 0.0
    window_count = trades_in_window(trades.timestamp, limits.overtrading_window_minutes)
    safe_point()
    limit = limits.overtrading_max_trades
    if limits.overtrading_adaptive:
        limit = adaptive_limit(trades, window_count, limits)
    safe_point()
    holding = holding_seconds(trades)
    winner_holding = _median(holding[(trades.pnl > 0) & ~np.isnan(holding)])
    return Findings(
        revenge=find_revenge(trades, usual_size, limits, least_loss=least_loss),
        overtrading=window_count > limit,
        loss_aversion=find_loss_aversion(
            trades.pnl, holding, limits, winner_holding=winner_holding, median_win=median_win
        ),
        usual_size=usual_size,
        window_count=window_count,
        revenge_min_prev_loss=least_loss,
        overtrading_limit=limit,
        median_win=median_win,
        median_loss=median_loss,
        median_winner_holding_s=winner_holding,
    )


def find_revenge(
    trades: Trades, usual_size: Floats, limits: Thresholds, *, least_loss: float
) -> Flags:
    """Flag a much larger trade that comes soon after a loss."""
    found = np.zeros(len(trades), np.bool_)
    size, pnl = trades.size_usd, trades.pnl
    gap = np.diff(trades.timestamp)
    found[1:] = (
        (pnl[:-1] < 0)
        & (pnl[:-1] <= -least_loss)
        & (gap <= limits.revenge_window_minutes * MINUTE)
        & (size[:-1] > 0)
        & (size[1:] >= limits.revenge_size_ratio * size[:-1])
        & (size[1:] >= limits.revenge_median_ratio * usual_size[1:])
    )
    return found


def trades_in_window(timestamp: Ints, minutes: float) -> Ints:
    """Count the trades in (t - window, t], those of equal time included."""
    last = np.searchsorted(timestamp, timestamp, side="right")
    first = np.searchsorted(timestamp, timestamp - round(minutes * MINUTE), side="right")
    return last - first


def adaptive_limit(trades: Trades, window_count: Ints, limits: Thresholds) -> int:
    """Give the quantile of the counts on the trader's own calm days, at least the floor."""
    starts = group_starts([trades.day])
    sizes = np.diff(np.append(starts, len(trades)))
    calm = np.repeat(sizes <= np.quantile(sizes, _CALM), sizes)
    usual = float(np.quantile(window_count[calm], limits.overtrading_quantile))
    return max(limits.overtrading_floor, int(np.ceil(usual)))


def find_loss_aversion(
    pnl: Floats,
    holding: Floats,
    limits: Thresholds,
    *,
    winner_holding: float,
    median_win: float,
) -> Flags:
    """Flag a loser held far longer than winners are, or without times one far larger."""
    timed = ~np.isnan(holding) & np.full(len(pnl), not np.isnan(winner_holding))
    held = timed & (holding > limits.loss_holding_ratio * winner_holding)
    large = ~timed & (-pnl > limits.loss_payoff_ratio * median_win)
    found: Flags = (pnl < 0) & (held | large)
    return found


def holding_seconds(trades: Trades) -> Floats:
    """Give how long each trade was held; NaN where the entry is unknown or after the exit."""
    known = (trades.entry != NO_TIME) & (trades.entry <= trades.timestamp)
    held = np.where(known, trades.timestamp - np.where(known, trades.entry, 0), 0) / 1e6
    return np.where(known, held, np.nan)


def rolling_median(
    values: Floats, *, window: int, least: int, safe_point: Callable[[], None]
) -> Floats:
    """Give the median of the `window` values before each one, never of the value itself."""
    result = np.full(len(values), np.nan)
    for start in range(0, len(values), _MEDIAN_BATCH):
        safe_point()
        lead = max(0, start - window)
        some = pd.Series(values[lead : start + _MEDIAN_BATCH])
        medians = some.rolling(window, min_periods=least).median().shift(1).to_numpy()
        result[start : start + _MEDIAN_BATCH] = medians[start - lead :]
    return result


def _median(values: Floats) -> float:
    """Give the median; NaN of nothing."""
    return float(np.median(values)) if len(values) else float("nan")
