"""Filters in SQL: an expression as a bound condition, an order as a keyset.

Negations are pushed down to the comparisons, so that the three-valued logic of SQL never
shows: a condition is true exactly where the expression is, and false or NULL elsewhere.
Use it in WHERE and ON, not as a value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)

from jobplane.engine.domain.status import PHASES, JobStatus, Phase
from jobplane.engine.query.evaluate import fold
from jobplane.engine.query.expression import (
    And,
    Comparison,
    Everything,
    Expression,
    Not,
    Or,
    Present,
    Scalar,
)
from jobplane.engine.query.order import Order
from jobplane.engine.query.schema import Operator
from jobplane.engine.store.tables import FINISHED_OR_NOT, job_labels, job_metrics, jobs

_Condition = ColumnElement[bool]

_SURROGATES = (0xD800, 0xDFFF)
_LAST_CODE_POINT = 0x10FFFF

_COMPARE: Mapping[Operator, Callable[[Any, Any], _Condition]] = {
    Operator.EQ: eq,
    Operator.LT: lt,
    Operator.LE: le,
    Operator.GT: gt,
    Operator.GE: ge,
}


@dataclass(frozen=True, slots=True)
class MapTable:
    """A side table that holds a map: one row for each key of an owner."""

    owner: Column[Any]
    key: Column[Any]
    value: Column[Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where the fields of a schema are stored."""

    row: Column[Any]
    columns: Mapping[str, Column[Any]]
    maps: Mapping[str, MapTable] = field(default_factory=dict[str, MapTable])
    # Text fields whose empty value is stored as NULL.
    blanks: frozenset[str] = frozenset()
    # Fields that are no column: each of their values stands for some of a column's.
    groups: Mapping[str, Mapping[Scalar, Sequence[str]]] = field(
        default_factory=dict[str, Mapping[Scalar, Sequence[str]]]
    )


JOBS = Target(
    row=jobs.c.pk,
    columns={
        "kind": jobs.c.kind,
        "status": jobs.c.status,
        "phase": jobs.c.status,
        "done": jobs.c.status,
        "project": jobs.c.project,
        "queue": jobs.c.queue,
        "job_set": jobs.c.job_set,
        "creator": jobs.c.creator,
        "priority": jobs.c.priority,
        "attempt": jobs.c.attempt,
        "schedule": jobs.c.schedule,
        "display_name": jobs.c.display_name,
        "failure.reason": jobs.c.failure_reason,
        "failure.category": jobs.c.failure_category,
        "create_time": jobs.c.created_us,
        "start_time": jobs.c.started_us,
        "finish_time": jobs.c.finished_us,
        "update_time": jobs.c.updated_us,
    },
    maps={
        "labels": MapTable(job_labels.c.job_pk, job_labels.c.key, job_labels.c.value),
        "metrics": MapTable(job_metrics.c.job_pk, job_metrics.c.key, job_metrics.c.value),
    },
    blanks=frozenset({"job_set", "schedule", "display_name", "failure.reason", "failure.category"}),
    groups={
        # Both by the index on the status.
        "phase": {
            phase.value: [status for status, of in PHASES.items() if of is phase] for phase in Phase
        },
        "done": {
            done: [status for status in JobStatus if status.is_terminal is done]
            for done in (False, True)
        },
    },
)


_ORDER_COLUMNS: Mapping[str, ColumnElement[int]] = {
    "create_time": jobs.c.created_us,
    "update_time": jobs.c.updated_us,
    "finish_time": FINISHED_OR_NOT,
    "priority": jobs.c.priority,
}


def compile_filter(expression: Expression, target: Target = JOBS) -> _Condition:
    """The condition that the rows of an expression fulfil, all its values bound."""
    return _compile(expression, target, negated=False)


def select_owners(condition: Comparison | Present, target: Target = JOBS) -> Select[Any]:
    """The rows whose map has the key, with a value that compares so (`!=` as `=`)."""
    table = target.maps[condition.field.name]
    holds = _holds(condition, table.value) if isinstance(condition, Comparison) else true()
    return select(table.owner).where(table.key == condition.key, holds)


