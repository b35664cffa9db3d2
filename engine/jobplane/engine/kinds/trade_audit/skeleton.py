"""Skeleton of a review: every stable key, before there is anything to say.

The finished review, the client and the HTTP door all start from it, so that a reader
finds the same keys at any time. Light: it imports neither pandas nor pyarrow.
"""

from typing import Any

REVIEW_SCHEMA = "trade_audit.review/1"
PHASES = ("opening", "middlegame", "endgame")
BIASES = ("revenge", "overtrading", "loss_aversion")
RATES = ("revenge_rate", "overtrading_rate", "loss_aversion_rate", "any_bias_rate")
BADGES = (
    "MEGABLUNDER",
    "BLUNDER",
    "MISS",
    "MISTAKE",
    "INACCURACY",
    "BRILLIANT",
    "GREAT",
    "BEST",
    "EXCELLENT",
    "GOOD",
)
TOP_MOMENTS = 3
# A result message, serialized, is never larger.
MAX_RESULT_BYTES = 25 * 1024


def review_skeleton(
    execution_status: str = "PENDING", *, error_type: str = "", error_message: str = ""
) -> dict[str, Any]:
    """Give a review with every stable key; what is not known yet is null or empty.

    `execution_status` is the word of the trade-audit API: PENDING, RUNNING, COMPLETED,
    FAILED or TIMEOUT.
    """
    return {
        "schema": REVIEW_SCHEMA,
        "headline": None,
        "execution_status": execution_status,
        "scoreboard": {
            "delta_pnl": None,
            "cost_of_bias": None,
            "blocked_bias_count": None,
            "blocked_risk_count": None,
        },
        "bias_rates": dict.fromkeys(RATES),
        "derived_stats": {},
        "labeling_rules": {"impact_definition": None, "thresholds": {}},
        "badge_counts": dict.fromkeys(BADGES, 0),
        "badge_examples": {},
        "grade_distribution_by_phase": {phase: {} for phase in PHASES},
        **{phase: {} for phase in PHASES},
        "top_moments": [],
        "recommendations": [],
        "coach_plan": [],
        "data_quality_warnings": [],
        "error_type": error_type or None,
        "error_message": error_message or None,
    }
