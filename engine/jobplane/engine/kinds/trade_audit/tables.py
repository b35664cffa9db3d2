"""Tables: the trades as CSV that a spreadsheet can open safely, and as Parquet."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.arrow import pa, pa_csv, pc, pq
from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.counterfactual import BLOCKED_REASONS
from jobplane.engine.kinds.trade_audit.detective import holding_seconds
from jobplane.engine.kinds.trade_audit.reading import BATCH_ROWS
from jobplane.engine.kinds.trade_audit.skeleton import BADGES
from jobplane.engine.kinds.trade_audit.trades import NO_TIME, SECOND, Ints, Labels, Trades

# Text that begins with one of these is a formula to a spreadsheet.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

Columns = Mapping[str, Any]


def normalized(audit: Audit) -> Columns:
    """Give the canonical columns of every trade."""
    trades = audit.trades
    return {
        "row": trades.row,
        "timestamp": Instants(trades.timestamp),
        "entry_timestamp": Instants(trades.entry),
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
        "timestamp": Instants(trades.timestamp),
        "account": trades.account,
        "asset": trades.asset,
        "side": trades.side,
        "size_usd": trades.size_usd,
        "pnl": trades.pnl,
    }


@dataclass(frozen=True, slots=True)
class Instants:
    """Times of a column: RFC 3339 text in CSV, UTC timestamps in Parquet."""

    values: Ints

    def unit(self) -> tuple[str, int]:
        """Give the coarsest unit that keeps all of them exact, and its microseconds."""
        some = self.values[self.values != NO_TIME]
        for name, size in (("s", SECOND), ("ms", SECOND // 1000)):
            if not (some % size).any():
                return name, size
        return "us", 1

    def batch(self, start: int, unit: tuple[str, int], *, text: bool) -> Any:
        """Give some of the times as arrow has them; null where unknown."""
        name, size = unit
        some = self.values[start : start + BATCH_ROWS]
        unknown = some == NO_TIME
        stamps = pa.array(np.where(unknown, 0, some // size), pa.int64(), mask=unknown)
        if not text:
            return stamps.cast(pa.timestamp(name, "UTC"))
        # Arrow writes "2024-01-02 10:00:00"; with a zone it would take twenty times as long.
        naive = stamps.cast(pa.timestamp(name)).cast(pa.string())
        joined = pc.binary_replace_slice(naive, 10, 11, "T")
        return pc.binary_join_element_wise(joined, "Z", "")


def write_csv(columns: Columns, path: Path, *, safe_point: Callable[[], None]) -> None:
    """Write columns as CSV; text that a spreadsheet would run gets a leading quote mark."""
    batches = _batches({name: _text_safe(column) for name, column in columns.items()}, flat=True)
    first = next(batches)
    with pa_csv.CSVWriter(path, first.schema) as writer:
        for batch in chain([first], batches):
            safe_point()
            writer.write_batch(batch)


def write_parquet(columns: Columns, path: Path, *, safe_point: Callable[[], None]) -> None:
    """Write columns as Parquet in row groups that serve pages; text as it is."""
    batches = _batches(columns, flat=False)
    first = next(batches)
    with pq.ParquetWriter(path, first.schema) as writer:
        for batch in chain([first], batches):
            safe_point()
            writer.write_batch(batch)


def _batches(columns: Columns, *, flat: bool) -> Iterator[Any]:
    """Yield the columns in pieces; `flat` for CSV, which has neither types nor dictionaries."""
    units = {
        name: column.unit() for name, column in columns.items() if isinstance(column, Instants)
    }
    rows = len(columns["row"])
    for start in range(0, max(rows, 1), BATCH_ROWS):
        yield pa.RecordBatch.from_pydict(
            {
                name: column.batch(start, units[name], text=flat)
                if isinstance(column, Instants)
                else _batch(column, start, flat=flat)
                for name, column in columns.items()
            }
        )


def _text_safe(column: Any) -> Any:
    """Defuse a text column by its distinct values."""
    if not isinstance(column, Labels):
        return column
    values = (f"'{text}" if text.startswith(_FORMULA_STARTS) else text for text in column.values)
    return Labels(column.codes, tuple(values))


def _batch(column: Any, start: int, *, flat: bool) -> Any:
    """Give some of a column as arrow has it; NaN becomes null."""
    if isinstance(column, Labels):
        codes = pa.array(column.codes[start : start + BATCH_ROWS])
        values = pa.array(column.values, pa.string())
        return values.take(codes) if flat else pa.DictionaryArray.from_arrays(codes, values)
    some = column[start : start + BATCH_ROWS]
    if some.dtype == np.float64:
        # Adding 0 makes 0 of -0.
        return pa.array(some + 0.0, pa.float64(), from_pandas=True)
    return pa.array(some)
