"""Round trips: fills matched first in, first out, per account and asset, long and short.

Fills of one account and asset lie on two lines: what they open and what they close, each
laid end to end. First in, first out means that the two lines cover each other, so every
match is an interval between two neighbouring marks of either line. A fill that turns a
position around is a close and an open.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from jobplane.engine.kinds.trade_audit.trades import (
    BUY,
    SELL,
    Floats,
    Ints,
    Labels,
    Trades,
    group_starts,
)

# Quantities are compared as whole numbers of this part of a unit, or coarser if they are huge.
_FINEST = 1e-8
_LARGEST_SUM = 2.0**60


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Closed trades, and the fills whose position was still open at the end."""

    trades: Trades
    open_rows: Ints


def match_fills(fills: Trades, *, signed: Floats, multiplier: Floats) -> RoundTrips:
    """Give the closed round trips of fills; `signed` is the quantity, negative for a sale.

    A fill that closes several lots gives one trade for each. Cost is shared by quantity.
    """
    codes = _pair_codes(fills)
    order = np.lexsort((np.arange(len(fills)), fills.timestamp, codes))
    starts = group_starts([codes[order]])
    unit = max(_FINEST, float(np.abs(signed).sum()) / _LARGEST_SUM)
    amounts = np.rint(signed[order] / unit).astype(np.int64)
    opened, closed = _split(amounts, starts)
    spans = _Spans.of(opened, closed, starts)
    first, last, matched = spans.matches()
    quantity: Floats = matched.astype(np.float64) * unit
    entry, exit_ = order[first], order[last]
    trades = _close(fills, entry, exit_, quantity=quantity, signed=signed, multiplier=multiplier)
    keep = np.lexsort((exit_, trades.timestamp))
    still_open = spans.remaining() > 0
    return RoundTrips(trades.take(keep), np.sort(fills.row[order[still_open]]))


def _pair_codes(fills: Trades) -> Ints:
    """Give a number to each pair of account and asset."""
    return fills.account.codes.astype(np.int64) * len(fills.asset.values) + fills.asset.codes


def _split(amounts: Ints, starts: Ints) -> tuple[Ints, Ints]:
    """Part each fill into what it opens and what it closes."""
    sizes = np.diff(np.append(starts, len(amounts)))
    running = np.cumsum(amounts)
    base = np.repeat(running[starts] - amounts[starts], sizes)
    before = running - amounts - base
    against = np.sign(before) * np.sign(amounts) < 0
    closed = np.where(against, np.minimum(np.abs(amounts), np.abs(before)), 0)
    return np.abs(amounts) - closed, closed


@dataclass(frozen=True, slots=True)
class _Spans:
    """Ends of what each fill opens and closes, on one line per kind for all groups together.

    What a group leaves open is closed at its end by nobody, so that the next group's
    opens and closes begin at the same mark.
    """

    open_ends: Ints
    close_ends: Ints
    opened: Ints
    closed_up_to: Ints

    @classmethod
    def of(cls, opened: Ints, closed: Ints, starts: Ints) -> "_Spans":
        sizes = np.diff(np.append(starts, len(opened)))
        open_ends = np.cumsum(opened)
        base = np.repeat(open_ends[starts] - opened[starts], sizes)
        in_group = np.cumsum(closed)
        in_group -= np.repeat(in_group[starts] - closed[starts], sizes)
        close_ends = base + in_group
        # How far each group's closes reach in the end.
        reach = close_ends[np.append(starts[1:], len(opened)) - 1] if len(starts) else starts
        return cls(open_ends, close_ends, opened, np.repeat(reach, sizes))

    def matches(self) -> tuple[Ints, Ints, Ints]:
        """Give opening fill, closing fill and amount of each match."""
        marks = np.unique(np.concatenate(([0], self.open_ends, self.close_ends)))
        lower, upper = marks[:-1], marks[1:]
        first = np.searchsorted(self.open_ends, upper, side="left")
        covered = upper <= self.closed_up_to[np.minimum(first, len(self.opened) - 1)]
        last = np.searchsorted(self.close_ends, upper, side="left")
        return first[covered], last[covered], (upper - lower)[covered]

    def remaining(self) -> Ints:
        """Give how much of each opening fill nobody closed."""
        start = self.open_ends - self.opened
        return self.open_ends - np.clip(self.closed_up_to, start, self.open_ends)


def _close(
    fills: Trades,
    entry: Ints,
    exit_: Ints,
    *,
    quantity: Floats,
    signed: Floats,
    multiplier: Floats,
) -> Trades:
    """Give the trade of each match."""
    direction = np.sign(signed[entry])
    sizes = np.abs(signed)
    cost = fills.fee[entry] * (quantity / sizes[entry]) + fills.fee[exit_] * (
        quantity / sizes[exit_]
    )
    gross = (fills.price[exit_] - fills.price[entry]) * quantity * direction * multiplier[entry]
    closed = fills.take(exit_)
    side: npt.NDArray[np.int32] = (direction < 0).astype(np.int32)
    return replace(
        closed,
        entry=fills.timestamp[entry],
        side=Labels(side, (BUY, SELL)),
        quantity=quantity,
        price=fills.price[entry],
        exit_price=fills.price[exit_],
        size_usd=np.abs(quantity * fills.price[entry] * multiplier[entry]),
        pnl=gross - cost,
        fee=cost,
    )
