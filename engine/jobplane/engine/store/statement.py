"""Statements that are compiled once.

Core writes the SQL for each dialect; running the text through the driver costs a fifth of
what running the Core statement costs, and the hot path of a job is a dozen statements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    CursorResult,
    Executable,
    Insert,
    Table,
    bindparam,
    insert,
)


class Statement:
    """One Core statement with named values."""

    def __init__(self, clause: Executable) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}

    def run(
        self, connection: Connection, values: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Run it once."""
        compiled = self._compile(connection)
        return connection.exec_driver_sql(compiled.text, compiled.arrange(values or {}))

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each row, in one call."""
        compiled = self._compile(connection)
        connection.exec_driver_sql(compiled.text, [compiled.arrange(row) for row in rows])

    def _compile(self, connection: Connection) -> "_Compiled":
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            compiled = self._clause.compile(dialect=dialect)  # type: ignore[attr-defined]  # every Core statement has it
            # A value that the statement itself brings, None among them, is not asked for.
            constants = {
                name: bind.value for name, bind in compiled.binds.items() if not bind.required
            }
            order = tuple(compiled.positiontup) if compiled.positional else None
            self._compiled[dialect.name] = _Compiled(str(compiled), order, constants)
        return self._compiled[dialect.name]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement in the words of one dialect."""

    text: str
    # Names in order, where the driver takes values by position.
    order: tuple[str, ...] | None
    constants: Mapping[str, Any]

    def arrange(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver wants them."""
        if self.constants:
            values = {**self.constants, **values}
        if self.order is None:
            return dict(values)
        return tuple([values[name] for name in self.order])


def insertion(table: Table) -> Insert:
    """An insert of every column but a number that the database gives."""
    given = [column.name for column in table.columns if column.autoincrement is not True]
    return insert(table).values({name: bindparam(name) for name in given})


class ManyInsert:
    """Inserts any number of rows with one statement, and gives the numbers they got."""

    CHUNK = 200

    def __init__(self, table: Table, *, returning: Column[Any]) -> None:
        self._table = table
        self._returning = returning
        self._names = [column.name for column in table.columns if column is not returning]
        # By number of rows: most inserts have one, two or three.
        self._statements: dict[int, Statement] = {}

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """The numbers of the rows, in their order."""
        numbers: list[int] = []
        for start in range(0, len(rows), self.CHUNK):
            chunk = rows[start : start + self.CHUNK]
            values = {
                f"{name}_{at}": row[name] for at, row in enumerate(chunk) for name in self._names
            }
            # The database numbers rows as they stand, but may tell of them in any order.
            numbers += sorted(self._of(len(chunk)).run(connection, values).scalars())
        return numbers

    def _of(self, count: int) -> Statement:
        if count not in self._statements:
            rows = [
                {name: bindparam(f"{name}_{at}") for name in self._names} for at in range(count)
            ]
            clause = insert(self._table).values(rows).returning(self._returning)
            self._statements[count] = Statement(clause)
        return self._statements[count]
