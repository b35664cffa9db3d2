"""Oddities: what is strange about trades that could be read."""

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from jobplane.engine.kinds.trade_audit.remarks import INFO, Remarks
from jobplane.engine.kinds.trade_audit.trades import NO_TIME, SECOND, Flags, Floats, Ints, Trades

SMALL_SAMPLE = 30
OUTLIER_MADS = 50.0
# A balance may differ from the pnl by a rounding of cents.
_BALANCE_SLACK = 0.011
_BALANCE_SHARE = 1e-6


def remark_oddities(trades: Trades, *, now: datetime, remarks: Remarks) -> None:
    """Remark on what a reader of the audit should know of its trades, sorted by time."""
    rows, pnl = trades.row, trades.pnl
    if not (pnl > 0).any():
        remarks.add("NO_WINNERS", "no trade won, so none can be told to be held too long", count=1)
    if not (pnl < 0).any():
        remarks.add("NO_LOSSES", "no trade lost", count=1, severity=INFO)
    if len(trades) < SMALL_SAMPLE:
        remarks.add(
            "SMALL_SAMPLE",
            f"{len(trades)} trades are fewer than {SMALL_SAMPLE}; rates and medians say little",
            count=len(trades),
        )
    _remark(
        remarks,
        "DUPLICATE_ROWS",
        "trades are equal in all columns; they were kept",
        rows[_duplicates(trades)],
    )
    _remark(
        remarks,
        "MISSING_SIZE",
        "trades have no size, so they can't be revenge trades",
        rows[np.isnan(trades.size_usd) | (trades.size_usd == 0)],
    )
    negative = (trades.price < 0) | (trades.exit_price < 0)
    _remark(remarks, "NEGATIVE_PRICE", "prices are below zero", rows[negative])
    _remark(
        remarks,
        "OUTLIER_PNL",
        f"pnl lies more than {OUTLIER_MADS:g} median absolute "
        "deviations from the median; a slipped decimal?",
        rows[_outliers(pnl)],
    )
    future = trades.timestamp > int(now.timestamp()) * SECOND
    _remark(remarks, "FUTURE_TIMESTAMP", "times lie in the future", rows[future])
    early = (trades.entry != NO_TIME) & (trades.entry > trades.timestamp)
    _remark(
        remarks,
        "ENTRY_AFTER_EXIT",
        "the entry comes after the exit; it was taken as unknown",
        rows[early],
    )
    _remark(
        remarks,
        "BALANCE_MISMATCH",
        "the balance moved by another amount than the pnl",
        rows[_mismatches(trades)],
        severity=INFO,
    )


def _remark(
    remarks: Remarks, code: str, message: str, rows: Ints, *, severity: str = "WARNING"
) -> None:
    if len(rows):
        remarks.add(code, message, rows=rows.tolist(), severity=severity)


def _duplicates(trades: Trades) -> Flags:
    """Tell which trades equal one before them; equal ones share their time."""
    found = np.zeros(len(trades), np.bool_)
    same_time = np.diff(trades.timestamp) == 0
    near = np.zeros(len(trades), np.bool_)
    near[1:] |= same_time
    near[:-1] |= same_time
    some = np.flatnonzero(near)
    keys: list[npt.NDArray[Any]] = [
        trades.timestamp[some],
        trades.entry[some],
        trades.asset.codes[some],
        trades.side.codes[some],
        trades.account.codes[some],
        *(
            np.nan_to_num(column[some])
            for column in (
                trades.pnl,
                trades.size_usd,
                trades.price,
                trades.quantity,
                trades.balance,
            )
        ),
    ]
    order = np.lexsort([np.arange(len(some)), *reversed(keys)])
    equal = np.ones(max(len(some) - 1, 0), np.bool_)
    for key in keys:
        equal &= np.diff(key[order]) == 0
    found[some[order[1:][equal]]] = True
    return found


def _outliers(pnl: Floats) -> Flags:
    """Tell which values lie far from the median, where there is a spread at all."""
    distance = np.abs(pnl - np.median(pnl))
    spread = float(np.median(distance))
    return distance > OUTLIER_MADS * spread if spread > 0 else np.zeros(len(pnl), np.bool_)


def _mismatches(trades: Trades) -> Flags:
    """Tell where the balance of an account does not follow from the one before and the pnl."""
    found = np.zeros(len(trades), np.bool_)
    known = np.flatnonzero(~np.isnan(trades.balance))
    order = known[np.argsort(trades.account.codes[known], kind="stable")]
    if len(order) < 2:  # noqa: PLR2004  a step needs two
        return found
    same = np.diff(trades.account.codes[order]) == 0
    step, balance = np.diff(trades.balance[order]), trades.balance[order][1:]
    slack = _BALANCE_SLACK + _BALANCE_SHARE * np.abs(balance)
    found[order[1:]] = same & (np.abs(step - trades.pnl[order][1:]) > slack)
    return found
