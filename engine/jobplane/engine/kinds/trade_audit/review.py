"""Review: what the audit says to the trader, with every number that led to it."""

from dataclasses import asdict
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit import counterfactual
from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.clock import day_text
from jobplane.engine.kinds.trade_audit.counterfactual import BIAS, BLOCKED_REASONS
from jobplane.engine.kinds.trade_audit.grades import QUANTILES
from jobplane.engine.kinds.trade_audit.measures import finite
from jobplane.engine.kinds.trade_audit.moments import amount, examples, top_moments
from jobplane.engine.kinds.trade_audit.oddities import OUTLIER_MADS, SMALL_SAMPLE
from jobplane.engine.kinds.trade_audit.remarks import FIRST_ROWS
from jobplane.engine.kinds.trade_audit.rows import MAX_DROPPED_SHARE
from jobplane.engine.kinds.trade_audit.skeleton import (
    BADGES,
    BIASES,
    PHASES,
    TOP_MOMENTS,
    review_skeleton,
)
from jobplane.engine.kinds.trade_audit.trades import Flags
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import (
    DataQualityWarning,
    Moment,
    TradeAuditResult,
)

IMPACT_DEFINITION = "impact = |pnl - simulated_pnl|: what the disciplined path changes of a trade"
REVIEW_MOMENTS = 10
_EXAMPLES = 3
_MAX_DAYS = 20
_MAX_TEXT = 400
_INT32_MAX = 2**31 - 1


def write_review(audit: Audit) -> dict[str, Any]:
    """Give the whole review; its keys are those of the skeleton."""
    review = review_skeleton("COMPLETED")
    review |= {
        "headline": audit.outcome,
        "scoreboard": scoreboard(audit),
        "bias_rates": audit.bias_rates,
        "derived_stats": _derived_stats(audit),
        "labeling_rules": {
            "impact_definition": IMPACT_DEFINITION,
            "thresholds": thresholds(audit),
        },
        "badge_counts": badge_counts(audit, np.ones(len(audit.trades), np.bool_)),
        "badge_examples": examples(audit, _EXAMPLES),
        "top_moments": [moment.as_json() for moment in top_moments(audit, REVIEW_MOMENTS)],
        "recommendations": _recommendations(audit),
        "coach_plan": _coach_plan(audit),
        "data_quality_warnings": [remark.as_json() for remark in audit.remarks],
    }
    for code, phase in enumerate(PHASES):
        rows = audit.grades.phase == code
        review[phase] = _phase(audit, rows)
        counts = badge_counts(audit, rows)
        review["grade_distribution_by_phase"][phase] = {
            badge: count for badge, count in counts.items() if count
        }
    return review


def scoreboard(audit: Audit) -> dict[str, Any]:
    """Give the four numbers of the verdict."""
    return {
        "delta_pnl": audit.delta_pnl,
        "cost_of_bias": audit.cost_of_bias,
        "blocked_bias_count": int((audit.replay.blocked == BLOCKED_REASONS.index(BIAS)).sum()),
        "blocked_risk_count": int(audit.replay.risk_blocked.sum()),
    }


def badge_counts(audit: Audit, rows: Flags) -> dict[str, int]:
    """Count the badges of some trades."""
    counts = np.bincount(audit.grades.badge[rows], minlength=len(BADGES))
    return {badge: int(count) for badge, count in zip(BADGES, counts, strict=True)}


def thresholds(audit: Audit) -> dict[str, Any]:
    """Give every number that decided anything: as asked for, and as it was applied."""
    options, findings = audit.options, audit.findings
    return {
        "bias": asdict(options.thresholds),
        "applied": {
            "revenge_min_prev_loss": findings.revenge_min_prev_loss,
            "overtrading_limit": findings.overtrading_limit,
            "median_win": finite(findings.median_win),
            "median_loss": finite(findings.median_loss),
            "median_winner_holding_s": finite(findings.median_winner_holding_s),
            "daily_max_loss": audit.replay.daily_max_loss,
            "daily_max_loss_source": "spec" if options.daily_max_loss else "recommended",
            "near_limit_pnl": -options.thresholds.near_limit_share * audit.replay.daily_max_loss,
        },
        "recommended_limit": {
            "floor": counterfactual.LIMIT_FLOOR,
            "tail_quantile": counterfactual.LIMIT_TAIL,
            "balance_share": counterfactual.LIMIT_BALANCE_SHARE,
            "margin": counterfactual.LIMIT_MARGIN,
            "cap_intraday": counterfactual.LIMIT_CAP_INTRADAY,
            "cap_balance_share": counterfactual.LIMIT_CAP_BALANCE_SHARE,
        },
        "grade_quantiles": dict(QUANTILES),
        "grade_cuts": {name: finite(cut) for name, cut in audit.grades.cuts.items()},
        "journal": {
            "max_dropped_share": MAX_DROPPED_SHARE,
            "small_sample": SMALL_SAMPLE,
            "outlier_mads": OUTLIER_MADS,
            "timezone": options.timezone,
            "day_boundary_minutes": options.day_boundary,
            "date_order": options.date_order,
            "decimal": options.decimal,
            "base_currency": options.base_currency,
            "fx": dict(options.fx),
            "k_repeat": options.k_repeat,
            "format": audit.preset,
            "policy_version": options.policy_version,
        },
    }


