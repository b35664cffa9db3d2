"""Statements that are compiled once.

Core writes the SQL for each dialect. The text then goes straight to the driver's cursor:
that costs a tenth of running the Core statement, and the life of a job is a dozen of them.
"""

# Rows and compiled statements have no types of their own.
# pyright: standard

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Executable, Insert, Table, bindparam, insert
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")


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

    def run_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run it for each row, in one call; how many rows it hit in all."""
        compiled = self._compile(connection)
        with _cursor(connection, compiled.text) as cursor:
            cursor.executemany(compiled.text, [compiled.arrange(row) for row in rows])
            count: int = cursor.rowcount
            return count

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


class Sized:
    """Statements that differ only in how many values they take, each compiled once."""

    # Up to here every number has its own; above, few do, so that few are ever compiled.
    EXACT = 8
    LARGEST = 64

    def __init__(self, make: Callable[[int], Executable]) -> None:
        self._make = make
        self._statements: dict[int, Statement] = {}

    def of(self, count: int) -> Statement:
        """The statement for so many."""
        if count not in self._statements:
            self._statements[count] = Statement(self._make(count))
        return self._statements[count]

    def chunks(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """The items in parts that have a statement."""
        start = 0
        while start < len(items):
            left = len(items) - start
            size = left if left <= self.EXACT else min(1 << left.bit_length() - 1, self.LARGEST)
            yield items[start : start + size]
            start += size


class ManyInsert:
    """Inserts any number of rows with few statements.

    The driver lets other threads run at each statement, and has to wait to come back: many rows
    in one statement cost the writer far less than one statement many times.
    """

    def __init__(self, table: Table, *, returning: Column[Any] | None = None) -> None:
        self._table = table
        self._returning = returning
        names = [column.name for column in table.columns if column is not returning]
        self._binds = [[(name, f"{name}_{at}") for name in names] for at in range(Sized.LARGEST)]
        self._statements = Sized(self._clause)

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Insert; gives the numbers that the rows got, in their order, where there are any."""
        numbers: list[int] = []
        for chunk in self._statements.chunks(rows):
            values = {
                bind: row[name]
                for row, binds in zip(chunk, self._binds, strict=False)
                for name, bind in binds
            }
            # The database numbers rows as they stand, but may tell of them in any order.
            numbers += sorted(self._statements.of(len(chunk)).run(connection, values).scalars())
        return numbers

    def _clause(self, count: int) -> Executable:
        rows: list[dict[str, Any]] = [
            {name: bindparam(bind) for name, bind in binds} for binds in self._binds[:count]
        ]
        clause = insert(self._table).values(rows)
        return clause if self._returning is None else clause.returning(self._returning)


class ManyFind:
    """Finds rows by any number of values of one column, with few statements."""

    # The type of a Select says each of its columns, so it fits no two queries.
    def __init__(self, query: Any, column: Column[Any]) -> None:
        self._query = query
        self._column = column
        self._statements = Sized(self._clause)

    def run(
        self, connection: Connection, values: Mapping[str, Any], sought: Sequence[Any]
    ) -> list[Any]:
        """The rows whose column has one of the values that are sought."""
        rows: list[Any] = []
        for chunk in self._statements.chunks(sought):
            binds = {f"sought_{at}": value for at, value in enumerate(chunk)}
            rows += self._statements.of(len(chunk)).run(connection, {**values, **binds})
        return rows

    def _clause(self, count: int) -> Executable:
        binds: list[Any] = [bindparam(f"sought_{at}") for at in range(count)]
        found: Executable = self._query.where(self._column.in_(binds))
        return found
