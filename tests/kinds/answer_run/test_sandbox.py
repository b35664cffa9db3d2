import io
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # it ships no types
import pytest

from jobplane.engine.kinds.answer_run.sandbox import QueryRefusedError, Sandbox
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import Table
from jobplane.engine.kinds.base import Stopped

CSV = b"year,sector,tonnes\n2021,traffic,612\n2022,traffic,605\n2022,industry,655\n"


def csv_table(content: bytes = CSV, name: str = "emissions") -> Any:
    return Table("d1", f"{name}.csv", "0" * 64, len(content), name, ".csv", content)


def filled(
    tmp_path: Path,
    *tables: Table,
    safe_point: Callable[[], None] = lambda: None,
    warned: list[tuple[str, str]] | None = None,
    **limits: Any,
) -> Sandbox:
    sandbox = Sandbox(Limits(**limits), safe_point)
    kept = warned if warned is not None else []
    sandbox.load(tables or (csv_table(),), tmp_path, lambda *warning: kept.append(warning))
    return sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Any:
    made = filled(tmp_path)
    yield made
    made.close()


def test_a_csv_is_a_table(sandbox: Sandbox) -> None:
    result = sandbox.query("SELECT sector, sum(tonnes) FROM emissions GROUP BY 1 ORDER BY 1")
    assert result.rows == (("industry", 655), ("traffic", 1217))


def test_a_parquet_file_is_a_table(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2]}), buffer)
    table = Table("d1", "t.parquet", "0" * 64, 1, "t", ".parquet", buffer.getvalue())
    assert filled(tmp_path, table).query("SELECT sum(a) AS s FROM t").rows == ((3,),)


def test_columns_tell_their_type_and_texts(sandbox: Sandbox) -> None:
    [table] = sandbox.tables
    assert [(column.name, column.type) for column in table.columns] == [
        ("year", "BIGINT"),
        ("sector", "VARCHAR"),
        ("tonnes", "BIGINT"),
    ]
    assert table.columns[1].values == ("industry", "traffic")
    assert table.row_count == 3


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'a,b\n1,2,3,4\n5\n"x'])
def test_a_broken_table_is_warned_of_and_left_out(tmp_path: Path, content: bytes) -> None:
    warned: list[tuple[str, str]] = []
    made = filled(tmp_path, csv_table(content, "broken"), csv_table(), warned=warned)
    assert "emissions" in [table.table.name for table in made.tables]
    for reason, message in warned:
        assert reason == "TABLE_UNREADABLE"
        assert str(tmp_path) not in message


# What a hostile or confused author of SQL may try; none may reach beyond the tables.
PROBES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_blob('/etc/hostname')",
    "SELECT * FROM read_parquet('/srv/x.parquet')",
    "SELECT * FROM read_json('/srv/x.json')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "COPY emissions TO '/srv/stolen.csv'",
    "COPY emissions FROM '/etc/passwd'",
    "ATTACH '/srv/other.db' AS other",
    "EXPORT DATABASE '/srv/stolen'",
    "IMPORT DATABASE '/srv/stolen'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access=true",
    "RESET enable_external_access",
    "SET memory_limit='64GB'",
    "SELECT * FROM secret_of_the_host",
    "SELECT getenv('HOME')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings()",
    "SELECT current_setting('temp_directory')",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE TABLE more AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "DROP TABLE emissions",
    "INSERT INTO emissions VALUES (1, 'x', 2)",
    "UPDATE emissions SET tonnes = 0",
    "DELETE FROM emissions",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "SELECT * FROM pragma_database_list()",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('emissions')",
    "SELECT 1; DROP TABLE emissions",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE SELECT 1",
    "VACUUM",
    "CHECKPOINT",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM 'http://169.254.169.254/latest'",
    "not sql at all",
    "",
    ";",
]


@pytest.mark.parametrize("sql", PROBES)
def test_no_statement_reaches_beyond_the_tables(sandbox: Sandbox, sql: str) -> None:
    secret_of_the_host = pa.table({"secret": ["canary"]})
    with pytest.raises(QueryRefusedError):
        sandbox.query(sql)
    assert secret_of_the_host.num_rows == 1
    assert sandbox.query("SELECT count(*) FROM emissions").rows == ((3,),)


# The lock alone must hold too, should a statement ever slip past the check of its form.
LOCKED = [probe for probe in PROBES[:19] if not probe.startswith(("EXPORT", "IMPORT"))]


@pytest.mark.parametrize("sql", LOCKED)
def test_the_lock_alone_holds(sandbox: Sandbox, sql: str) -> None:
    secret_of_the_host = pa.table({"secret": ["canary"]})
    with pytest.raises(duckdb.Error):
        sandbox._connection.execute(sql).fetchall()
    assert secret_of_the_host.num_rows == 1


def test_rows_are_cut_at_the_cap(sandbox: Sandbox) -> None:
    result = sandbox.query("SELECT * FROM range(5000)")
    assert (len(result.rows), result.truncated) == (1000, True)


def test_rows_at_the_cap_are_not_cut(sandbox: Sandbox) -> None:
    assert not sandbox.query("SELECT * FROM range(1000)").truncated


def test_a_query_without_end_is_stopped(tmp_path: Path) -> None:
    made = filled(tmp_path, sql_timeout_s=0.3)
    with pytest.raises(QueryRefusedError, match=r"stopped after 0\.3 s"):
        made.query("SELECT count(*) FROM range(10000000000) a, range(1000) b")
    assert made.query("SELECT 1").rows == ((1,),)


def test_a_cancel_interrupts_a_query(tmp_path: Path) -> None:
    asked = threading.Event()

    def safe_point() -> None:
        if asked.is_set():
            raise Stopped

    made = filled(tmp_path, safe_point=safe_point)
    threading.Timer(0.2, asked.set).start()
    started = monotonic()
    with pytest.raises(Stopped):
        made.query("SELECT count(*) FROM range(10000000000) a, range(1000) b")
    assert monotonic() - started < 10.0
    assert not [thread for thread in threading.enumerate() if thread.name == "answer-run-sql"]


def test_a_query_that_wants_all_memory_is_refused(tmp_path: Path) -> None:
    made = filled(tmp_path, sql_memory_mib=32)
    with pytest.raises(QueryRefusedError, match=r"(?i)memory"):
        made.query("SELECT list(a) FROM range(100000000) t(a)")


def test_values_are_such_as_json_holds(sandbox: Sandbox) -> None:
    result = sandbox.query(
        "SELECT DATE '2024-01-02', 'nan'::DOUBLE, 1.5::DECIMAL(4, 2), NULL, repeat('x', 9999), [1]"
    )
    assert result.rows == (("2024-01-02", "nan", "1.50", None, "x" * 500, "[1]"),)


def test_a_quoted_name_can_not_break_out(tmp_path: Path) -> None:
    evil = b'"a"" FROM emissions; DROP TABLE x; --",b\nfoo,1\n'
    made = filled(tmp_path, csv_table(evil, "evil"), csv_table())
    assert len(made.tables) == 2
