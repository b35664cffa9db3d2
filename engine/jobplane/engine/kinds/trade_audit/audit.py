"""Audit: everything that was found out about one journal."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.counterfactual import Replay, verdict
from jobplane.engine.kinds.trade_audit.detective import Findings
from jobplane.engine.kinds.trade_audit.grades import Grades
from jobplane.engine.kinds.trade_audit.options import Options
from jobplane.engine.kinds.trade_audit.remarks import Remark
from jobplane.engine.kinds.trade_audit.trades import Trades


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The journal, its findings, its disciplined path and its grades."""

    options: Options
    preset: str
    trades: Trades
    findings: Findings
    replay: Replay
    grades: Grades
    recommended_limit: float
    attribution: dict[str, float]
    measures: dict[str, Any]
    remarks: tuple[Remark, ...]

    @property
    def delta_pnl(self) -> float:
        """What the disciplined path makes more than the actual one."""
        return float(np.sum(self.replay.simulated) - np.sum(self.trades.pnl))

    @property
    def cost_of_bias(self) -> float:
        """What the biases cost; never negative."""
        return max(0.0, self.delta_pnl)

    @property
    def outcome(self) -> str:
        """The verdict in one word."""
        return verdict(self.delta_pnl, self.replay.breached_days)

    @property
    def bias_rates(self) -> dict[str, float]:
        """Share of trades with each flag."""
        flags = self.findings
        return {
            "revenge_rate": float(np.mean(flags.revenge)),
            "overtrading_rate": float(np.mean(flags.overtrading)),
            "loss_aversion_rate": float(np.mean(flags.loss_aversion)),
            "any_bias_rate": float(np.mean(flags.any_bias)),
        }
