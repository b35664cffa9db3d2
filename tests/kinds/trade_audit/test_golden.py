"""Audits whose numbers were worked out by hand; the working stands in the comments."""

import pytest

from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import BiasThresholds, TradeAuditSpec
from tests.kinds.trade_audit.rig import NO_LIMIT, audit, journal

# Six wins of 10 an hour apart, a loss of 80, and ten minutes later a loss of 40 at four
# times the size.
#   losses 80 and 40: median 60, so revenge asks for a loss of at least 60 before: 80 is.
#   gap 10 min <= 15; 400 >= 2.5 * 100; median of the seven sizes before is 100, 400 >= 2 * 100.
#   wins: median 10; without entry times a loss above 4 * 10 is loss aversion: 80 is, 40 is not.
#   replay: the loss of 80 is cut at the median loss, -60; the revenge trade is scaled by
#   100/400 to -10.
REVENGE = journal(
    "02 09:00, 100, BUY, 10",
    "02 10:00, 100, BUY, 10",
    "02 11:00, 100, BUY, 10",
    "02 12:00, 100, BUY, 10",
    "02 13:00, 100, BUY, 10",
    "02 14:00, 100, BUY, 10",
    "02 15:00, 100, BUY, -80",
    "02 15:10, 400, BUY, -40",
)


def test_a_revenge_trade_is_found_and_scaled_to_the_usual_size() -> None:
    done = audit(REVENGE)
    assert done.flags("revenge") == [7]
    assert done.flags("loss_aversion") == [6]
    assert done.column("counterfactual.csv", "simulated_pnl") == [10.0] * 6 + [-60.0, -10.0]


def test_the_scoreboard_adds_up() -> None:
    # Actual 60 - 80 - 40 = -60; disciplined 60 - 60 - 10 = -10; difference 50.
    done = audit(REVENGE)
    assert done.review["scoreboard"] == {
        "delta_pnl": 50.0,
        "cost_of_bias": 50.0,
        "blocked_bias_count": 2,
        "blocked_risk_count": 0,
    }
    assert done.result.outcome == done.review["headline"] == "WINNER"
    assert done.result.bias_rates["any_bias_rate"] == 0.25


def test_what_each_rule_alone_would_change_is_told_apart() -> None:
    # Alone: scaling gives -40 -> -10 = 30; cutting gives -80 -> -60 = 20; they don't meet.
    attribution = audit(REVENGE).review["derived_stats"]["attribution"]
    assert attribution == {
        "revenge": 30.0,
        "overtrading": 0.0,
        "loss_aversion": 20.0,
        "daily_limit": 0.0,
        "interaction": 0.0,
        "total": 50.0,
    }


def test_the_recommended_limit_follows_from_the_days() -> None:
    # One day: total -60, lowest point -60 too. max(1000, 60, 60, 0) * 1.05 = 1050, capped at
    # 1.1 * 60 = 66.
    assert audit(REVENGE).result.daily_max_loss == pytest.approx(66.0)


def test_the_floor_of_the_recommended_limit_is_a_thousand() -> None:
    # Totals and lows of the two days: -900 and -2000. The 1 % quantile between two values is
    # -2000 + 0.01 * 1100 = -1989 for both: 1989 * 1.05 = 2088.45, under the cap of 2200.
    done = audit(journal("02 09:00, 1, BUY, -900", "03 09:00, 1, BUY, -2000"))
    assert done.review["derived_stats"]["recommended_daily_max_loss"] == pytest.approx(2088.45)


# Day 2: -60, then -40 brings the day to -100: the limit is hit, that trade counts. +500 comes
# after it and is not taken. Day 3: +10. Median win 255: no loss is above 4 * 255.
LIMIT = journal(
    "02 09:00, 100, BUY, -60",
    "02 10:00, 100, BUY, -40",
    "02 11:00, 100, BUY, 500",
    "03 09:00, 100, BUY, 10",
)


def test_trades_after_the_daily_limit_are_not_taken() -> None:
    done = audit(LIMIT, daily_max_loss=100)
    assert done.column("counterfactual.csv", "simulated_pnl") == [-60.0, -40.0, 0.0, 10.0]
    reasons = [row["blocked_reason"] for row in done.rows("counterfactual.csv")]
    assert reasons == ["NONE", "NONE", "DAILY_MAX_LOSS", "NONE"]


def test_a_breached_day_is_checkmate_whatever_the_difference() -> None:
    done = audit(LIMIT, daily_max_loss=100)
    assert (done.result.outcome, done.result.delta_pnl) == ("CHECKMATED", -500.0)
    assert (done.result.cost_of_bias, done.result.blocked_risk_count) == (0.0, 1)
    assert done.review["derived_stats"]["breached_days"] == ["2024-01-02"]


