"""Trades: the normalized journal as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Times are microseconds since 1970 in UTC; this one stands for "unknown".
NO_TIME = int(np.iinfo(np.int64).min)
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND

BUY = "BUY"
SELL = "SELL"


@dataclass(frozen=True, slots=True)
class Labels:
    """Text of a column, stored once per distinct value."""

    codes: npt.NDArray[np.int32]
    values: tuple[str, ...]

    @classmethod
    def constant(cls, value: str, size: int) -> "Labels":
        """Give the same text for every row."""
        return cls(np.zeros(size, np.int32), (value,))

    def take(self, index: Ints | Flags) -> "Labels":
        """Give the rows at `index`."""
        return Labels(self.codes[index], self.values)

    def repeated(self, times: int) -> "Labels":
        """Give all rows, again and again."""
        return Labels(np.tile(self.codes, times), self.values)

    def at(self, index: int) -> str:
        """Give the text of one row."""
        return self.values[int(self.codes[index])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """One entry per trade in every column; NaN and NO_TIME where the journal says nothing."""

    # Line of the journal, from 1 (usually the header).
    row: Ints
    # Time of the exit, or of the execution.
    timestamp: Ints
    entry: Ints
    asset: Labels
    side: Labels
    account: Labels
    currency: Labels
    quantity: Floats
    price: Floats
    exit_price: Floats
    size_usd: Floats
    # Net: gross less cost.
    pnl: Floats
    # Cost: positive is paid.
    fee: Floats
    balance: Floats
    # Number of the local trading day.
    day: Ints

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Ints | Flags) -> "Trades":
        """Give the rows at `index`, in that order."""
        taken: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            taken[column.name] = value.take(index) if isinstance(value, Labels) else value[index]
        return replace(self, **taken)

    def repeated(self, times: int, *, shift_days: int) -> "Trades":
        """Give `times` copies, each `shift_days` after the one before."""
        shift = np.repeat(np.arange(times, dtype=np.int64), len(self)) * shift_days
        values: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            labels = isinstance(value, Labels)
            values[column.name] = value.repeated(times) if labels else np.tile(value, times)
        values["timestamp"] = values["timestamp"] + shift * DAY
        entry = values["entry"]
        values["entry"] = np.where(entry == NO_TIME, NO_TIME, entry + shift * DAY)
        values["day"] = values["day"] + shift
        return replace(self, **values)


def group_starts(keys: Sequence[Ints] | Sequence[npt.NDArray[np.int32]]) -> Ints:
    """Give where a new group begins in rows sorted by `keys`."""
    size = len(keys[0])
    if not size:
        return np.zeros(0, np.int64)
    fresh = np.zeros(size, np.bool_)
    fresh[0] = True
    for key in keys:
        fresh[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(fresh)


def grouped_cumsum(values: Floats, starts: Ints) -> Floats:
    """Give running sums that begin anew at each of `starts`.

    Every group is summed by itself, one addition after the other, so that its sums are
    those a person would get, whatever comes before it.
    """
    result = values.copy()
    sizes = np.diff(np.append(starts, len(values)))
    longest = int(sizes.max(initial=0))
    if len(starts) <= longest:
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
            np.add.accumulate(values[start : start + size], out=result[start : start + size])
        return result
    # Many small groups: add the second trade of each, then the third of each that has one.
    order = np.argsort(-sizes, kind="stable")
    firsts, lengths = starts[order], sizes[order]
    for place in range(1, longest):
        at = firsts[: int(np.searchsorted(-lengths, -place, side="left"))] + place
        result[at] += result[at - 1]
    return result
