"""Statements that list jobs by a filter.

A database without statistics can't know whether a condition picks three jobs of a million
or almost all. The first want to be found and then sorted, the others to be met on a walk
along the order. So each condition that has an index is first asked for a few of its rows.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from sqlalchemy import Column, ColumnElement, Connection, Select, func, select, true

from jobplane.engine.domain.job import Job
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.expression import And, Comparison, Expression, Present
from jobplane.engine.query.order import Order
from jobplane.engine.query.schema import Operator
from jobplane.engine.query.token import Key
from jobplane.engine.store.codec import job_from_row
from jobplane.engine.store.filter import (
    JOBS,
    Target,
    after_key,
    compile_filter,
    order_clauses,
    select_owners,
)
from jobplane.engine.store.tables import jobs

# So many rows are sorted without being noticed, and a condition that more fulfil is met
# soon enough on a walk.
FEW = 2000

_INDEXED = frozenset(
    {
        "kind",
        "status",
        "phase",
        "done",
        "queue",
        "job_set",
        "creator",
        "schedule",
        "failure.reason",
        "failure.category",
        "display_name",
    }
)

# Fields with an index that serves a range of their values.
_SORTED = {"priority": 0, "create_time": 0, "update_time": 0, "display_name": ""}

_UNFINISHED = [status.value for status in JobStatus if not status.is_terminal]

# Not `:`, which would read every value under the key.
_RANGES = frozenset(Operator) - {Operator.NE, Operator.HAS}


def page(
    connection: Connection,
    *,
    project: str,
    expression: Expression,
    order: Order,
    after: Key | None,
    limit: int,
) -> list[Job]:
    """Jobs of a project ("-" means all) in their order, from the start or after a key."""
    if project == "-" and order.field != "create_time":
        # The other orders have an index by project only.
        pages = [
            page(
                connection,
                project=one,
                expression=expression,
                order=order,
                after=after,
                limit=limit,
            )
            for one in _projects(connection)
        ]
        merged = heapq.merge(*pages, key=order.key_of, reverse=order.descending)
        return list(islice(merged, limit))
    statement = select(jobs).where(compile_filter(expression, _along(order)))
    if after is not None:
        statement = statement.where(after_key(order, after))
    statement = statement.order_by(*order_clauses(order)).limit(limit)
    few = _few(connection, project, expression, order)
    if few is None:
        statement = statement.where(_in_project(jobs.c.project, project))
    else:
        # The project is hidden from the planner: its indexes would look better than they are.
        hidden = func.coalesce(jobs.c.project, "")
        statement = statement.where(jobs.c.pk.in_(few), _in_project(hidden, project))
    return [job_from_row(row) for row in connection.execute(statement)]


def any_unfinished(connection: Connection, *, project: str, expression: Expression) -> bool:
    """Whether a job of a project that meets a condition is not finished."""
    query = select(jobs.c.pk).where(
        jobs.c.project == project, jobs.c.status.in_(_UNFINISHED), compile_filter(expression)
    )
    return connection.execute(query.limit(1)).first() is not None


def _projects(connection: Connection) -> Iterator[str]:
    """Each project that has a job, by one step in an index."""
    last = ""
    while True:
        query = select(func.min(jobs.c.project)).where(jobs.c.project > last)
        found = connection.execute(query).scalar_one()
        if found is None:
            return
        last = found
        yield last


def _along(order: Order) -> Target:
    """Where fields are stored, for a walk along an order.

    Ranges of other fields are hidden from the planner: an index that serves one that most jobs
    are in would have it sort them all.
    """
    hidden: dict[str, Column[object]] = {
        name: func.coalesce(JOBS.columns[name], least)  # type: ignore[misc]  # compared like a column
        for name, least in _SORTED.items()
        if name != order.field
    }
    return replace(JOBS, columns={**JOBS.columns, **hidden})


def _in_project(column: ColumnElement[str], project: str) -> ColumnElement[bool]:
    return true() if project == "-" else column == project


def _few(
    connection: Connection, project: str, expression: Expression, order: Order
) -> Select[int] | None:
    """Keys of all rows of a condition that few rows fulfil."""
    conditions = expression.terms if isinstance(expression, And) else (expression,)
    if len(conditions) == 1 and _is_met_in_order(conditions[0], order):
        return None
    for rows in _selections(conditions, project):
        bounded = rows.limit(FEW + 1).subquery()
        found = connection.execute(select(func.count()).select_from(bounded)).scalar_one()
        if found <= FEW:
            return rows
    return None


def _is_met_in_order(condition: Expression, order: Order) -> bool:
    """Whether one index has the rows of a condition, and has them in this order."""
    if not isinstance(condition, Comparison) or condition.is_prefix:
        return False
    if condition.field.name == order.field:
        return _is_range(condition)
    is_group = condition.field.name in JOBS.groups
    return order.field == "create_time" and _is_equality(condition) and not is_group


def _is_equality(condition: Comparison) -> bool:
    return condition.operator is Operator.EQ and condition.field.name in _INDEXED


def _is_range(condition: Comparison) -> bool:
    if condition.field.name == "display_name":
        return condition.is_prefix and condition.operator is Operator.EQ
    return condition.field.name in _SORTED and condition.operator in _RANGES


def _selections(conditions: Sequence[Expression], project: str) -> Iterator[Select[int]]:
    """What an index finds, for each condition that has one."""
    for condition in conditions:
        match condition:
            case Present():
                yield select_owners(condition)
            case Comparison(operator=operator) if condition.field.is_map:
                if operator in _RANGES:
                    yield select_owners(condition)
            case Comparison() if _is_equality(condition) or _is_range(condition):
                in_project = _in_project(jobs.c.project, project)
                yield select(jobs.c.pk).where(in_project, compile_filter(condition))
            case _:
                pass