def _derived_stats(audit: Audit) -> dict[str, Any]:
    days = audit.replay.breached_days
    return {
        **audit.measures,
        "simulated_pnl": float(np.sum(audit.replay.simulated)),
        "daily_max_loss": audit.replay.daily_max_loss,
        "recommended_daily_max_loss": audit.recommended_limit,
        "breached_day_count": len(days),
        "breached_days": [day_text(int(day)) for day in days[:_MAX_DAYS]],
        "attribution": audit.attribution,
        "special_tags": _special_tags(audit),
    }


def _special_tags(audit: Audit) -> dict[str, int]:
    """Count what badges don't tell: opening by the book, forced stops, lucky biases."""
    biased, risk = audit.findings.any_bias, audit.replay.risk_blocked
    sound = ~biased & ~risk & (audit.grades.badge >= BADGES.index("BRILLIANT"))
    return {
        "BOOK": int((sound & (audit.grades.phase == 0)).sum()),
        "FORCED": int(risk.sum()),
        "INTERESTING": int((biased & (audit.trades.pnl > 0)).sum()),
    }


def _phase(audit: Audit, rows: Flags) -> dict[str, Any]:
    """Sum up a third of the journal."""
    pnl, simulated = audit.trades.pnl[rows], audit.replay.simulated[rows]
    return {
        "trade_count": int(rows.sum()),
        "pnl": float(np.sum(pnl)),
        "simulated_pnl": float(np.sum(simulated)),
        "delta_pnl": float(np.sum(simulated) - np.sum(pnl)),
        "win_rate": float(np.mean(pnl > 0)) if len(pnl) else None,
        "bias_counts": {name: int((getattr(audit.findings, name) & rows).sum()) for name in BIASES},
        "risk_blocked_count": int((audit.replay.risk_blocked & rows).sum()),
    }


def _recommendations(audit: Audit) -> list[dict[str, Any]]:
    """Give what to change, dearest first."""
    limits, findings = audit.options.thresholds, audit.findings
    texts = {
        "revenge": (
            findings.revenge.sum(),
            (
                f"After a loss, wait {limits.revenge_window_minutes:g} minutes or keep to the "
                "usual size."
            ),
        ),
        "overtrading": (
            findings.overtrading.sum(),
            (
                f"Stop at {findings.overtrading_limit} trades in "
                f"{limits.overtrading_window_minutes:g} minutes and pause "
                f"{limits.overtrading_cooldown_minutes:g}."
            ),
        ),
        "loss_aversion": (
            findings.loss_aversion.sum(),
            f"Close losers at the usual loss of {amount(-findings.median_loss)}.",
        ),
        "daily_limit": (
            audit.replay.risk_blocked.sum(),
            f"End the day at {amount(-audit.replay.daily_max_loss)}.",
        ),
    }
    found = [
        {"code": code, "count": int(count), "saves": audit.attribution[code], "text": text}
        for code, (count, text) in texts.items()
        if count
    ]
    return sorted(found, key=lambda one: (-one["saves"], one["code"]))


def _coach_plan(audit: Audit) -> list[dict[str, Any]]:
    """Give a plan of a few weeks from the recommendations that pay."""
    steps = [
        {"week": week, "focus": advice["code"], "rule": advice["text"]}
        for week, advice in enumerate(
            (advice for advice in _recommendations(audit) if advice["saves"] > 0), start=1
        )
    ]
    last = {
        "week": len(steps) + 1,
        "focus": "review",
        "rule": "Audit the new journal with the same policy and compare the rates.",
    }
    return [*steps, last]


def summarize(audit: Audit) -> TradeAuditResult:
    """Give the compact result; however odd the journal, it stays small."""
    score = scoreboard(audit)
    everything = np.ones(len(audit.trades), np.bool_)
    return TradeAuditResult(
        headline=audit.outcome,
        outcome=audit.outcome,
        delta_pnl=score["delta_pnl"],
        cost_of_bias=score["cost_of_bias"],
        bias_rates=audit.bias_rates,
        badge_counts={
            badge: min(count, _INT32_MAX)
            for badge, count in badge_counts(audit, everything).items()
        },
        top_moments=[
            Moment(**{name: getattr(moment, name) for name in moment.__dataclass_fields__})
            for moment in top_moments(audit, TOP_MOMENTS)
        ],
        data_quality_warnings=[
            DataQualityWarning(
                code=remark.code,
                severity=remark.severity,
                count=remark.count,
                first_rows=remark.first_rows[:FIRST_ROWS],
                message=remark.message[:_MAX_TEXT],
            )
            for remark in audit.remarks
        ],
        trade_count=len(audit.trades),
        daily_max_loss=audit.replay.daily_max_loss,
        blocked_bias_count=score["blocked_bias_count"],
        blocked_risk_count=score["blocked_risk_count"],
    )
