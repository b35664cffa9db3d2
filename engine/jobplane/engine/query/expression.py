"""Expressions: what a filter means, as a frozen tree that prints as a filter."""

import re
from dataclasses import dataclass

from jobplane.engine.query.instant import format_instant
from jobplane.engine.query.schema import Field, FieldType, Operator

# A time is an int: microseconds since 1970 in UTC.
Scalar = str | int | float | bool

BARE_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")


@dataclass(frozen=True, slots=True)
class Everything:
    """The empty filter: every row."""

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a value; a missing field only satisfies `!=`."""

    field: Field
    operator: Operator
    value: Scalar
    key: str = ""
    # The value is only how the text begins.
    is_prefix: bool = False

    def __str__(self) -> str:
        name = f"{self.field.name}.{_key(self.key)}" if self.field.is_map else self.field.name
        return f"{name} {self.operator} {self._written}"

    @property
    def _written(self) -> str:
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if self.field.type is FieldType.TIME and isinstance(self.value, int):
            return quote(format_instant(self.value))
        if isinstance(self.value, str):
            return quote(self.value, star=self.is_prefix)
        return repr(self.value)


@dataclass(frozen=True, slots=True)
class Present:
    """Whether a map has the key."""

    field: Field
    key: str

    def __str__(self) -> str:
        return f"{self.field.name}:{_key(self.key)}"


@dataclass(frozen=True, slots=True)
class Not:
    """True exactly where its term is false."""

    term: "Expression"

    def __str__(self) -> str:
        return f"NOT {_nested(self.term, And, Or)}"


@dataclass(frozen=True, slots=True)
class Or:
    """True where any of its two or more terms is."""

    terms: tuple["Expression", ...]

    def __str__(self) -> str:
        return " OR ".join(_nested(term, And, Or) for term in self.terms)


@dataclass(frozen=True, slots=True)
class And:
    """True where all of its two or more terms are."""

    terms: tuple["Expression", ...]

    def __str__(self) -> str:
        return " AND ".join(_nested(term, And) for term in self.terms)


Expression = Everything | Comparison | Present | Not | Or | And


def quote(text: str, *, star: bool = False) -> str:
    """The text as a quoted value, with a wildcard at its end if wanted."""
    escaped = re.sub(r'(["\\*])', r"\\\1", text)
    return f'"{escaped}{"*" if star else ""}"'


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else quote(key)


def _nested(term: Expression, *kinds: type) -> str:
    return f"({term})" if isinstance(term, kinds) else str(term)
