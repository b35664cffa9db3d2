"""Filters: the text that callers write, read into an expression.

The grammar is a subset of AIP-160, in which OR binds tighter than AND:

    filter     = [ all_of ]
    all_of     = any_of { "AND" any_of }
    any_of     = negated { "OR" negated }
    negated    = ( "NOT" | "-" ) negated | "(" all_of ")" | comparison
    comparison = FIELD OPERATOR VALUE | MAP "." KEY OPERATOR VALUE | MAP ":" KEY

A value is a bare word or stands in single or double quotes, where a backslash
takes a quote, a star or a backslash literally. `MAP.KEY:*` is `MAP:KEY`. An
unquoted or unescaped star is a wildcard, which `display_name = night*` takes
at its end and nothing else takes.
"""

from collections.abc import Callable
from typing import NoReturn

from jobplane.engine.domain.errors import InvalidFilterError
from jobplane.engine.query.expression import (
    And,
    Comparison,
    Everything,
    Expression,
    Not,
    Or,
    Present,
)
from jobplane.engine.query.literal import Literal, read_literal
from jobplane.engine.query.scanner import Scanner
from jobplane.engine.query.schema import EQUALITY, JOB_FIELDS, Field, Operator, Schema

MAX_BYTES = 2048
MAX_TERMS = 20
MAX_DEPTH = 5

_KEYWORDS = ("AND", "OR", "NOT")


def parse_filter(text: str, schema: Schema = JOB_FIELDS) -> Expression:
    """The meaning of a filter; InvalidFilterError names the column and the cure."""
    _check_text(text)
    return _Parser(Scanner(text), schema).parse()


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidFilterError("half of a surrogate pair", error.start + 1) from error
    if size > MAX_BYTES:
        raise InvalidFilterError(
            f"the filter is {size} bytes long; at most {MAX_BYTES} are allowed", 1
        )
    if "\0" in text:
        raise InvalidFilterError("the character NUL", text.index("\0") + 1)