def test_a_limit_just_out_of_reach_changes_nothing() -> None:
    done = audit(LIMIT, daily_max_loss=100.01)
    assert (done.result.outcome, done.result.delta_pnl) == ("DRAW", 0.0)


def test_the_day_begins_at_the_boundary() -> None:
    # 22:00 begins another day: the losses at 21:00 and 22:00 are apart.
    rows = journal("02 21:00, 1, BUY, -60", "02 22:00, 1, BUY, -60", "02 23:00, 1, BUY, 200")
    assert audit(rows, daily_max_loss=100).result.blocked_risk_count == 1
    assert audit(rows, daily_max_loss=100, day_boundary="22:00").result.blocked_risk_count == 0


# Limit 2 per hour. 10:00, 10:10: fine. 10:20 is the third within the hour: flagged. 10:50 is
# the fourth, for (09:50, 10:50] holds all: flagged. Deferred by 30 min: 10:20 goes to the first
# BUY at or after 10:50, that is 40 at size 200: 40 * 100/200 = 20. 10:50 would go to 11:20 or
# later: there is none but a SELL, so 0.
BUSY = journal(
    "02 10:00, 100, BUY, 5",
    "02 10:10, 100, BUY, 5",
    "02 10:20, 100, BUY, -5",
    "02 10:50, 200, BUY, 40",
    "02 12:30, 200, SELL, 7",
)
BUSY_SPEC = TradeAuditSpec(
    daily_max_loss=NO_LIMIT, thresholds=BiasThresholds(overtrading_max_trades=2)
)


def test_overtrading_is_deferred_to_the_next_trade_of_its_kind() -> None:
    done = audit(BUSY, spec=BUSY_SPEC)
    assert done.flags("overtrading") == [2, 3]
    assert done.column("counterfactual.csv", "simulated_pnl") == [5.0, 5.0, 20.0, 0.0, 7.0]
    # (20 + 5) + (0 - 40) = -15.
    assert (done.result.outcome, done.result.delta_pnl) == ("RESIGN", -15.0)


def test_trades_of_equal_time_count_for_each_other() -> None:
    rows = journal(*["02 10:00, 100, BUY, 5"] * 3)
    assert audit(rows, spec=BUSY_SPEC).flags("overtrading") == [0, 1, 2]


def test_a_trade_exactly_an_hour_ago_does_not_count() -> None:
    rows = journal("02 10:00, 1, BUY, 5", "02 10:30, 1, BUY, 5", "02 11:00, 1, BUY, 5")
    assert audit(rows, spec=BUSY_SPEC).flags("overtrading") == []


def test_the_adaptive_limit_comes_from_calm_days() -> None:
    # Days of 1, 1 and 4 trades: the median is 1, so the first two are calm; in their hours
    # there is 1 trade, the floor of 2 is higher. On the third day the third and fourth are over.
    rows = journal(
        "02 10:00, 1, BUY, 5",
        "03 10:00, 1, BUY, 5",
        *(f"04 10:0{minute}, 1, BUY, 5" for minute in range(4)),
    )
    thresholds = BiasThresholds(
        overtrading_mode=BiasThresholds.OVERTRADING_MODE_ADAPTIVE, overtrading_floor=2
    )
    done = audit(rows, thresholds=thresholds)
    assert done.flags("overtrading") == [4, 5]
    assert done.review["labeling_rules"]["thresholds"]["applied"]["overtrading_limit"] == 2


def test_losers_held_eight_times_as_long_as_winners_are_found() -> None:
    # Winners were held 10 and 20 minutes: median 15, so over 120 minutes is too long. The
    # losers: 120 (not over), 121 (over). Median loss of 30 and 50 is 40: the 50 is cut there.
    text = "timestamp,entry_timestamp,asset,size_usd,side,pnl\n" + "".join(
        f"2024-01-{day:02} 12:00:00,{entry},X,100,BUY,{pnl}\n"
        for day, entry, pnl in (
            (2, "2024-01-02 11:50:00", 10),
            (3, "2024-01-03 11:40:00", 10),
            (4, "2024-01-04 10:00:00", -30),
            (5, "2024-01-05 09:59:00", -50),
        )
    )
    done = audit(text)
    assert done.flags("loss_aversion") == [3]
    assert done.column("counterfactual.csv", "simulated_pnl") == [10.0, 10.0, -30.0, -40.0]


