"""SQL over the tables of a run, in a database that can reach nothing else."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import duckdb

from jobplane.engine.kinds.answer_run.folder import Warn
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import Table

_Value = TypeVar("_Value")

_POLL_S = 0.05
_CELL_CHARS = 500
_MOST_VALUES = 500
# What is left after the settings below: functions that tell of the process, not of the data.
_REFUSED = re.compile(
    r"\b(?:duckdb_\w+|pragma_\w+|read_\w+|parquet_\w+|sniff_csv|glob|getenv|getvariable|which_secret"
    r"|query|query_table|sql_auto_complete|current_setting|icu_\w+|sqlite_\w+|postgres_\w+|mysql_\w+"
    r"|st_read\w*|iceberg_\w+|delta_\w+|arrow_scan\w*|pandas_scan|python_map_function|json_execute_\w+"
    r"|from_substrait\w*|repeat_row|test_all_types|seq_scan|force_checkpoint|checkpoint)\s*\(",
    re.IGNORECASE,
)
_REFUSED_SCHEMAS = re.compile(
    r"\b(?:information_schema|pg_catalog|sqlite_master|duckdb_\w+)\b", re.IGNORECASE
)
_LOCK = (
    "SET enable_external_access=false",
    "SET python_enable_replacements=false",
    "SET allow_community_extensions=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_unsigned_extensions=false",
    "SET max_temp_directory_size='0B'",
    "SET threads=1",
)


class QueryRefusedError(Exception):
    """A statement that the sandbox does not run, or that did not run to its end."""


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a loaded table, with the texts that stand in it."""

    name: str
    type: str
    values: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether sums can be made of it."""
        return bool(
            re.match(
                r"(?:[UH]?(?:TINY|SMALL|BIG|HUGE)?INT|INTEGER|DOUBLE|FLOAT|DECIMAL)", self.type
            )
        )

    @property
    def is_time(self) -> bool:
        """Whether it holds dates."""
        return self.type.startswith(("DATE", "TIMESTAMP"))


@dataclass(frozen=True, slots=True)
class LoadedTable:
    """Table as SQL sees it."""

    table: Table
    columns: tuple[Column, ...]
    row_count: int


@dataclass(frozen=True, slots=True)
class Result:
    """Rows that a query gave."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    elapsed_s: float


class Sandbox:
    """A database in memory: filled first, then locked for good."""

    def __init__(self, limits: Limits, safe_point: Callable[[], None]) -> None:
        self._limits = limits
        self._safe_point = safe_point
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(f"SET memory_limit='{limits.sql_memory_mib}MiB'")
        self.tables: tuple[LoadedTable, ...] = ()

    def load(self, tables: tuple[Table, ...], folder: Path, warn: Warn) -> None:
        """Fill one table for each file, through copies in `folder`, then lock the database."""
        loaded: list[LoadedTable] = []
        for number, table in enumerate(tables, start=1):
            self._safe_point()
            copy = folder / f"table-{number}{table.suffix}"
            copy.write_bytes(table.content)
            try:
                self._guarded(partial(self._fill, table, copy))
            except (duckdb.Error, QueryRefusedError) as error:
                first_line = str(error).split("\n", 1)[0]
                warn("TABLE_UNREADABLE", f"{table.path}: {_without(first_line, str(copy))}")
                continue
            loaded.append(self._described(table))
        for statement in _LOCK:
            self._connection.execute(statement)
        self._connection.execute("SET lock_configuration=true")
        self.tables = tuple(loaded)

    def query(self, sql: str) -> Result:
        """Rows of the one SELECT that `sql` is; QueryRefusedError says why there are none."""
        statement = checked(sql)
        most = self._limits.sql_rows
        started = monotonic()

        def run() -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
            cursor = self._connection.execute(statement)
            names = tuple(entry[0] for entry in cursor.description or ())
            return names, cursor.fetchmany(most + 1)

        try:
            columns, rows = self._guarded(run)
        except duckdb.Error as error:
            raise QueryRefusedError(str(error).split("\n", 1)[0]) from error
        kept = tuple(tuple(_plain(value) for value in row) for row in rows[:most])
        return Result(columns, kept, len(rows) > most, monotonic() - started)

    def close(self) -> None:
        """Let go of all memory."""
        self._connection.close()

    def _fill(self, table: Table, path: Path) -> None:
        reader = (
            "read_parquet(?)" if table.suffix == ".parquet" else "read_csv(?, strict_mode=true)"
        )
        self._connection.execute(
            f'CREATE TABLE "{table.name}" AS SELECT * FROM {reader}',  # noqa: S608  our own name
            [str(path)],
        )

    def _described(self, table: Table) -> LoadedTable:
        columns: list[Column] = []
        for name, kind in self._rows(
            "SELECT column_name, data_type FROM information_schema.columns "  # noqa: S608  our own name
            f"WHERE table_name = '{table.name}' ORDER BY ordinal_position"
        ):
            quoted = quote(name)
            values: tuple[str, ...] = ()
            if kind == "VARCHAR":
                found = self._rows(
                    f'SELECT DISTINCT {quoted} FROM "{table.name}" WHERE {quoted} IS NOT NULL '  # noqa: S608  quoted
                    f"ORDER BY 1 LIMIT {_MOST_VALUES}"
                )
                values = tuple(str(row[0]) for row in found)
            columns.append(Column(name, kind, values))
        count = self._rows(f'SELECT count(*) FROM "{table.name}"')[0][0]  # noqa: S608  our own name
        return LoadedTable(table, tuple(columns), int(count))

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._guarded(lambda: self._connection.execute(sql).fetchall())

    def _guarded(self, work: Callable[[], _Value]) -> _Value:
        """Do the work in a thread, so that a cancel or the time limit can interrupt it."""
        done: list[_Value] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work())
            except BaseException as error:  # noqa: BLE001  handed on to the caller below
                failed.append(error)

        thread = threading.Thread(target=run, name="answer-run-sql", daemon=True)
        deadline = monotonic() + self._limits.sql_timeout_s
        thread.start()
        try:
            while thread.is_alive():
                self._safe_point()
                if monotonic() > deadline:
                    raise QueryRefusedError(
                        f"the query was stopped after {self._limits.sql_timeout_s:g} s"
                    )
                thread.join(_POLL_S)
        finally:
            while thread.is_alive():
                self._connection.interrupt()
                thread.join(_POLL_S)
        if failed:
            raise failed[0]
        return done[0]


def checked(sql: str) -> str:
    """The statement, if it is exactly one SELECT over the tables of the run."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryRefusedError(f"no valid SQL: {str(error).split(chr(10), 1)[0]}") from error
    if len(statements) != 1:
        raise QueryRefusedError(f"exactly one statement is run, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryRefusedError("only SELECT is run")
    refused = _REFUSED.search(sql) or _REFUSED_SCHEMAS.search(sql)
    if refused:
        raise QueryRefusedError(f"{refused.group().rstrip('( ')} is not allowed")
    return sql


def quote(name: str) -> str:
    """Identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    """Value as JSON can hold it."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    return str(value)[:_CELL_CHARS]


def _without(message: str, path: str) -> str:
    return message.replace(path, "the file")
