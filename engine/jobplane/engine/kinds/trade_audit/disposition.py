"""Disposition: are winners sold and losers kept? Odean's measure over a journal's lots.

On each day with an exit, the account's closed lots are counted as realised gains and
losses, and its lots left open that night as paper gains and losses against the last price
that the journal has for the asset.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from jobplane.engine.kinds.trade_audit.trades import NO_TIME, SELL, Flags, Floats, Ints, Trades

SafePoint = Callable[[], None]
# Questions answered at once: few enough to stay in the processor's cache.
_QUESTIONS = 65_536


def disposition(trades: Trades, entry_day: Ints, *, safe_point: SafePoint) -> dict[str, Any]:
    """Give PGR, PLR, their difference and its t; null where a denominator is 0."""
    known = (trades.entry != NO_TIME) & (trades.entry <= trades.timestamp)
    if not known.any():
        return _ratios(rg=0, rl=0, pg=0, pl=0, skipped=0)
    overnight = known & (entry_day < trades.day)
    priced = overnight & ~np.isnan(trades.price)
    paper_gains, paper_losses = 0, 0
    if priced.any():
        book = _Book.of(trades, entry_day, lots=priced, known=known)
        paper_gains, paper_losses = book.paper(safe_point)
    return _ratios(
        rg=int((known & (trades.pnl > 0)).sum()),
        rl=int((known & (trades.pnl < 0)).sum()),
        pg=paper_gains,
        pl=paper_losses,
        skipped=int((overnight & ~priced).sum()),
    )


def _ratios(*, rg: int, rl: int, pg: int, pl: int, skipped: int) -> dict[str, Any]:
    gains, losses = rg + pg, rl + pl
    pgr = rg / gains if gains else None
    plr = rl / losses if losses else None
    effect = error = score = None
    if pgr is not None and plr is not None:
        effect = pgr - plr
        error = sqrt(pgr * (1 - pgr) / gains + plr * (1 - plr) / losses)
        score = effect / error if error > 0 else None
    return {
        "pgr": pgr,
        "plr": plr,
        "de": effect,
        "se": error,
        "t": score,
        "rg": rg,
        "rl": rl,
        "pg": pg,
        "pl": pl,
        "skipped": skipped,
    }


@dataclass(frozen=True, slots=True)
class _Book:
    """Lots held over a night, and the nights and prices to count them at."""

    # Account, asset and side in one number per lot.
    holder: Ints
    opened: Ints
    closed: Ints
    price: Floats
    short: Flags
    account: Ints
    asset: Ints
    # Days with an exit as (account, day), and the last price of each (asset, day).
    exit_days: dict[int, Ints]
    quotes: "_Quotes"

    @classmethod
    def of(cls, trades: Trades, entry_day: Ints, *, lots: Flags, known: Flags) -> "_Book":
        short_code = trades.side.values.index(SELL) if SELL in trades.side.values else -1
        short = trades.side.codes == short_code
        account = trades.account.codes.astype(np.int64)
        asset = trades.asset.codes.astype(np.int64)
        holder = (account * len(trades.asset.values) + asset) * 2 + short
        used = {int(code) for code in np.unique(account[lots])}
        return cls(
            holder[lots],
            entry_day[lots],
            trades.day[lots],
            trades.price[lots],
            short[lots],
            account[lots],
            asset[lots],
            {code: np.unique(trades.day[known & (account == code)]) for code in used},
            _Quotes.of(trades, entry_day, known, np.unique(asset[lots])),
        )

    def paper(self, safe_point: SafePoint) -> tuple[int, int]:
        """Count paper gains and losses over all nights."""
        lot, night = self._nights(safe_point)
        spans: list[_Span] = []
        for days in (self.opened, self.closed):
            safe_point()
            spans.append(_Span.of(days, self.holder, self.holder[lot], night))
        safe_point()
        held = (spans[0].hi - spans[0].lo) > (spans[1].hi - spans[1].lo)
        lot, night = lot[held], night[held]
        if not len(lot):
            return 0, 0
        safe_point()
        marks = self.quotes.at(self.asset[lot], night)
        short = self.short[lot]
        gains = losses = 0
        # Those open at a night's end: opened by then, less closed by then.
        for span, sign in zip(spans, (1, -1), strict=True):
            prices = self.price[span.order]
            lower, higher = compare(prices, span.lo[held], span.hi[held], marks, safe_point)
            gains += sign * int(np.where(short, higher, lower).sum())
            losses += sign * int(np.where(short, lower, higher).sum())
        return gains, losses

    def _nights(self, safe_point: SafePoint) -> tuple[Ints, Ints]:
        """Give the exit days that each holder may have held lots over, with one of its lots."""
        order = np.lexsort((self.opened, self.holder))
        starts = np.flatnonzero(np.diff(self.holder[order], prepend=-1))
        final = np.maximum.reduceat(self.closed[order], starts)
        nights: list[Ints] = []
        for number, (start, end) in enumerate(zip(order[starts], final, strict=True)):
            if number % 1024 == 0:
                safe_point()
            days = self.exit_days[int(self.account[start])]
            since, until = np.searchsorted(days, (self.opened[start], end), side="left")
            nights.append(days[since:until])
        sizes = np.array([len(some) for some in nights], np.int64)
        return np.repeat(order[starts], sizes), np.concatenate(nights)


@dataclass(frozen=True, slots=True)
class _Span:
    """Lots sorted by holder and day; per question, those of its holder up to its night."""

    order: Ints
    lo: Ints
    hi: Ints

    @classmethod
    def of(cls, days: Ints, holders: Ints, asked: Ints, night: Ints) -> "_Span":
        order = np.lexsort((days, holders))
        floor, span = int(days.min()), int(days.max()) - int(days.min()) + 2
        keys = holders[order] * span + (days[order] - floor)
        lo = np.searchsorted(keys, asked * span, side="left")
        reach = np.clip(night - floor, -1, span - 1)
        hi = np.searchsorted(keys, asked * span + reach, side="right")
        return cls(order, lo, np.maximum(lo, hi))


def compare(
    prices: Floats, lo: Ints, hi: Ints, marks: Floats, safe_point: SafePoint
) -> tuple[Ints, Ints]:
    """Count, per question, the prices[lo:hi] that lie below and above its mark."""
    distinct, codes = np.unique(prices, return_inverse=True)
    below = np.searchsorted(distinct, marks, side="left")
    up_to = np.searchsorted(distinct, marks, side="right")
    counts = count_below(
        codes.astype(np.int64),
        np.concatenate((lo, lo)),
        np.concatenate((hi, hi)),
        np.concatenate((below, up_to)),
        safe_point=safe_point,
    )
    return counts[: len(lo)], hi - lo - counts[len(lo) :]


@dataclass(frozen=True, slots=True)
class _Quotes:
    """Prices that the journal has, by asset and day; the last of a day wins."""

    keys: Ints
    prices: Floats
    floor: int
    span: int

    @classmethod
    def of(cls, trades: Trades, entry_day: Ints, known: Flags, assets_held: Ints) -> "_Quotes":
        asset = trades.asset.codes.astype(np.int64)
        held = np.isin(asset, assets_held)
        # A price beside an entry time is that of the entry; else that of the execution.
        sold = np.where(known, trades.exit_price, trades.price)
        bought = held & known & ~np.isnan(trades.price)
        closed = held & ~np.isnan(sold)
        times = np.concatenate((trades.entry[bought], trades.timestamp[closed]))
        days = np.concatenate((entry_day[bought], trades.day[closed]))
        assets = np.concatenate((asset[bought], asset[closed]))
        prices = np.concatenate((trades.price[bought], sold[closed]))
        floor = int(days.min())
        span = int(days.max()) - floor + 2
        order = np.lexsort((times, assets))
        return cls(assets[order] * span + days[order] - floor, prices[order], floor, span)

    def at(self, asset: Ints, day: Ints) -> Floats:
        """Give the last price of each asset up to the end of each day."""
        reach = np.clip(day - self.floor, 0, self.span - 1)
        at = np.searchsorted(self.keys, asset * self.span + reach, side="right") - 1
        return self.prices[np.maximum(at, 0)]


def count_below(codes: Ints, lo: Ints, hi: Ints, limits: Ints, *, safe_point: SafePoint) -> Ints:
    """Count, for each question, the codes below its limit among codes[lo:hi].

    A wavelet matrix: one step per bit answers a question, however many codes it spans.
    """
    bits = max(int(codes.max(initial=0)), int(limits.max(initial=0))).bit_length()
    levels: list[_Level] = []
    for bit in reversed(range(bits)):
        safe_point()
        ones = ((codes >> bit) & 1).astype(np.bool_)
        before = np.concatenate(([0], np.cumsum(ones))).astype(np.int32)
        levels.append(_Level(bit, before, len(codes) - int(before[-1])))
        codes = np.concatenate((codes[~ones], codes[ones]))
    counts = np.empty(len(lo), np.int64)
    for start in range(0, len(lo), _QUESTIONS):
        safe_point()
        some = slice(start, start + _QUESTIONS)
        counts[some] = _answer(levels, lo[some], hi[some], limits[some])
    return counts


@dataclass(frozen=True, slots=True)
class _Level:
    """One bit of the codes, sorted by the bits above: how many ones come before each place."""

    bit: int
    ones_before: npt.NDArray[np.int32]
    zeros: int


def _answer(levels: list[_Level], lo: Ints, hi: Ints, limits: Ints) -> Ints:
    """Count for some questions."""
    counts = np.zeros(len(lo), np.int64)
    for level in levels:
        lo_ones, hi_ones = level.ones_before[lo], level.ones_before[hi]
        high = ((limits >> level.bit) & 1).astype(np.bool_)
        lo_zeros, hi_zeros = lo - lo_ones, hi - hi_ones
        counts += np.where(high, hi_zeros - lo_zeros, 0)
        lo = np.where(high, level.zeros + lo_ones, lo_zeros)
        hi = np.where(high, level.zeros + hi_ones, hi_zeros)
    return counts
