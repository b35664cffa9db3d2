"""Statements that list and count jobs by a filter.

A database without statistics can't know whether a condition picks three jobs of a million
or almost all. The first want to be found and then sorted, the others to be met on a walk
along the order. So each condition that has an index is first asked for a few of its rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select

from jobplane.engine.query.expression import And, Comparison, Expression, Present
from jobplane.engine.query.order import Order
from jobplane.engine.query.schema import Operator
from jobplane.engine.query.token import Key
from jobplane.engine.store.filter import JOBS, after_key, compile_filter, order_clauses
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


def page(
    connection: Connection,
    *,
    projects: Sequence[str],
    expression: Expression,
    order: Order,
    after: Key | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Rows of jobs in their order, from the start or after a key."""
    statement = select(jobs).where(compile_filter(expression))
    if after is not None:
        statement = statement.where(after_key(order, after))
    statement = statement.order_by(*order_clauses(order)).limit(limit)
    few = _few(connection, projects, expression, order)
    if few is None:
        statement = statement.where(_in_projects(jobs.c.project, projects))
    else:
        # The project is hidden from the planner: its indexes would look better than they are.
        hidden = func.coalesce(jobs.c.project, "")
        statement = statement.where(jobs.c.pk.in_(few), _in_projects(hidden, projects))
    return connection.execute(statement).all()


def count(connection: Connection, *, projects: Sequence[str], expression: Expression) -> int:
    """How many jobs there are, exactly."""
    statement = select(func.count()).select_from(jobs)
    condition = _in_projects(jobs.c.project, projects)
    number: int = connection.execute(
        statement.where(condition, compile_filter(expression))
    ).scalar_one()
    return number


def _in_projects(column: ColumnElement[str], projects: Sequence[str]) -> ColumnElement[bool]:
    return column == projects[0] if len(projects) == 1 else column.in_(projects)


def _few(
    connection: Connection, projects: Sequence[str], expression: Expression, order: Order
) -> Select[int] | None:
    """Keys of all rows of a condition that few rows fulfil."""
    conditions = expression.terms if isinstance(expression, And) else (expression,)
    if len(conditions) == 1 and order.field == "create_time" and _has_sorted_index(conditions[0]):
        return None
    for rows in _selections(conditions, projects):
        bounded = rows.limit(FEW + 1).subquery()
        found = connection.execute(select(func.count()).select_from(bounded)).scalar_one()
        if found <= FEW:
            return rows
    return None
