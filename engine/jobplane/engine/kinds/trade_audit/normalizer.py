"""Normalizer: any broker's journal brought to the canonical columns, oldest trade first."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from jobplane.engine.kinds.trade_audit.clock import local_days
from jobplane.engine.kinds.trade_audit.formats import Layout, find_layout
from jobplane.engine.kinds.trade_audit.oddities import remark_oddities
from jobplane.engine.kinds.trade_audit.options import Options
from jobplane.engine.kinds.trade_audit.reading import MAX_ROWS, SafePoint, read_journal, refuse
from jobplane.engine.kinds.trade_audit.remarks import INFO, Remarks, quote
from jobplane.engine.kinds.trade_audit.round_trips import match_fills
from jobplane.engine.kinds.trade_audit.rows import RowReader, Rows
from jobplane.engine.kinds.trade_audit.trades import Ints, Trades


@dataclass(frozen=True, slots=True)
class Journal:
    """The normalized journal, and what it took to get there."""

    trades: Trades
    preset: str
    source_rows: int
    dropped_rows: int


def normalize(
    path: Path,
    options: Options,
    *,
    max_bytes: int,
    now: datetime,
    remarks: Remarks,
    safe_point: SafePoint,
) -> Journal:
    """Read and normalize a journal; raise WorkError where it can't be audited."""
    raw = read_journal(path, max_bytes=max_bytes, remarks=remarks, safe_point=safe_point)
    layout = find_layout(raw.header, column_map=options.column_map, remarks=remarks)
    safe_point()
    reader = RowReader(raw, layout, options, remarks, safe_point)
    rows = reader.read()
    safe_point()
    trades = _trades(rows, layout, options, remarks)
    if not len(trades):
        raise refuse("NO_ROWS", "the journal has no closed trade")
    if len(trades) * options.k_repeat > MAX_ROWS:
        raise refuse(
            "INPUT_TOO_LARGE",
            f"{len(trades)} trades {options.k_repeat} times are more than the {MAX_ROWS} "
            "rows that an audit takes; lower k_repeat",
        )
    safe_point()
    _remark_order(rows.trades.timestamp, remarks)
    trades = _with_days(trades, options)
    safe_point()
    remark_oddities(trades, now=now, remarks=remarks)
    safe_point()
    return Journal(_repeat(trades, options), layout.preset, rows.source_rows, rows.dropped)


def _trades(rows: Rows, layout: Layout, options: Options, remarks: Remarks) -> Trades:
    """Give the trades of the rows: as they are, with derived pnl, or matched from fills."""
    trades = _convert(rows.trades, options, remarks)
    computed = np.abs(trades.quantity * trades.price * rows.multiplier)
    size = np.where(np.isnan(trades.size_usd), computed, trades.size_usd)
    trades = replace(trades, size_usd=size)
    if rows.has_pnl:
        return trades
    if "exit_price" in layout.columns:
        sign = np.where(rows.sign == 0, 1.0, rows.sign)
        moved = (trades.exit_price - trades.price) * trades.quantity * sign * rows.multiplier
        return replace(trades, pnl=moved - trades.fee)
    if "side" not in layout.columns and not (rows.sign < 0).any():
        raise refuse(
            "MISSING_COLUMN",
            "no column for pnl (a profit or loss), and fills can't be matched without a side "
            "or signed quantities; name one in column_map",
        )
    matched = match_fills(trades, signed=trades.quantity * rows.sign, multiplier=rows.multiplier)
    remarks.add(
        "EXECUTIONS_MATCHED_FIFO",
        f"the journal lists fills; {len(trades)} were matched first in, first out to "
        f"{len(matched.trades)} round trips",
        count=len(matched.trades),
        severity=INFO,
    )
    if len(matched.open_rows):
        remarks.add(
            "UNMATCHED_OPEN",
            "positions were still open at the end and are not in the audit",
            rows=matched.open_rows,
        )
    return matched.trades


def _convert(trades: Trades, options: Options, remarks: Remarks) -> Trades:
    """Bring all money to the base currency."""
    used = np.unique(trades.currency.codes)
    names = [trades.currency.values[int(code)].upper() for code in used]
    if not options.base_currency:
        if len(names) > 1:
            remarks.add(
                "MIXED_CURRENCY",
                f"amounts in {', '.join(quote(name) for name in names[:5])} were added up as "
                "they are: set base_currency and fx",
                count=len(names),
            )
        return trades
    rates = np.ones(len(trades.currency.values))
    for code, name in zip(used, names, strict=True):
        if name == options.base_currency:
            continue
        if name not in options.fx:
            raise refuse(
                "FX_RATE_MISSING",
                f"the journal has amounts in {quote(name)}; give fx[{quote(name)}], its value "
                f"in {options.base_currency}",
            )
        rates[code] = options.fx[name]
    rate = rates[trades.currency.codes]
    money = ("price", "exit_price", "size_usd", "pnl", "fee", "balance")
    return replace(trades, **{name: getattr(trades, name) * rate for name in money})


def _with_days(trades: Trades, options: Options) -> Trades:
    """Sort by time, then by line, and number the trading days."""
    if (np.diff(trades.timestamp) < 0).any():
        trades = trades.take(np.argsort(trades.timestamp, kind="stable"))
    days = local_days(
        trades.timestamp, timezone=options.timezone, boundary_minutes=options.day_boundary
    )
    return replace(trades, day=days)


def _remark_order(times: Ints, remarks: Remarks) -> None:
    """Remark on rows that stood earlier in the file than in time."""
    steps = np.diff(times)
    falling = int((steps < 0).sum())
    if falling:
        how = "newest first" if not (steps > 0).any() else "out of order"
        remarks.add(
            "OUT_OF_ORDER",
            f"rows were {how} and were sorted by time",
            count=falling,
            severity=INFO,
        )


def _repeat(trades: Trades, options: Options) -> Trades:
    """Repeat the journal; each copy begins on the day after the one before ended."""
    if options.k_repeat == 1:
        return trades
    days = int(trades.day[-1] - trades.day[0]) + 1
    return _with_days(trades.repeated(options.k_repeat, shift_days=days), options)
