"""Literals: the value side of a comparison, read as its field wants it."""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches

from jobplane.engine.query.expression import Scalar
from jobplane.engine.query.instant import parse_instant
from jobplane.engine.query.schema import Field, FieldType

_INT = re.compile(r"-?\d+", re.ASCII)
_FLOAT = re.compile(r"-?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INT_BOUND = 2**31


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as it was written: unquoted, its wildcard taken off."""

    text: str
    column: int
    has_star: bool = False


def read_literal(literal: Literal, field: Field) -> Scalar:
    """The value for a field; ValueError says what the field takes."""
    text = literal.text
    match field.type:
        case FieldType.STRING:
            return text
        case FieldType.ENUM:
            return _enum(text, field)
        case FieldType.BOOL:
            return _bool(text, field)
        case FieldType.INT:
            return _int(text, field)
        case FieldType.FLOAT:
            return _float(text, field)
        case FieldType.TIME:
            return parse_instant(text)


def _enum(text: str, field: Field) -> str:
    if text in field.values:
        return text
    names = [name for name in field.values if name]
    upper = text.upper()
    # JOB_STATUS_RUNNING is how the wire spells RUNNING.
    prefixed = max((n for n in names if upper.endswith(f"_{n}")), key=len, default="")
    close = [prefixed] if prefixed else get_close_matches(upper, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise ValueError(f"{field.name} has no value {text!r}; {hint}Values: {', '.join(names)}")


def _bool(text: str, field: Field) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{field.name} is true or false, not {text!r}")
    return text == "true"


def _int(text: str, field: Field) -> int:
    # The length is checked first, so that nobody makes us convert a thousand digits.
    if not _INT.fullmatch(text) or len(text) > len(str(-_INT_BOUND)):
        raise ValueError(f"{field.name} is a whole number of 32 bits, not {text!r}")
    value = int(text)
    if not -_INT_BOUND <= value < _INT_BOUND:
        raise ValueError(f"{field.name} is a whole number of 32 bits, not {text!r}")
    return value


def _float(text: str, field: Field) -> float:
    value = float(text) if _FLOAT.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{field.usage} is a finite number, not {text!r}")
    return value
