"""Money: numbers as brokers print them, read without a guess that could be wrong by 1000.

Understands currency signs and codes, thousands marks, (12.5) and 12.5- for negatives,
decimal points and decimal commas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jobplane.engine.kinds.trade_audit.arrow import pa, pc
from jobplane.engine.kinds.trade_audit.trades import Flags, Floats

POINT = "POINT"
COMMA = "COMMA"

# More than all the money there is; sums and products of less stay finite.
MOST = 1e15

# What brokers print where there is no number.
_MISSING = pa.array(["", "-", "--", "n/a", "na", "nan", "null", "none", "\N{EM DASH}"])
_PLAIN = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?$"
_POINT_GROUPED = r"^[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?$"
_COMMA_PLAIN = r"^[+-]?(?:[0-9]+,?[0-9]*|,[0-9]+)(?:e[+-]?[0-9]+)?$"
_COMMA_GROUPED = r"^[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?$"
# Shapes that only one of the two marks explains.
_SAYS_COMMA = (
    r"^[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})|0,[0-9]{3}"
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]*|[0-9]{1,3}(?:\.[0-9]{3}){2,})$"
)
_SAYS_POINT = (
    r"^[+-]?(?:[0-9]*\.(?:[0-9]{1,2}|[0-9]{4,})|0\.[0-9]{3}"
    r"|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]*|[0-9]{1,3}(?:,[0-9]{3}){2,})$"
)
_CLEANINGS = (
    # Minus signs of typesetters.
    ("[\N{MINUS SIGN}\N{EN DASH}\N{FIGURE DASH}]", "-"),
    # Spaces of every width, apostrophes between thousands.
    ("[\\s\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}]", ""),
    ("['\N{RIGHT SINGLE QUOTATION MARK}]", ""),
    # Signs of currencies, and codes before or behind the digits.
    ("[$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}\N{INDIAN RUPEE SIGN}\N{BITCOIN SIGN}]", ""),
    (r"^([+(-]*)[a-z]{2,5}([+(-]*[0-9.,])", r"\1\2"),
    (r"([0-9.,)])[a-df-z][a-z]{1,4}([-)]*)$", r"\1\2"),
    (r"([0-9.,)])eur([-)]*)$", r"\1\2"),
    (r"^\((.*)\)$", r"-\1"),
    (r"^([^-].*)-$", r"-\1"),
    (r"^-\+?-", "-"),
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers: NaN where nothing was said, `bad` where it can't be read."""

    values: Floats
    bad: Flags


def read_numbers(
    columns: Mapping[str, Any], *, decimal: str, semicolons: bool
) -> dict[str, Numbers]:
    """Read columns of text as numbers.

    With AUTO each column's values decide on its decimal mark; a column that fits both
    ("1,234") follows the other columns, then the file: a comma where semicolons part the
    fields, else a point.
    """
    quick = {} if decimal == COMMA or semicolons else _read_plain(columns)
    unread = {name: _Unread.of(column) for name, column in columns.items() if name not in quick}
    marks = {name: column.evidence() for name, column in unread.items()}
    said = {mark for mark in marks.values() if mark}
    if decimal == "AUTO" and said == {COMMA}:
        # A plain "1.234" beside "12,50" is more than a thousand.
        for name in [name for name in quick if _has_points(columns[name])]:
            del quick[name]
            unread[name] = _Unread.of(columns[name])
            marks[name] = unread[name].evidence()
    fallback = next(iter(said)) if len(said) == 1 else COMMA if semicolons and not said else POINT
    return quick | {
        name: column.read(decimal if decimal != "AUTO" else marks[name] or fallback)
        for name, column in unread.items()
    }


def blank_as_null(column: Any) -> Any:
    """Give the column with null for empty text."""
    if (pc.min(pc.binary_length(column)).as_py() or 0) > 0:
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _read_plain(columns: Mapping[str, Any]) -> dict[str, Numbers]:
    """Read the columns that hold nothing but plain numbers and blanks."""
    plain: dict[str, Numbers] = {}
    for name, column in columns.items():
        texts = blank_as_null(column)
        try:
            values = _as_floats(texts)
        except pa.ArrowInvalid:
            continue
        blank = pc.is_null(texts).to_numpy(zero_copy_only=False)
        # "inf" and "nan" pass as floats, but are no money.
        if ((np.abs(values) <= MOST) | blank).all():
            plain[name] = Numbers(values, np.zeros(len(values), np.bool_))
    return plain


def _has_points(column: Any) -> bool:
    """Tell whether any text has a point in it."""
    return bool(pc.any(pc.match_substring(column, ".")).as_py())


def _as_floats(column: Any) -> Floats:
    """Cast text to floats; null becomes NaN."""
    numbers = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(numbers, np.float64)


@dataclass(frozen=True, slots=True)
class _Unread:
    """Distinct texts of a column, cleaned of all but digits, signs and marks."""

    codes: Any
    cleaned: Any
    missing: Flags

    @classmethod
    def of(cls, column: Any) -> "_Unread":
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        coded = pc.dictionary_encode(pc.fill_null(column, ""))
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(coded.dictionary))
        missing = pc.is_in(texts, value_set=_MISSING).to_numpy(zero_copy_only=False)
        for pattern, replacement in _CLEANINGS:
            texts = pc.replace_substring_regex(texts, pattern=pattern, replacement=replacement)
        return cls(coded.indices.to_numpy(), texts, missing)

    def evidence(self) -> str:
        """Give the decimal mark that the values speak for; empty where they leave it open."""
        comma = pc.sum(pc.match_substring_regex(self.cleaned, pattern=_SAYS_COMMA)).as_py() or 0
        point = pc.sum(pc.match_substring_regex(self.cleaned, pattern=_SAYS_POINT)).as_py() or 0
        if comma == point:
            return ""
        return COMMA if comma > point else POINT

    def read(self, mark: str) -> Numbers:
        """Read the values with this decimal mark."""
        plain, grouped = (
            (_PLAIN, _POINT_GROUPED) if mark == POINT else (_COMMA_PLAIN, _COMMA_GROUPED)
        )
        is_plain = pc.match_substring_regex(self.cleaned, pattern=plain)
        is_grouped = pc.match_substring_regex(self.cleaned, pattern=grouped)
        thousands = "," if mark == POINT else "."
        texts = pc.if_else(
            is_grouped,
            pc.replace_substring(self.cleaned, pattern=thousands, replacement=""),
            self.cleaned,
        )
        if mark == COMMA:
            texts = pc.replace_substring(texts, pattern=",", replacement=".")
        readable = pc.or_(is_plain, is_grouped)
        values = _as_floats(pc.if_else(readable, texts, pa.scalar(None, pa.string())))
        sound = np.abs(values) <= MOST
        values = np.where(sound, values, np.nan)
        bad = ~sound & ~self.missing
        return Numbers(values[self.codes], bad[self.codes])
