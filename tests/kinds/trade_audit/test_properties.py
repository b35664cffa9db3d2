"""What must hold for every journal."""

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobplane.engine.kinds.trade_audit.detective import rolling_median
from jobplane.engine.kinds.trade_audit.disposition import count_below
from jobplane.engine.kinds.trade_audit.round_trips import match_fills
from jobplane.engine.kinds.trade_audit.trades import Labels, Trades, grouped_cumsum
from tests.kinds.trade_audit.rig import HEADER, audit

# Journals as (seconds after the one before, size, pnl in cents, sells).
TRADES = st.lists(
    st.tuples(
        st.integers(1, 7200), st.integers(1, 10**6), st.integers(-(10**6), 10**6), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


def lines(trades: list[tuple[int, int, int, bool]], factor: int = 1) -> list[str]:
    clock, rows = np.datetime64("2024-01-02T00:00:00"), []
    for gap, size, cents, sells in trades:
        clock += np.timedelta64(gap, "s")
        side = "SELL" if sells else "BUY"
        rows.append(f"{clock},X,1,{size * factor},{side},{cents * factor / 100}\n")
    return rows


@settings(max_examples=25, deadline=None)
@given(TRADES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    trades: list[tuple[int, int, int, bool]], order: random.Random
) -> None:
    rows = lines(trades)
    straight = audit(HEADER + "".join(rows))
    order.shuffle(rows)
    shuffled = audit(HEADER + "".join(rows))
    for one, other in zip(
        straight.rows("counterfactual.csv"), shuffled.rows("counterfactual.csv"), strict=True
    ):
        assert {**one, "row": ""} == {**other, "row": ""}
    assert straight.review["scoreboard"] == shuffled.review["scoreboard"]


@settings(max_examples=25, deadline=None)
@given(TRADES, st.sampled_from([2, 4, 1024]))
def test_another_currency_scales_money_and_changes_nothing_else(
    trades: list[tuple[int, int, int, bool]], factor: int
) -> None:
    # Powers of two scale floats exactly, so all comparisons come out alike.
    one = audit(HEADER + "".join(lines(trades)), daily_max_loss=500)
    other = audit(HEADER + "".join(lines(trades, factor)), daily_max_loss=500 * factor)
    for name in ("revenge", "overtrading", "loss_aversion"):
        assert one.flags(name) == other.flags(name)
    assert one.result.outcome == other.result.outcome
    assert one.result.delta_pnl * factor == other.result.delta_pnl or np.isclose(
        one.result.delta_pnl * factor, other.result.delta_pnl
    )


@settings(max_examples=25, deadline=None)
@given(TRADES)
def test_the_score_adds_up(trades: list[tuple[int, int, int, bool]]) -> None:
    done = audit(HEADER + "".join(lines(trades)))
    stats, result = done.review["derived_stats"], done.result
    assert sum(result.badge_counts.values()) == result.trade_count == len(trades)
    assert np.isclose(stats["simulated_pnl"] - stats["total_pnl"], result.delta_pnl)
    assert result.cost_of_bias == max(0.0, result.delta_pnl)
    parts = [value for name, value in stats["attribution"].items() if name != "total"]
    assert np.isclose(sum(parts), result.delta_pnl, atol=1e-6)
    assert sum(done.review[phase]["trade_count"] for phase in PHASES) == len(trades)


PHASES = ("opening", "middlegame", "endgame")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5), st.integers(1, 9)), max_size=60))
def test_matching_agrees_with_a_queue_of_lots(fills: list[tuple[int, int, int]]) -> None:
    fills = [fill for fill in fills if fill[1]]
    expected: list[tuple[int, int, int, int]] = []
    lots: dict[int, list[tuple[int, int, int]]] = {0: [], 1: [], 2: []}
    for place, (asset, quantity, price) in enumerate(fills):
        left = quantity
        queue = lots[asset]
        while left and queue and queue[0][1] * left < 0:
            opened, amount, cost = queue[0]
            taken = min(abs(amount), abs(left))
            sign = 1 if amount > 0 else -1
            expected.append((place, opened, taken, taken * (price - cost) * sign))
            queue[0] = (opened, amount - sign * taken, cost)
            if not queue[0][1]:
                queue.pop(0)
            left += sign * taken
        if left:
            queue.append((place, left, price))
    if not fills:
        return
    assets, quantities, prices = (np.array(column) for column in zip(*fills, strict=True))
    size = len(fills)
    nothing, zeros = np.full(size, np.nan), np.zeros(size)
    rows = np.arange(size, dtype=np.int64)
    matched = match_fills(
        Trades(
            row=rows,
            timestamp=rows,
            entry=rows,
            asset=Labels(assets.astype(np.int32), ("0", "1", "2")),
            side=Labels.constant("", size),
            account=Labels.constant("", size),
            currency=Labels.constant("", size),
            quantity=np.abs(quantities).astype(np.float64),
            price=prices.astype(np.float64),
            exit_price=nothing,
            size_usd=nothing,
            pnl=nothing,
            fee=zeros,
            balance=nothing,
            day=zeros.astype(np.int64),
        ),
        signed=quantities.astype(np.float64),
        multiplier=np.ones(size),
    )
    found = matched.trades
    got = list(zip(found.row, found.entry, found.quantity, found.pnl, strict=True))
    assert sorted(got) == sorted(expected)
    assert matched.open_rows.tolist() == sorted(lot[0] for queue in lots.values() for lot in queue)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=50), st.data())
def test_counting_below_agrees_with_looking(codes: list[int], data: st.DataObject) -> None:
    size = len(codes)
    lo = data.draw(st.lists(st.integers(0, size), min_size=1, max_size=10))
    hi = [data.draw(st.integers(low, size)) for low in lo]
    limits = [data.draw(st.integers(0, 25)) for _ in lo]
    columns = [np.array(column, np.int64) for column in (codes, lo, hi, limits)]
    got = count_below(*columns, safe_point=lambda: None)
    expected = [
        sum(code < limit for code in codes[low:high])
        for low, high, limit in zip(lo, hi, limits, strict=True)
    ]
    assert got.tolist() == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_running_sums_are_those_of_each_group(sizes: list[int]) -> None:
    values = np.arange(sum(sizes), dtype=np.float64) / 10
    starts = np.cumsum([0, *sizes[:-1]])
    expected = np.concatenate([np.cumsum(part) for part in np.split(values, starts[1:])])
    assert grouped_cumsum(values, starts).tolist() == expected.tolist()


def test_a_rolling_median_never_looks_at_its_own_row(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "jobplane.engine.kinds.trade_audit.detective._MEDIAN_BATCH"
    values = np.random.default_rng(1).normal(size=500)
    expected = pd.Series(values).shift(1).rolling(50, min_periods=5).median().to_numpy()
    for batch in (7, 64, 1000):
        monkeypatch.setattr(module, batch)
        got = rolling_median(values, window=50, least=5, safe_point=lambda: None)
        np.testing.assert_array_equal(got, expected)
