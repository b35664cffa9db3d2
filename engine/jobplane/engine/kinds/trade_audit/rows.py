"""Rows: the text columns of a journal read as trades or fills, in file order."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.arrow import pa, pc
from jobplane.engine.kinds.trade_audit.clock import Times, join_date_and_time, read_times
from jobplane.engine.kinds.trade_audit.formats import GROSS, SIGNED, Layout
from jobplane.engine.kinds.trade_audit.money import Numbers, read_numbers
from jobplane.engine.kinds.trade_audit.options import Options
from jobplane.engine.kinds.trade_audit.reading import RawJournal, SafePoint, refuse
from jobplane.engine.kinds.trade_audit.remarks import INFO, Remarks, quote
from jobplane.engine.kinds.trade_audit.trades import (
    BUY,
    NO_TIME,
    SELL,
    Flags,
    Floats,
    Labels,
    Trades,
)

# A journal that loses more of its rows than this is not audited.
MAX_DROPPED_SHARE = 0.2
UNKNOWN_ASSET = "UNKNOWN"

_BUY_WORDS = frozenset(
    """buy b long l bot bought bto btc bc bid cover buytocover buytoopen buytoclose openlong
    closeshort 1 +1""".split()  # noqa: SIM905  words read better than quotes
)
_SELL_WORDS = frozenset(
    """sell s short ss sld sold sto stc ask a sellshort shortsell selltoopen selltoclose
    openshort closelong -1""".split()  # noqa: SIM905  words read better than quotes
)
# Rows of a statement that are no trades.
_NO_TRADES = frozenset(
    """balance credit deposit withdrawal dividend interest rebate correction bonus buylimit
    buystop selllimit sellstop cancelled canceled transfer""".split()  # noqa: SIM905  as above
)
_NUMBERS = ("quantity", "price", "exit_price", "size_usd", "pnl", "balance", "multiplier")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that could be read; a fill or a trade each."""

    trades: Trades
    multiplier: Floats
    # Sides as the journal gave them: +1, -1 or 0.
    sign: Floats
    has_pnl: bool
    source_rows: int
    dropped: int


