"""Counterfactual: the same journal, traded with discipline. Deterministic, rule after rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from jobplane.engine.kinds.trade_audit.detective import Findings
from jobplane.engine.kinds.trade_audit.options import Thresholds
from jobplane.engine.kinds.trade_audit.trades import (
    MINUTE,
    Flags,
    Floats,
    Ints,
    Trades,
    group_starts,
    grouped_cumsum,
)

NONE = "NONE"
BIAS = "BIAS"
DAILY_MAX_LOSS = "DAILY_MAX_LOSS"
BLOCKED_REASONS = (NONE, BIAS, DAILY_MAX_LOSS)

WINNER = "WINNER"
DRAW = "DRAW"
RESIGN = "RESIGN"
CHECKMATED = "CHECKMATED"
_DRAW_SPAN = 1e-12

# How the recommended limit is made; echoed in the review.
LIMIT_FLOOR = 1000.0
LIMIT_TAIL = 0.01
LIMIT_BALANCE_SHARE = 0.02
LIMIT_MARGIN = 1.05
LIMIT_CAP_INTRADAY = 1.1
LIMIT_CAP_BALANCE_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which rules of discipline a replay keeps."""

    revenge: bool = True
    overtrading: bool = True
    loss_aversion: bool = True
    daily_limit: bool = True


_NO_RULES = Rules(revenge=False, overtrading=False, loss_aversion=False, daily_limit=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The disciplined path: one entry per trade."""

    simulated: Floats
    # Index into BLOCKED_REASONS.
    blocked: Ints
    # Trades that a rule of bias changed, by the last rule that did.
    deferred: Flags
    rescaled: Flags
    capped: Flags
    daily_max_loss: float
    # Trading days on which even this path hits the limit.
    breached_days: Ints

    @property
    def risk_blocked(self) -> Flags:
        """Whether the daily limit took a trade out."""
        found: Flags = self.blocked == BLOCKED_REASONS.index(DAILY_MAX_LOSS)
        return found


def replay(
    trades: Trades,
    findings: Findings,
    limits: Thresholds,
    *,
    daily_max_loss: float,
    rules: Rules | None = None,
) -> Replay:
    """Trade the journal again under the rules, in their order."""
    rules = rules or Rules()
    nobody = np.zeros(len(trades), np.bool_)
    deferred = findings.overtrading if rules.overtrading else nobody
    simulated = trades.pnl.copy()
    if deferred.any():
        simulated[deferred] = defer(trades, deferred, limits)
    rescaled = findings.revenge if rules.revenge else nobody
    if rescaled.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            share = findings.usual_size[rescaled] / trades.size_usd[rescaled]
        simulated[rescaled] *= np.clip(np.nan_to_num(share, nan=1.0), 0.0, 1.0)
    held = findings.loss_aversion if rules.loss_aversion else nobody
    floor = -findings.median_loss if not np.isnan(findings.median_loss) else 0.0
    capped = held & (simulated < floor)
    simulated = np.where(capped, floor, simulated) + 0.0
    any_bias = deferred | rescaled | held
    blocked = np.where(any_bias, BLOCKED_REASONS.index(BIAS), 0).astype(np.int64)
    breached = np.zeros(0, np.int64)
    if rules.daily_limit:
        late, breached = after_breach(simulated, trades.day, daily_max_loss)
        simulated = np.where(late, 0.0, simulated)
        blocked = np.where(late, BLOCKED_REASONS.index(DAILY_MAX_LOSS), blocked)
    return Replay(
        simulated=simulated,
        blocked=blocked,
        deferred=deferred,
        rescaled=rescaled,
        capped=capped,
        daily_max_loss=daily_max_loss,
        breached_days=breached,
    )


def defer(trades: Trades, deferred: Flags, limits: Thresholds) -> Floats:
    """Give what each deferred trade makes when it is taken after the pause.

    It is taken at the first later trade of the same asset and side, in proportion to size;
    where there is none it is not taken at all.
    """
    rows = np.flatnonzero(deferred)
    sides = len(trades.side.values)
    group = trades.asset.codes.astype(np.int64) * sides + trades.side.codes
    pause = round(limits.overtrading_cooldown_minutes * MINUTE)
    # Trades are sorted by time, so a row number stands for its time.
    earliest = np.searchsorted(trades.timestamp, trades.timestamp[rows] + pause, side="left")
    size = len(trades) + 1
    order = np.argsort(group, kind="stable")
    keys = group[order] * size + order
    at = np.searchsorted(keys, group[rows] * size + earliest, side="left")
    inside = at < len(order)
    target = order[np.minimum(at, len(order) - 1)]
    found = inside & (group[target] == group[rows])
    own, other = trades.size_usd[rows], trades.size_usd[target]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = own / other
    # Unknown sizes count as equal.
    share = np.where(np.isfinite(share), share, 1.0)
    return np.where(found, trades.pnl[target] * share, 0.0)


def after_breach(simulated: Floats, days: Ints, daily_max_loss: float) -> tuple[Flags, Ints]:
    """Tell which trades come after their day hit the limit, and on which days that was.

    The trade that hits it counts; those after it don't happen.
    """
    starts = group_starts([days])
    hit = grouped_cumsum(simulated, starts) <= -daily_max_loss
    sizes = np.diff(np.append(starts, len(simulated)))
    seen = np.cumsum(hit)
    before_day: Ints = np.repeat(seen[starts] - hit[starts], sizes)
    late: Flags = seen - hit - before_day > 0
    return late, np.unique(days[hit])


def recommended_limit(trades: Trades) -> float:
    """Give a daily loss limit that fits the journal's own days."""
    starts = group_starts([trades.day])
    ends = np.append(starts[1:], len(trades)) - 1
    running = grouped_cumsum(trades.pnl, starts)
    totals, lows = running[ends], np.minimum.reduceat(running, starts)
    balances = trades.balance[~np.isnan(trades.balance)]
    balance = float(np.median(balances)) if len(balances) else 0.0
    wanted = max(
        LIMIT_FLOOR,
        abs(float(np.quantile(totals, LIMIT_TAIL))),
        abs(float(np.quantile(lows, LIMIT_TAIL))),
        LIMIT_BALANCE_SHARE * balance,
    )
    cap = max(LIMIT_CAP_INTRADAY * abs(float(lows.min())), LIMIT_CAP_BALANCE_SHARE * balance)
    return min(LIMIT_MARGIN * wanted, cap) if cap > 0 else LIMIT_MARGIN * wanted


def verdict(delta_pnl: float, breached_days: Ints) -> str:
    """Give the outcome of the audit."""
    if len(breached_days):
        return CHECKMATED
    if abs(delta_pnl) <= _DRAW_SPAN:
        return DRAW
    return WINNER if delta_pnl > 0 else RESIGN


def attribution(
    trades: Trades,
    findings: Findings,
    limits: Thresholds,
    *,
    full: Replay,
    safe_point: Callable[[], None],
) -> dict[str, float]:
    """Give what each rule alone would have changed, and what they change only together."""
    actual = float(np.sum(trades.pnl))
    alone: dict[str, float] = {}
    for name in ("revenge", "overtrading", "loss_aversion", "daily_limit"):
        safe_point()
        rules = replace(_NO_RULES, **{name: True})
        only = replay(trades, findings, limits, daily_max_loss=full.daily_max_loss, rules=rules)
        alone[name] = float(np.sum(only.simulated)) - actual
    total = float(np.sum(full.simulated)) - actual
    return {**alone, "interaction": total - sum(alone.values()), "total": total}
