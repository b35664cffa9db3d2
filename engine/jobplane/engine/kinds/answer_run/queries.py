"""The stage "sql": which questions the tables answer, and what they say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobplane.engine.kinds.answer_run.generated import sql_from_model
from jobplane.engine.kinds.answer_run.model import Model
from jobplane.engine.kinds.answer_run.planning import plan
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.sandbox import (
    LoadedTable,
    QueryRefusedError,
    Result,
    Sandbox,
)

_TOLD_ROWS = 20


@dataclass(frozen=True, slots=True)
class Query:
    """One query that was run for a question, with its rows or the reason why there are none."""

    question: SubQuestion
    sql: str
    tables: tuple[LoadedTable, ...]
    caption: str = ""
    result: Result | None = None
    error: str = ""

    @property
    def answers(self) -> bool:
        """Whether there is a value in what it gave."""
        return self.result is not None and any(
            value is not None for row in self.result.rows for value in row
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """Files that were asked."""
        return tuple(table.table.path for table in self.tables)

    def told(self) -> str:
        """The rows in words, for an answer."""
        if self.result is None:
            return ""
        rows = [_row(row, self.result.columns) for row in self.result.rows[:_TOLD_ROWS]]
        rest = len(self.result.rows) - len(rows)
        more = f"; and {rest} more" if rest else ""
        return f"{self.caption or 'result'}: {'; '.join(rows)}{more}"

    def text(self) -> str:
        """Everything that can be cited of it."""
        return f"{' '.join(self.paths)}\n{self.sql}\n{self.told()}"


def run_queries(
    questions: Sequence[SubQuestion], sandbox: Sandbox, model: Model | None
) -> list[Query]:
    """At most one query a question; questions that no query fits are left out."""
    queries: list[Query] = []
    for question in questions:
        planned = plan(question, sandbox.tables)
        if planned is not None:
            tables = (planned.table,)
            queries.append(_run(Query(question, planned.sql, tables, planned.caption), sandbox))
        elif model is not None and sandbox.tables:
            sql = sql_from_model(question, sandbox.tables, model)
            if sql:
                queries.append(_run(Query(question, sql, _named(sql, sandbox)), sandbox))
    return queries


def _run(query: Query, sandbox: Sandbox) -> Query:
    parts = (query.question, query.sql, query.tables, query.caption)
    try:
        return Query(*parts, result=sandbox.query(query.sql))
    except QueryRefusedError as error:
        return Query(*parts, error=str(error))


def _named(sql: str, sandbox: Sandbox) -> tuple[LoadedTable, ...]:
    """Tables that the statement speaks of."""
    folded = sql.casefold()
    return tuple(table for table in sandbox.tables if table.table.name in folded)


def _row(row: tuple[Any, ...], columns: tuple[str, ...]) -> str:
    if len(row) == 1:
        return _value(row[0])
    first, *others = row
    if len(others) == 1:
        return f"{_value(first)}: {_value(others[0])}"
    return ", ".join(f"{name} {_value(value)}" for name, value in zip(columns, row, strict=True))


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
