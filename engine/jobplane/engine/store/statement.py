"""Statements that are compiled once.

Core writes the SQL for each dialect. The text then goes straight to the driver's cursor:
that costs a tenth of running the Core statement, and the life of a job is a dozen of them.
"""

# Rows and compiled statements have no types of their own.
# pyright: standard

from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Executable, Insert, Table, bindparam, insert
from sqlalchemy.exc import DBAPIError


class Statement:
    """One Core statement with named values."""

    def __init__(self, clause: Executable) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any] | None = None) -> "Rows":
        """Run it once."""
        compiled = self._compile(connection)
        with _cursor(connection, compiled.text) as cursor:
            cursor.execute(compiled.text, compiled.arrange(values or {}))
            return compiled.rows(cursor)

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each row, in one call."""
        compiled = self._compile(connection)
        with _cursor(connection, compiled.text) as cursor:
            cursor.executemany(compiled.text, [compiled.arrange(row) for row in rows])

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


class Rows:
    """All rows of an answer, their columns by name."""

    def __init__(self, rows: Sequence[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, or None."""
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """First column of the first row, or None."""
        return self._rows[0][0] if self._rows else None

    def scalars(self) -> list[Any]:
        """First column of every row."""
        return [row[0] for row in self._rows]


@dataclass(slots=True)
class _Compiled:
    """A statement in the words of one dialect."""

    text: str
    # Names in order, where the driver takes values by position.
    order: tuple[str, ...] | None
    constants: Mapping[str, Any]
    # What a row is, once the driver has said what columns there are.
    row_type: Any = None

    def rows(self, cursor: Any) -> Rows:
        """All rows that a cursor holds."""
        if cursor.description is None:
            return Rows((), cursor.rowcount)
        if self.row_type is None:
            names = [column[0] for column in cursor.description]
            self.row_type = _row_type(names)
        make = self.row_type._make
        return Rows([make(row) for row in cursor.fetchall()], cursor.rowcount)

    def arrange(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver wants them."""
        if self.constants:
            values = {**self.constants, **values}
        if self.order is None:
            return dict(values)
        return tuple([values[name] for name in self.order])


def _row_type(names: list[str]) -> Any:
    return namedtuple("Row", names, rename=True)  # noqa: PYI024  known at run time only


class _cursor:  # noqa: N801  used as a context; a generator would cost as much as the statement
    """A cursor of the driver, whose errors come as SQLAlchemy's."""

    __slots__ = ("_connection", "_cursor", "_text")

    def __init__(self, connection: Connection, text: str) -> None:
        self._connection = connection
        self._text = text

    def __enter__(self) -> Any:
        self._cursor = self._connection.connection.cursor()
        return self._cursor

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._cursor.close()
        dbapi = self._connection.dialect.loaded_dbapi
        if isinstance(error, dbapi.Error):
            raise DBAPIError(self._text, None, error) from error


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
            rows: list[dict[str, Any]] = [
                {name: bindparam(f"{name}_{at}") for name in self._names} for at in range(count)
            ]
            clause = insert(self._table).values(rows).returning(self._returning)
            self._statements[count] = Statement(clause)
        return self._statements[count]
