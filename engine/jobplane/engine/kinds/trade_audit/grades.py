"""Grades: a badge for each trade, as a chess engine gives one to each move."""

from dataclasses import dataclass

import numpy as np

from jobplane.engine.kinds.trade_audit.counterfactual import Replay
from jobplane.engine.kinds.trade_audit.detective import Findings
from jobplane.engine.kinds.trade_audit.options import Thresholds
from jobplane.engine.kinds.trade_audit.skeleton import BADGES, PHASES
from jobplane.engine.kinds.trade_audit.trades import (
    Flags,
    Floats,
    Ints,
    Labels,
    Trades,
    group_starts,
    grouped_cumsum,
)

# Quantiles by name; impact looks at positive impacts, loss at losses, win at wins.
QUANTILES = {
    "impact_p65": 0.65,
    "impact_p80": 0.80,
    "impact_p90": 0.90,
    "impact_p95": 0.95,
    "impact_p995": 0.995,
    "loss_p70": 0.70,
    "loss_p85": 0.85,
    "loss_p95": 0.95,
    "win_p70": 0.70,
    "win_p85": 0.85,
    "win_p95": 0.95,
    "win_p995": 0.995,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """Badges per trade, and the numbers they came from."""

    # Index into BADGES.
    badge: Ints
    # Distance between what was made and what the disciplined path makes.
    impact: Floats
    # Losses in a row just before, in the same account.
    streak: Ints
    # Index into PHASES.
    phase: Ints
    near_limit: Flags
    # Quantiles by name; NaN where there is nothing to take them of.
    cuts: dict[str, float]


def grade(trades: Trades, findings: Findings, replay: Replay, limits: Thresholds) -> Grades:
    """Give every trade its badge; of those that fit, the first of BADGES."""
    pnl = trades.pnl
    impact = np.abs(pnl - replay.simulated)
    cuts = quantile_cuts(pnl, impact)
    streak = losing_streak(pnl, trades.account)
    # The disciplined day so far, this trade included.
    day_pnl = grouped_cumsum(replay.simulated, group_starts([trades.day]))
    near = day_pnl <= -limits.near_limit_share * replay.daily_max_loss
    rules = _Rules(pnl, impact, streak, near, findings.any_bias, replay.risk_blocked, cuts)
    fits = rules.fits()
    return Grades(
        badge=np.select(fits, list(range(len(fits))), default=BADGES.index("GOOD")).astype(
            np.int64
        ),
        impact=impact,
        streak=streak,
        phase=phases(len(trades)),
        near_limit=near,
        cuts=cuts,
    )


def quantile_cuts(pnl: Floats, impact: Floats) -> dict[str, float]:
    """Give the quantiles that badges look at, interpolated linearly."""
    samples = {"impact": impact[impact > 0], "loss": -pnl[pnl < 0], "win": pnl[pnl > 0]}
    return {
        name: float(np.quantile(sample, share)) if len(sample) else float("nan")
        for name, share in QUANTILES.items()
        for sample in (samples[name.partition("_")[0]],)
    }


def losing_streak(pnl: Floats, account: Labels) -> Ints:
    """Count the losses in a row just before each trade in its account."""
    order = np.argsort(account.codes, kind="stable")
    codes, lost = account.codes[order], pnl[order] < 0
    position = np.arange(len(pnl), dtype=np.int64)
    # A run begins behind the last trade that was no loss, or where the account begins.
    begins = np.zeros(len(pnl), np.int64)
    begins[1:] = np.where(lost[:-1], 0, position[1:])
    fresh = np.zeros(len(pnl), np.bool_)
    fresh[1:] = codes[1:] != codes[:-1]
    begins = np.maximum.accumulate(np.where(fresh, position, begins))
    streak = np.empty_like(position)
    streak[order] = position - begins
    return streak


def phases(size: int) -> Ints:
    """Part the trades, in their order, into thirds."""
    return np.arange(size, dtype=np.int64) * len(PHASES) // max(size, 1)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What each badge asks of a trade; a comparison with NaN is never true."""

    pnl: Floats
    impact: Floats
    streak: Ints
    near: Flags
    bias: Flags
    risk: Flags
    cuts: dict[str, float]

    def fits(self) -> list[Flags]:
        """Give who fits each badge but the last, in the order of BADGES."""
        lost, won = self.pnl < 0, self.pnl > 0
        loss = -self.pnl
        touched = (self.bias | self.risk) & ~won
        return [
            touched & self._impact("p995"),
            touched & self._impact("p95"),
            (self.bias & won & (self.streak >= 1) & self._impact("p90"))
            | (self.risk & won & self._impact("p80")),
            lost & (self._impact("p80") | (self.bias & (loss >= self.cuts["loss_p85"]))),
            lost & (self.bias | self.near | (loss >= self.cuts["loss_p70"]) | self._impact("p65")),
            won & (self.pnl >= self.cuts["win_p995"]) & (self.near | (self.streak >= 2)),  # noqa: PLR2004  two losses before
            won & (self.pnl >= self.cuts["win_p95"]) & (self.near | (self.streak >= 1)),
            won & (self.pnl >= self.cuts["win_p85"]),
            won & (self.pnl >= self.cuts["win_p70"]),
        ]

    def _impact(self, quantile: str) -> Flags:
        found: Flags = self.impact >= self.cuts[f"impact_{quantile}"]
        return found