class _Parser:
    def __init__(self, scanner: Scanner, schema: Schema) -> None:
        self._scan = scanner
        self._schema = schema
        self._depth = 0
        self._terms = 0

    def parse(self) -> Expression:
        if not self._scan.next:
            return Everything()
        expression = self._all_of()
        if self._scan.next:
            self._refuse_rest()
        return expression

    def _all_of(self) -> Expression:
        terms = self._joined("AND", self._any_of)
        flat = [part for t in terms for part in (t.terms if isinstance(t, And) else (t,))]
        return And(tuple(flat)) if len(flat) > 1 else flat[0]

    def _any_of(self) -> Expression:
        terms = self._joined("OR", self._negated)
        flat = [part for t in terms for part in (t.terms if isinstance(t, Or) else (t,))]
        return Or(tuple(flat)) if len(flat) > 1 else flat[0]

    def _joined(self, keyword: str, read: Callable[[], Expression]) -> list[Expression]:
        terms = [read()]
        while self._scan.take_keyword(keyword):
            terms.append(read())
        return terms

    def _negated(self) -> Expression:
        column = self._scan.column
        if self._scan.take_keyword("NOT") or self._scan.take("-"):
            self._deeper(column)
            negation = Not(self._negated())
            self._depth -= 1
            return negation
        if self._scan.take("("):
            self._deeper(column)
            inner = self._all_of()
            if not self._scan.take(")"):
                self._refuse_rest(opened=column)
            self._depth -= 1
            return inner
        return self._comparison()

    def _deeper(self, column: int) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._scan.fail(f"parentheses and NOT nest at most {MAX_DEPTH} deep", column)

    def _comparison(self) -> Expression:
        column = self._scan.column
        self._terms += 1
        if self._terms > MAX_TERMS:
            self._scan.fail(f"a filter has at most {MAX_TERMS} conditions", column)
        field, key = self._field()
        if field.is_map and not key:
            return self._presence(field, column)
        operator = self._operator(field)
        literal = self._literal(field, operator)
        if field.is_map and operator is Operator.HAS and literal.has_star and not literal.text:
            return Present(field, key)
        return self._compare(field, key, operator, literal)

    def _field(self) -> tuple[Field, str]:
        column = self._scan.column
        path = self._scan.peek_path()
        if not path:
            self._refuse_start()
        if path in _KEYWORDS:
            self._scan.fail(f"a condition is missing before {path}")
        head = path.partition(".")[0]
        field = self._schema.find(head)
        if field is not None and field.is_map:
            self._scan.advance(len(head))
            return field, self._key(field)
        self._scan.advance(len(path))
        field = self._schema.find(path)
        if field is None:
            self._refuse_name(path, column)
        return field, ""

    def _key(self, field: Field) -> str:
        if not self._scan.is_adjacent:
            return ""
        column = self._scan.column
        if not self._scan.take("."):
            return ""
        key = self._scan.take_key()
        if not key:
            self._scan.fail(f"a key is missing after {field.name}.", column + 1)
        return key

    def _presence(self, field: Field, column: int) -> Present:
        name = field.name
        if self._scan.take_operator() is not Operator.HAS:
            self._scan.fail(f"{name} needs a key: {name}.KEY = VALUE, or {name}:KEY", column)
        column = self._scan.column
        literal = self._scan.take_literal()
        if literal is None or literal.has_star or not literal.text:
            self._scan.fail(f"{name}: takes the name of a key", column)
        return Present(field, literal.text)

    def _operator(self, field: Field) -> Operator:
        column = self._scan.column
        operator = self._scan.take_operator()
        listed = " ".join(field.operators)
        if operator is None:
            self._scan.fail(f"an operator is missing after {field.usage}: {listed}", column)
        asks_presence = field.is_map and operator is Operator.HAS and self._scan.next == "*"
        if operator not in field.operators and not asks_presence:
            self._scan.fail(f"{field.usage} is {field.type} and takes only {listed}", column)
        return operator

    def _literal(self, field: Field, operator: Operator) -> Literal:
        column = self._scan.column
        if any(self._scan.take_keyword(word) for word in _KEYWORDS):
            self._scan.fail(
                f"a value is missing after {field.usage} {operator}; quote a value named "
                "AND, OR or NOT",
                column,
            )
        literal = self._scan.take_literal()
        if literal is None:
            self._scan.fail(f"a value is missing after {field.usage} {operator}", column)
        return literal

    def _compare(self, field: Field, key: str, operator: Operator, literal: Literal) -> Comparison:
        if literal.has_star and not (field.takes_prefix and operator in EQUALITY):
            self._scan.fail(_star_hint(field, self._schema), literal.column)
        try:
            value = read_literal(literal, field)
        except ValueError as error:
            self._scan.fail(str(error), literal.column)
        return Comparison(field, operator, value, key, literal.has_star)

    def _refuse_start(self) -> NoReturn:
        found = self._scan.next
        if not found:
            self._scan.fail("a condition is missing at the end")
        if found == ")":
            self._scan.fail("a condition is missing before )")
        self._scan.fail(f"a condition begins with the name of a field, not with {found}")

    def _refuse_name(self, path: str, column: int) -> NoReturn:
        if path.upper() in _KEYWORDS:
            self._scan.fail(f"write {path.upper()} in capitals", column)
        if self._scan.take_operator() is None:
            self._scan.fail(
                f"{path!r} alone is no condition; write FIELD = VALUE. "
                f"{self._schema.suggest(path)}",
                column,
            )
        self._scan.fail(f"there is no field {path!r}; {self._schema.suggest(path)}", column)

    def _refuse_rest(self, opened: int = 0) -> NoReturn:
        word = self._scan.peek_path()
        if word.upper() in {"AND", "OR"}:
            self._scan.fail(f"write {word.upper()} in capitals")
        if opened and not self._scan.next:
            self._scan.fail("this parenthesis is never closed", opened)
        if self._scan.next == ")":
            self._scan.fail("this parenthesis closes nothing")
        self._scan.fail(
            f"AND or OR is missing before {word or self._scan.next}; "
            "quote a value that has spaces or symbols"
        )


def _star_hint(field: Field, schema: Schema) -> str:
    takers = " and ".join(
        f"{other.name} = PREFIX*" for other in schema.fields if other.takes_prefix
    )
    only = f"; only {takers} takes one" if takers else ""
    return rf'{field.usage} takes no wildcard here{only}. Write "\*" for the character itself'