def order_clauses(order: Order) -> tuple[ColumnElement[Any], ...]:
    """What a list of jobs in this order is sorted by; no two jobs are equal."""
    columns = _order_columns(order)
    return tuple(c.desc() if order.descending else c.asc() for c in columns)


def after_key(order: Order, key: Sequence[int | str | None]) -> _Condition:
    """The jobs that come after the one with this key (`Order.key_of`)."""
    columns = _order_columns(order)
    # SQLite has no index for rows with an expression in them, but for the bare expression.
    near = columns[0] <= key[0] if order.descending else columns[0] >= key[0]
    # Bound with the types of the columns, or PostgreSQL would take a time for 32 bits.
    last = tuple_(*(literal(part, c.type) for part, c in zip(key, columns, strict=True)))
    beyond = tuple_(*columns) < last if order.descending else tuple_(*columns) > last
    return and_(near, beyond) if order.field == "finish_time" else beyond


def _order_columns(order: Order) -> tuple[ColumnElement[Any], ...]:
    # A job id is unique within its project only; a list may span projects.
    return (_ORDER_COLUMNS[order.field], jobs.c.job_id, jobs.c.project)


def _compile(expression: Expression, target: Target, *, negated: bool) -> _Condition:
    match expression:
        case Everything():
            return false() if negated else true()
        case Not(term):
            return _compile(term, target, negated=not negated)
        case And(terms):
            join = or_ if negated else and_
            return join(*(_compile(term, target, negated=negated) for term in terms))
        case Or(terms):
            join = and_ if negated else or_
            return join(*(_compile(term, target, negated=negated) for term in terms))
        case Present(of, key):
            return _in_map(target, target.maps[of.name], key, true(), wanted=not negated)
        case Comparison():
            wanted = (expression.operator is Operator.NE) is negated
            return _comparison(expression, target, wanted=wanted)


def _comparison(comparison: Comparison, target: Target, *, wanted: bool) -> _Condition:
    name = comparison.field.name
    if comparison.field.is_map:
        table = target.maps[name]
        holds = _holds(comparison, table.value)
        return _in_map(target, table, comparison.key, holds, wanted=wanted)
    column: Any = target.columns[name]
    if name in target.blanks and not _passes_over_blanks(comparison):
        column = func.coalesce(column, "")
    if name in target.groups:
        holds = column.in_(target.groups[name][comparison.value])
    else:
        holds = _holds(comparison, column)
    if wanted:
        return holds
    return or_(column.is_(None), ~holds) if getattr(column, "nullable", False) else ~holds


def _passes_over_blanks(comparison: Comparison) -> bool:
    """Whether the empty text never fulfils it, so that the bare column, and its index, serve."""
    if comparison.value == "":
        return False
    if comparison.is_prefix:
        return True
    return comparison.operator in {Operator.EQ, Operator.NE, Operator.GT}


def _holds(comparison: Comparison, column: Column[Any]) -> _Condition:
    """What the comparison says of a value that is there; `!=` as `=`."""
    value = comparison.value
    if comparison.is_prefix:
        return _begins_with(column, str(value))
    if comparison.operator is Operator.HAS:
        # Both databases fold only A to Z here, given the collation of our columns.
        return func.lower(column).contains(fold(str(value)), autoescape=True)
    operator = Operator.EQ if comparison.operator is Operator.NE else comparison.operator
    return _COMPARE[operator](column, value)


def _in_map(
    target: Target, table: MapTable, key: str, holds: _Condition, *, wanted: bool
) -> _Condition:
    found = exists().where(table.owner == target.row, table.key == key, holds)
    return found if wanted else ~found


def _begins_with(column: Column[Any], prefix: str) -> _Condition:
    """A range, which an index serves; LIKE would need settings of each database."""
    end = _successor(prefix)
    return and_(column >= prefix, column < end) if end else column >= prefix


def _successor(prefix: str) -> str:
    """The least text after all that begin with the prefix; "" if there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code == _SURROGATES[0]:
            code = _SURROGATES[1] + 1
        if code <= _LAST_CODE_POINT:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return ""
