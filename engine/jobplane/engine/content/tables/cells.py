"""Cells: values of a table as google.protobuf.Value, encoded by hand.

A page has up to a hundred thousand cells; making a message object of each costs ten times
the bytes. The numbers below are those of google/protobuf/struct.proto.
"""

import base64
import math
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

# Values of a table have any type there is.
# pyright: standard

# Above it a double has no place for every whole number.
MAX_EXACT_INT = 2**53
NULL = b"\x08\x00"
_TRUE, _FALSE = b"\x20\x01", b"\x20\x00"
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DOUBLE = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_BOOLS = {"true": _TRUE, "True": _TRUE, "false": _FALSE, "False": _FALSE}
_pack_double = struct.Struct("<d").pack
_EXACT_DIGITS = 15
_INT64_DIGITS = 20
_SEVEN_BITS = 0x7F


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    if number <= _SEVEN_BITS:
        return bytes((number,))
    encoded = bytearray()
    while number > _SEVEN_BITS:
        encoded.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def row_of(cells: Iterable[bytes]) -> bytes:
    """A ListValue of encoded cells."""
    return b"".join([b"\x0a" + varint(len(cell)) + cell for cell in cells])


def text_cell(text: str) -> bytes:
    """A text; what is no Unicode in it is replaced."""
    data = text.encode("utf-8", "replace")
    return b"\x1a" + varint(len(data)) + data


def number_cell(number: float) -> bytes:
    """A finite number."""
    return b"\x11" + _pack_double(number)


def int_cell(number: int) -> bytes:
    """A whole number; as text where a double can't hold it."""
    if -MAX_EXACT_INT <= number <= MAX_EXACT_INT:
        return number_cell(number)
    return text_cell(str(number))


def csv_int(text: str) -> bytes:
    """The text of a column of whole numbers."""
    if _INT.fullmatch(text) and text != "-0":
        return int_cell(int(text)) if len(text) <= _INT64_DIGITS else text_cell(text)
    return text_cell(text) if text else NULL


def csv_double(text: str) -> bytes:
    """The text of a column of numbers; as it is where a double would say something else."""
    if not text:
        return NULL
    if not _DOUBLE.fullmatch(text) or not any(digit.isdigit() for digit in text):
        return text_cell(text)
    number = float(text)
    if not math.isfinite(number):
        return text_cell(text)
    digits = text.partition("e")[0].partition("E")[0].replace(".", "").lstrip("-0")
    if len(digits) <= _EXACT_DIGITS or Decimal(repr(number)) == Decimal(text):
        return number_cell(number)
    return text_cell(text)


def csv_bool(text: str) -> bytes:
    """The text of a column of truths."""
    return _BOOLS.get(text) or (text_cell(text) if text else NULL)


def csv_null(text: str) -> bytes:
    """The text of a column that is empty but for rows of another width."""
    return text_cell(text) if text else NULL


CSV_CELLS: Mapping[str, Callable[[str], bytes]] = {
    "int64": csv_int,
    "double": csv_double,
    "bool": csv_bool,
    "null": csv_null,
    "string": text_cell,
}


def any_cell(value: Any) -> bytes:  # noqa: C901, PLR0911  one line for each type
    """A Python value of any Arrow type."""
    match value:
        case None:
            return NULL
        case bool():
            return _TRUE if value else _FALSE
        case int():
            return int_cell(value)
        case float():
            return number_cell(value) if math.isfinite(value) else text_cell(_odd_number(value))
        case str():
            return text_cell(value)
        case bytes():
            return text_cell(base64.b64encode(value).decode())
        case datetime() | date() | time():
            return text_cell(value.isoformat())
        case timedelta():
            return text_cell(f"{value / timedelta(seconds=1)!r}s")
        case dict():
            return _struct_cell(value)
        case list():
            return _list_cell(value)
        case _:
            return text_cell(str(value))


def _odd_number(value: float) -> str:
    """A number that JSON lacks, by its name in the JSON of protobuf."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _struct_cell(value: Mapping[Any, Any]) -> bytes:
    entries = bytearray()
    for key, inner in value.items():
        name = str(key).encode("utf-8", "replace")
        cell = any_cell(inner)
        entry = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(len(cell)) + cell
        entries += b"\x0a" + varint(len(entry)) + entry
    return b"\x2a" + varint(len(entries)) + bytes(entries)


def _list_cell(value: Sequence[Any]) -> bytes:
    row = row_of(map(any_cell, value))
    return b"\x32" + varint(len(row)) + row
