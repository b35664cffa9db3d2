"""Tables: the trades as CSV that a spreadsheet can open safely, and as Parquet."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.counterfactual import BLOCKED_REASONS
from jobplane.engine.kinds.trade_audit.detective import holding_seconds
from jobplane.engine.kinds.trade_audit.reading import BATCH_ROWS
from jobplane.engine.kinds.trade_audit.skeleton import BADGES
from jobplane.engine.kinds.trade_audit.trades import NO_TIME, SECOND, Floats, Ints, Labels, Trades

# Text that begins with one of these is a formula to a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

Columns = Mapping[str, Any]


def normalized(audit: Audit) -> Columns:
    """Give the canonical columns of every trade."""
    trades = audit.trades
    return {
        "row": trades.row,
        "timestamp": times(trades.timestamp),
        "entry_timestamp": times(trades.entry),
        "asset": trades.asset,
        "side": trades.side,
        "quantity": trades.quantity,
        "price": trades.price,
        "exit_price": trades.exit_price,
        "size_usd": trades.size_usd,
        "pnl": trades.pnl,
        "fee": trades.fee,
        "balance": trades.balance,
        "account": trades.account,
        "currency": trades.currency,
    }


def flagged(audit: Audit) -> Columns:
    """Give what the detective saw in every trade."""
    findings = audit.findings
    return {
        **_head(audit.trades),
        "revenge": findings.revenge,
        "overtrading": findings.overtrading,
        "loss_aversion": findings.loss_aversion,
        "any_bias": findings.any_bias,
        "window_count": findings.window_count,
        "usual_size": findings.usual_size,
        "holding_s": holding_seconds(audit.trades),
    }


def counterfactual(audit: Audit) -> Columns:
    """Give the disciplined path beside the actual one."""
    findings, replay = audit.findings, audit.replay
    return {
        **_head(audit.trades),
        "simulated_pnl": replay.simulated,
        "delta": replay.simulated - audit.trades.pnl,
        "revenge": findings.revenge,
        "overtrading": findings.overtrading,
        "loss_aversion": findings.loss_aversion,
        "blocked_reason": Labels(replay.blocked.astype(np.int32), BLOCKED_REASONS),
        "badge": Labels(audit.grades.badge.astype(np.int32), BADGES),
    }


def _head(trades: Trades) -> Columns:
    return {
        "row": trades.row,
        "timestamp": times(trades.timestamp),
        "account": trades.account,
        "asset": trades.asset,
        "side": trades.side,
        "size_usd": trades.size_usd,
        "pnl": trades.pnl,
    }


def times(values: Ints) -> Any:
    """Give UTC times in the coarsest unit that keeps them exact; null where unknown."""
    known = values != NO_TIME
    some = values[known]
    for unit, size in (("s", SECOND), ("ms", SECOND // 1000), ("us", 1)):
        if size == 1 or not (some % size).any():
            scaled = np.where(known, values // size, 0)
            return pa.array(scaled, pa.int64(), mask=~known).cast(pa.timestamp(unit, "UTC"))
    raise AssertionError("microseconds are always exact")


def write_csv(columns: Columns, path: Path, *, safe_point: Callable[[], None]) -> None:
    """Write columns as CSV; text that a spreadsheet would run gets a leading quote mark."""
    fields = {name: _text_safe(column) for name, column in columns.items()}
    schema = _schema(fields)
    rows = len(next(iter(fields.values())))
    with pa_csv.CSVWriter(path, schema) as writer:
        for start in range(0, max(rows, 1), BATCH_ROWS):
            safe_point()
            arrays = [_arrow(column, start, flat=True) for column in fields.values()]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_parquet(columns: Columns, path: Path, *, safe_point: Callable[[], None]) -> None:
    """Write columns as Parquet in row groups that serve pages; text as it is."""
    schema = _schema(columns, flat=False)
    rows = len(next(iter(columns.values())))
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, max(rows, 1), BATCH_ROWS):
            safe_point()
            arrays = [_arrow(column, start, flat=False) for column in columns.values()]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _schema(columns: Columns, *, flat: bool = True) -> Any:
    kinds = {name: _arrow(column, 0, flat=flat).type for name, column in columns.items()}
    return pa.schema(list(kinds.items()))


def _text_safe(column: Any) -> Any:
    """Defuse text column by its distinct values."""
    if not isinstance(column, Labels):
        return column
    values = (f"'{text}" if text.startswith(_FORMULA_STARTS) else text for text in column.values)
    return Labels(column.codes, tuple(values))


def _arrow(column: Any, start: int, *, flat: bool) -> Any:
    """Give a batch of a column as arrow has it; NaN becomes null."""
    if isinstance(column, Labels):
        codes = pa.array(column.codes[start : start + BATCH_ROWS])
        values = pa.array(column.values, pa.string())
        return values.take(codes) if flat else pa.DictionaryArray.from_arrays(codes, values)
    some = column[start : start + BATCH_ROWS]
    if isinstance(some, np.ndarray) and some.dtype == np.float64:
        return pa.array(_positive_zero(some), pa.float64(), from_pandas=True)
    return some if isinstance(some, pa.Array) else pa.array(some)


def _positive_zero(values: Floats) -> Floats:
    """Give the values with 0 for -0."""
    result: Floats = values + 0.0
    return result