class RowReader:
    """Reads the columns of one journal."""

    def __init__(
        self,
        raw: RawJournal,
        layout: Layout,
        options: Options,
        remarks: Remarks,
        safe_point: SafePoint,
    ) -> None:
        self._raw = raw
        self._layout = layout
        self._options = options
        self._remarks = remarks
        self._safe_point = safe_point

    def read(self) -> Rows:
        """Read every column, and drop the rows that can't be read, with a remark."""
        raw, size = self._raw, len(self._raw.lines)
        side, sign, no_trade = self._sides()
        exits = self._times("timestamp")
        entries = (
            self._times("entry_timestamp") if "entry_timestamp" in self._layout.columns else None
        )
        self._safe_point()
        numbers = self._numbers()
        self._safe_point()
        if "pnl" in numbers and self._layout.blank_pnl_opens:
            no_trade = no_trade | (np.isnan(numbers["pnl"].values) & ~numbers["pnl"].bad)
        keep = self._keep(exits, entries, numbers, sign, no_trade)
        nothing = np.full(size, np.nan)
        values = {name: numbers[name].values if name in numbers else nothing for name in _NUMBERS}
        cost, signed_cost = self._costs(numbers, size)
        values["pnl"] = values["pnl"] + signed_cost
        direction = np.sign(np.nan_to_num(values["quantity"]))
        known = np.where(sign == 0, direction, sign)
        if "side" not in self._layout.columns and (direction < 0).any():
            side = Labels(np.where(direction < 0, 1, 0).astype(np.int32), (BUY, SELL))
        trades = Trades(
            row=raw.lines,
            timestamp=exits.values,
            entry=entries.values if entries else np.full(size, NO_TIME, np.int64),
            asset=self._labels("asset", UNKNOWN_ASSET),
            side=side,
            account=self._labels("account", ""),
            currency=self._labels("currency", self._options.base_currency),
            quantity=np.abs(values["quantity"]),
            price=values["price"],
            exit_price=values["exit_price"],
            size_usd=np.abs(values["size_usd"]),
            pnl=values["pnl"],
            fee=cost,
            balance=values["balance"],
            day=np.zeros(size, np.int64),
        )
        multiplier = values["multiplier"]
        multiplier = np.where(np.isnan(multiplier) | (multiplier == 0), 1.0, multiplier)
        kept = trades if keep.all() else trades.take(keep)
        return Rows(
            trades=kept,
            multiplier=multiplier[keep],
            sign=known[keep],
            has_pnl="pnl" in self._layout.columns,
            source_rows=size + raw.dropped - int(no_trade.sum()),
            dropped=raw.dropped + int((~keep & ~no_trade).sum()),
        )

    def _column(self, index: int) -> Any:
        column = self._raw.columns[index]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def _times(self, name: str) -> Times:
        layout, options = self._layout, self._options
        column = self._column(layout.columns[name])
        if name in layout.clocks:
            column = join_date_and_time(column, self._column(layout.clocks[name]))
        times = read_times(
            column,
            timezone=layout.timezone or options.timezone,
            order=options.date_order,
            usual_order=layout.date_order,
        )
        lines = self._raw.lines
        if times.order_ambiguous:
            self._remarks.add(
                "DATE_ORDER_AMBIGUOUS",
                "dates fit day/month and month/day; the month was taken first where both fit: "
                "set date_order",
                rows=lines[:1],
                count=len(lines),
            )
        if times.twice.any():
            self._remarks.add(
                "LOCAL_TIME_TWICE",
                "local times came twice as clocks went back; the earlier was taken",
                rows=lines[times.twice],
            )
        return times

    def _numbers(self) -> dict[str, Numbers]:
        columns = self._layout.columns
        named = {name: self._column(columns[name]) for name in _NUMBERS if name in columns}
        named |= {f"cost {index}": self._column(index) for index in self._layout.costs}
        return read_numbers(named, decimal=self._options.decimal, semicolons=self._raw.semicolons)

    def _costs(self, numbers: Mapping[str, Numbers], size: int) -> tuple[Floats, Floats]:
        """Give what each row cost, and what must be added to its pnl for that."""
        cost, nothing = np.zeros(size), np.zeros(size)
        for index in self._layout.costs:
            values = np.nan_to_num(numbers[f"cost {index}"].values)
            if self._layout.pnl == SIGNED:
                cost -= values
            else:
                # Some exports print cost as negative; the odd one of the other sign is a rebate.
                cost += -values if values.sum() < 0 else values
        if not self._layout.costs or "pnl" not in numbers:
            return cost, nothing
        return cost, -cost if self._layout.pnl in {GROSS, SIGNED} else nothing

    def _labels(self, name: str, default: str) -> Labels:
        index = self._layout.columns.get(name)
        if index is None:
            return Labels.constant(default, len(self._raw.lines))
        return code_text(self._column(index), default)

    def _sides(self) -> tuple[Labels, Floats, Flags]:
        """Give the side of each row, its sign, and whether the row is no trade at all."""
        size = len(self._raw.lines)
        if "side" not in self._layout.columns:
            return Labels.constant("", size), np.zeros(size), np.zeros(size, np.bool_)
        labels = self._labels("side", "")
        words = [re.sub(r"[\s_]+|(?<=\w)-", "", word.casefold()) for word in labels.values]
        signs = np.array([_sign(word) for word in words], np.float64)
        no_trade = np.array([word in _NO_TRADES for word in words], np.bool_)
        unknown = np.array([bool(word) for word in words], np.bool_) & (signs == 0) & ~no_trade
        rows = self._raw.lines[unknown[labels.codes]]
        if len(rows):
            self._remarks.add("UNKNOWN_SIDE", "the side of rows is neither buy nor sell", rows=rows)
        names = ("", BUY, SELL)
        sides = np.where(signs > 0, 1, np.where(signs < 0, 2, 0)).astype(np.int32)
        codes = labels.codes
        return Labels(sides[codes], names), signs[codes], no_trade[codes]

    def _keep(
        self,
        exits: Times,
        entries: Times | None,
        numbers: Mapping[str, Numbers],
        sign: Floats,
        no_trade: Flags,
    ) -> Flags:
        """Tell which rows can be used; remark on those that can't."""
        remarks, lines = self._remarks, self._raw.lines
        if no_trade.any():
            remarks.add(
                "NO_TRADE_ROWS",
                "rows are no closed trades (deposits, orders, opening fills) and were skipped",
                rows=lines[no_trade],
                severity=INFO,
            )
        untimed = (exits.values == NO_TIME) & ~no_trade
        if untimed.all() and len(lines):
            self._refuse_times()
        bad_time = untimed | (entries.bad & ~no_trade if entries else False)
        if bad_time.any():
            remarks.add(
                "BAD_TIMESTAMP", "rows without a readable time were dropped", rows=lines[bad_time]
            )
        bad_number = self._bad_numbers(numbers, sign) & ~no_trade
        if bad_number.any():
            remarks.add(
                "BAD_NUMBER",
                "rows with a number that is missing or can't be read were dropped",
                rows=lines[bad_number],
            )
        dropped = bad_time | bad_number
        self._check_share(int(dropped.sum()), len(lines) - int(no_trade.sum()), lines[dropped])
        keep: Flags = ~dropped & ~no_trade
        return keep

    def _bad_numbers(self, numbers: Mapping[str, Numbers], sign: Floats) -> Flags:
        bad = np.zeros(len(sign), np.bool_)
        for column in numbers.values():
            bad |= column.bad
        if "pnl" in numbers:
            return bad | np.isnan(numbers["pnl"].values)
        quantity, price = numbers["quantity"].values, numbers["price"].values
        bad |= np.isnan(quantity) | np.isnan(price) | (quantity == 0)
        if "exit_price" in numbers:
            return bad | np.isnan(numbers["exit_price"].values)
        unsided = sign == 0 if "side" in self._layout.columns else np.zeros(len(sign), np.bool_)
        return bad | (unsided & (quantity > 0))

    def _check_share(self, dropped: int, rows: int, lines: Any) -> None:
        """Remark on dropped rows; refuse a journal that loses too many."""
        dropped += self._raw.dropped
        rows += self._raw.dropped
        if not dropped:
            return
        self._remarks.add(
            "DROPPED_ROWS",
            f"{dropped} of {rows} rows were dropped",
            rows=lines,
            count=dropped,
        )
        if dropped > rows * MAX_DROPPED_SHARE:
            causes = ", ".join(
                f"{remark.code} in {remark.count} (first in line {remark.first_rows[0]})"
                for remark in self._remarks.all
                if remark.code in {"BAD_ROW", "BAD_TIMESTAMP", "BAD_NUMBER"}
            )
            raise refuse(
                "INPUT_UNUSABLE",
                f"{dropped} of {rows} rows can't be used, more than "
                f"{MAX_DROPPED_SHARE:.0%}: {causes}",
            )

    def _refuse_times(self) -> None:
        column = self._column(self._layout.columns["timestamp"])
        samples = ", ".join(quote(text.as_py()) for text in column[:3])
        raise refuse("BAD_TIMESTAMP", f"no row has a readable time; the first are {samples}")


def code_text(column: Any, default: str) -> Labels:
    """Give a text column as labels in the order of their text; blank becomes `default`."""
    coded = pc.dictionary_encode(pc.fill_null(column, ""))
    texts = [text.strip() or default for text in coded.dictionary.to_pylist()]
    names = tuple(sorted(set(texts)))
    position = {name: at for at, name in enumerate(names)}
    codes = np.array([position[text] for text in texts], np.int32)
    return Labels(codes[coded.indices.to_numpy()], names)


def _sign(word: str) -> float:
    """Give the direction that a word for a side means."""
    return 1.0 if word in _BUY_WORDS else -1.0 if word in _SELL_WORDS else 0.0
