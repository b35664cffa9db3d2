"""Makes trade journals that look like a day trader's, with biases planted where you say.

    python examples/journals/generate.py --trades 2000 --seed 7 --out journal.csv

Uses nothing but the standard library, so that it shares no code with what it tests. Each
row says which bias was planted in it (column `planted`, left out of the file unless
--labels asks for it).
"""

import argparse
import csv
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = (
    "timestamp",
    "entry_timestamp",
    "asset",
    "side",
    "quantity",
    "price",
    "exit_price",
    "size_usd",
    "pnl",
)
REVENGE, OVERTRADING, LOSS_AVERSION = "revenge", "overtrading", "loss_aversion"
PRICES = {"BTC-USD": 42_000.0, "ETH-USD": 2_300.0, "SOL-USD": 98.0, "ES": 4_780.0, "AAPL": 192.0}

_START = datetime(2024, 1, 2, tzinfo=UTC)
_OPEN_S = 9.5 * 3600
_USUAL_SIZE = 5_000.0
_USUAL_HOLDING_S = 18 * 60.0
# An hour with more trades than this is overtrading by default.
BURST_LIMIT = 200
_BURST_TRADES = 260
_BURST_S = 50 * 60.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How often the trader gives in, and how much sound trades differ from each other."""

    # Share of losses avenged, of losers kept, of days with a burst.
    revenge: float = 0.15
    loss_aversion: float = 0.08
    burst_days: float = 0.02
    # Standard deviations of the logarithms.
    size_spread: float = 0.2
    holding_spread: float = 0.4


@dataclass(frozen=True, slots=True)
class Trade:
    """One closed trade; `planted` names the bias that made it."""

    exit: datetime
    entry: datetime
    asset: str
    side: str
    quantity: float
    price: float
    exit_price: float
    pnl: float
    planted: str = ""

    @property
    def size_usd(self) -> float:
        """Value at the entry."""
        return round(self.quantity * self.price, 2)

    def cells(self) -> tuple[str, ...]:
        """Give the row as the file has it."""
        return (
            f"{self.exit:%Y-%m-%d %H:%M:%S}",
            f"{self.entry:%Y-%m-%d %H:%M:%S}",
            self.asset,
            self.side,
            f"{self.quantity:.6f}",
            f"{self.price:.4f}",
            f"{self.exit_price:.4f}",
            f"{self.size_usd:.2f}",
            f"{self.pnl:.2f}",
        )


class Trader:
    """Trades day after day, with habits."""

    def __init__(self, seed: int, habits: Habits) -> None:
        self._random = random.Random(seed)  # noqa: S311  a journal is no secret
        self._habits = habits
        self._prices = dict(PRICES)

    def journal(self, trades: int) -> list[Trade]:
        """Give at least so many trades, oldest exit first."""
        done: list[Trade] = []
        day = _START
        while len(done) < trades:
            if day.weekday() < 5:  # noqa: PLR2004  Saturday is 5
                done += self._day(day)
            day += timedelta(days=1)
        return sorted(done, key=lambda trade: trade.exit)[:trades]

    def _day(self, day: datetime) -> Iterator[Trade]:
        if self._random.random() < self._habits.burst_days:
            yield from self._burst(day)
            return
        clock = day + timedelta(seconds=_OPEN_S + self._random.uniform(0, 1800))
        for _ in range(self._random.randint(6, 16)):
            trade = self._usual(clock)
            yield trade
            clock = max(clock, trade.exit) + timedelta(minutes=self._random.uniform(16, 40))
            if trade.planted or trade.pnl > -0.004 * _USUAL_SIZE:
                continue
            if self._random.random() < self._habits.revenge:
                angry = self._revenge(trade)
                yield angry
                clock = angry.exit + timedelta(minutes=self._random.uniform(16, 40))

    def _usual(self, entry: datetime) -> Trade:
        """Trade as usual; some losers are kept far too long."""
        won = self._random.random() < 0.53  # noqa: PLR2004  a little skill
        size = _USUAL_SIZE * math.exp(self._random.gauss(0, self._habits.size_spread))
        held = _USUAL_HOLDING_S * math.exp(self._random.gauss(0, self._habits.holding_spread))
        move = abs(self._random.gauss(0, 0.006)) + 0.0005
        if not won and self._random.random() < self._habits.loss_aversion:
            held = _USUAL_HOLDING_S * self._random.uniform(12, 20)
            kept = move * self._random.uniform(2, 4)
            return self._close(entry, size, held, -kept, LOSS_AVERSION)
        return self._close(entry, size, held, move if won else -move)

    def _revenge(self, lost: Trade) -> Trade:
        """Go in again at once, at several times the size."""
        entry = lost.exit + timedelta(seconds=self._random.uniform(20, 120))
        size = max(lost.size_usd, _USUAL_SIZE) * self._random.uniform(3.2, 5)
        move = self._random.gauss(-0.002, 0.006)
        return self._close(entry, size, self._random.uniform(120, 600), move, REVENGE)

    def _burst(self, day: datetime) -> Iterator[Trade]:
        """Click through most of an hour."""
        start = day + timedelta(seconds=_OPEN_S)
        for number in range(_BURST_TRADES):
            entry = start + timedelta(seconds=number * _BURST_S / _BURST_TRADES)
            size = _USUAL_SIZE * math.exp(self._random.gauss(0, 0.1))
            move = self._random.gauss(-0.0004, 0.003)
            planted = OVERTRADING if number >= BURST_LIMIT else ""
            yield self._close(entry, size, 9.0, move, planted)
        clock = start + timedelta(hours=3)
        for _ in range(6):
            trade = self._usual(clock)
            yield trade
            clock = trade.exit + timedelta(minutes=self._random.uniform(16, 40))

    def _close(
        self, entry: datetime, size: float, held_s: float, move: float, planted: str = ""
    ) -> Trade:
        asset = self._random.choice(tuple(self._prices))
        price = self._prices[asset] * math.exp(self._random.gauss(0, 0.001))
        self._prices[asset] = price
        long = self._random.random() < 0.6  # noqa: PLR2004  more long than short
        quantity = round(size / price, 6)
        exit_price = round(price * (1 + move if long else 1 - move), 4)
        pnl = round((exit_price - price) * quantity * (1 if long else -1), 2)
        # Whole seconds, as the file has them.
        entry = entry.replace(microsecond=0)
        leave = entry + timedelta(seconds=max(1, round(held_s)))
        side = "BUY" if long else "SELL"
        return Trade(leave, entry, asset, side, quantity, price, exit_price, pnl, planted)


def make_journal(trades: int, *, seed: int = 7, habits: Habits | None = None) -> list[Trade]:
    """Give a journal; equal arguments give equal journals."""
    return Trader(seed, habits or Habits()).journal(trades)


def write_journal(trades: Iterable[Trade], path: Path, *, labels: bool = False) -> None:
    """Write a journal as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, "planted") if labels else COLUMNS)
        for trade in trades:
            cells = trade.cells()
            writer.writerow((*cells, trade.planted) if labels else cells)


def main() -> None:
    """Write one journal."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trades", type=int, default=2000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--labels", action="store_true", help="add the column `planted`")
    given = options.parse_args()
    write_journal(make_journal(given.trades, seed=given.seed), given.out, labels=given.labels)


if __name__ == "__main__":
    main()