def test_badges_follow_their_quantiles() -> None:
    # Wins 10..50: p70 = 38, p85 = 44, p95 = 48, p99.5 = 49.8. 40 is EXCELLENT. 50 comes after
    # two losses: BRILLIANT. Losses 1 and 2: p70 = 1.7, so 2 is an INACCURACY, 1 is GOOD. Nothing
    # is changed, so there is no impact.
    rows = [10, 20, 30, 40, -1, -2, 50]
    done = audit(
        journal(*(f"{day:02} 10:00, 100, BUY, {pnl}" for day, pnl in enumerate(rows, start=1))),
        daily_max_loss=NO_LIMIT,
    )
    badges = [row["badge"] for row in done.rows("counterfactual.csv")]
    assert badges == ["GOOD", "GOOD", "GOOD", "EXCELLENT", "GOOD", "INACCURACY", "BRILLIANT"]
    assert done.review["top_moments"] == []


def test_the_thirds_of_a_journal_are_its_phases() -> None:
    rows = [f"{day:02} 10:00, 100, BUY, {day}" for day in range(1, 8)]
    review = audit(journal(*rows), daily_max_loss=NO_LIMIT).review
    counts = [review[phase]["trade_count"] for phase in ("opening", "middlegame", "endgame")]
    assert counts == [3, 2, 2]
    assert review["opening"]["pnl"] == 1 + 2 + 3


def test_moments_come_by_impact_then_time_then_line() -> None:
    # Impacts: -80 -> -60 is 20, -40 -> -10 is 30.
    moments = audit(REVENGE).result.top_moments
    assert [(moment.row, moment.impact) for moment in moments] == [(9, 30.0), (8, 20.0)]
    assert [moment.reason for moment in moments] == ["REVENGE_RESCALED", "LOSS_AVERSION_CAPPED"]
    assert moments[0].sentence == (
        "2024-01-02 15:10 UTC: X made -40.00; at the usual size it would have made -10.00."
    )


def test_disposition_counts_paper_gains_and_losses_at_the_days_of_exits() -> None:
    # Day 2: A (10 -> 12) is sold: a realised gain. B, bought at 10, stays open; the last price
    # of B by then is 9, at which another lot of B was bought and sold: a paper loss (and that
    # lot of no gain and no loss counts nowhere). Day 3: B is sold at 8: a realised loss, and
    # nothing is open. PGR = 1/1, PLR = 1/2, DE = 1/2, SE = sqrt(0 + 0.25/2), t = DE/SE = sqrt 2.
    text = (
        "timestamp,entry_timestamp,asset,side,quantity,price,exit_price,pnl\n"
        "2024-01-02 12:00:00,2024-01-01 12:00:00,A,BUY,1,10,12,2\n"
        "2024-01-02 13:00:00,2024-01-02 12:30:00,B,BUY,1,9,9,0\n"
        "2024-01-03 12:00:00,2024-01-01 12:00:00,B,BUY,1,10,8,-2\n"
    )
    found = audit(text).review["derived_stats"]["disposition"]
    assert (found["rg"], found["rl"], found["pg"], found["pl"]) == (1, 1, 0, 1)
    assert (found["pgr"], found["plr"], found["de"]) == (1.0, 0.5, 0.5)
    assert found["t"] == pytest.approx(2**0.5)


def test_disposition_of_a_short_position_is_the_other_way_round() -> None:
    # As above with B sold short at 10: at 9 it is a paper gain.
    text = (
        "timestamp,entry_timestamp,asset,side,quantity,price,exit_price,pnl\n"
        "2024-01-02 12:00:00,2024-01-01 12:00:00,A,BUY,1,10,12,2\n"
        "2024-01-02 13:00:00,2024-01-02 12:30:00,B,BUY,1,9,9,0\n"
        "2024-01-03 12:00:00,2024-01-01 12:00:00,B,SELL,1,10,8,2\n"
    )
    found = audit(text).review["derived_stats"]["disposition"]
    assert (found["rg"], found["rl"], found["pg"], found["pl"]) == (2, 0, 1, 0)
    assert (found["plr"], found["de"], found["t"]) == (None, None, None)


def test_repeats_follow_each_other_by_whole_days() -> None:
    # Days 2 and 3 span two days: the second copy falls on days 4 and 5.
    done = audit(LIMIT, daily_max_loss=100, k_repeat=2)
    days = [row["timestamp"][:10] for row in done.rows("normalized.csv")]
    assert days == ["2024-01-02"] * 3 + ["2024-01-03"] + ["2024-01-04"] * 3 + ["2024-01-05"]
    assert done.result.delta_pnl == -1000.0
    assert done.result.blocked_risk_count == 2
