"""Policy: the rules of the disciplined path, and what they did, as plain text."""

from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.clock import day_text
from jobplane.engine.kinds.trade_audit.moments import amount
from jobplane.engine.kinds.trade_audit.review import scoreboard

_MAX_DAYS = 100


def write_policy(audit: Audit) -> str:
    """Give the report that a risk officer would file."""
    options, findings, replay = audit.options, audit.findings, audit.replay
    limits = options.thresholds
    source = "given" if options.daily_max_loss else "recommended from the journal"
    score = scoreboard(audit)
    days = [day_text(int(day)) for day in replay.breached_days]
    shown = days[:_MAX_DAYS]
    lines = [
        "TRADE AUDIT POLICY REPORT",
        "",
        f"Outcome: {audit.outcome}",
        f"Policy version: {options.policy_version or '-'}",
        f"Trades: {len(audit.trades)}",
        (
            f"Trading day: begins {options.day_boundary // 60:02}:{options.day_boundary % 60:02} "
            f"{options.timezone}"
        ),
        "",
        "Rules, in the order of their application",
        (
            f"1. Overtrading: more than {findings.overtrading_limit} trades in "
            f"{limits.overtrading_window_minutes:g} minutes; the trade is taken after "
            f"{limits.overtrading_cooldown_minutes:g} minutes at the next one of its asset "
            "and side."
        ),
        (
            f"2. Revenge: within {limits.revenge_window_minutes:g} minutes of a loss of at least "
            f"{findings.revenge_min_prev_loss:.2f}, at {limits.revenge_size_ratio:g} times its "
            f"size and {limits.revenge_median_ratio:g} times the median of the "
            f"{limits.rolling_trades} trades before; the trade is scaled to that median."
        ),
        (
            f"3. Loss aversion: held over {limits.loss_holding_ratio:g} times as long as the "
            f"median winner, or without times lost over {limits.loss_payoff_ratio:g} times the "
            "median win; the loss is cut at the median loss."
        ),
        f"4. Daily limit: {replay.daily_max_loss:.2f} ({source}); after it the day is over.",
        "",
        "What the rules did",
        (
            f"Flagged: revenge {int(findings.revenge.sum())}, overtrading "
            f"{int(findings.overtrading.sum())}, loss aversion {int(findings.loss_aversion.sum())}"
        ),
        f"Changed for a bias: {score['blocked_bias_count']}",
        f"Taken out by the daily limit: {score['blocked_risk_count']}",
        f"Difference: {amount(audit.delta_pnl)}",
        f"Cost of bias: {audit.cost_of_bias:,.2f}",
        *(f"  {name}: {amount(value)}" for name, value in audit.attribution.items()),
        "",
        f"Recommended daily limit: {audit.recommended_limit:.2f}",
        f"Days on which the disciplined path hits the limit: {len(days)}",
        *(f"  {day}" for day in shown),
        *([f"  and {len(days) - len(shown)} more"] if len(days) > len(shown) else []),
    ]
    return "\n".join(lines) + "\n"
