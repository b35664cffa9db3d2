"""Databases are brought to this version's schema, or refused."""

import sqlite3
from datetime import UTC, datetime

import pytest
from sqlalchemy.engine import make_url

from jobplane.engine.store.database import open_engine, sqlite_url
from jobplane.engine.store.migrate import SchemaError, migrate, revisions
from jobplane.engine.store.tables import metadata

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def schema_of(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, tbl_name FROM sqlite_master").fetchall()
        columns = {
            name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
            for kind, name, _ in rows
            if kind == "table"
        }
        keys = {
            name: connection.execute(f"PRAGMA index_xinfo({name})").fetchall()
            for kind, name, _ in rows
            if kind == "index"
        }
    connection.close()
    return rows, columns, keys


def test_the_migrations_make_the_schema_that_the_code_uses(tmp_path):
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    migrate(sqlite_url(migrated), now=NOW)
    engine = open_engine(make_url(sqlite_url(made)), read_only=False, size=1)
    metadata.create_all(engine)
    engine.dispose()
    ours, theirs = schema_of(migrated), schema_of(made)
    extra = {row for row in ours[0] if row not in theirs[0]}
    assert {name for _, name, _ in extra} <= {
        "alembic_version",
        "sqlite_autoindex_alembic_version_1",
    }
    assert not [row for row in theirs[0] if row not in ours[0]]
    assert {name: sorted(rows) for name, rows in theirs[1].items()}.items() <= {
        name: sorted(rows) for name, rows in ours[1].items()
    }.items()
    assert theirs[2].items() <= ours[2].items()


def test_a_current_database_is_left_alone(tmp_path):
    url = sqlite_url(tmp_path / "jobs.db")
    migrate(url, now=NOW)
    before = (tmp_path / "jobs.db").read_bytes()
    migrate(url, now=NOW)
    assert (tmp_path / "jobs.db").read_bytes() == before


def test_a_newer_database_is_refused_and_untouched(tmp_path):
    path = tmp_path / "jobs.db"
    migrate(sqlite_url(path), now=NOW)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaError, match=f"schema 9999, newer than {revisions()[-1]}"):
        migrate(sqlite_url(path), now=NOW)
