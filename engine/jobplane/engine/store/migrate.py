"""Brings a database to the schema of this version, after a backup; refuses a newer one."""

import logging
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from jobplane.engine import failpoint
from jobplane.engine.store.database import open_engine

log = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The database can't be used by this version."""


def revisions() -> list[str]:
    """Revisions of the schema, oldest first; a file's name begins with its revision."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("*_*.py"))


def migrate(url: str, *, now: datetime) -> None:
    """Create or upgrade the schema; one that is current costs a single read."""
    engine = open_engine(make_url(url), read_only=False, size=1)
    try:
        with engine.connect() as connection:
            current = current_revision(connection)
            known = revisions()
            if current == known[-1]:
                return
            if current is not None and current not in known:
                raise SchemaError(
                    f"the database has schema {current}, newer than {known[-1]} of this version: "
                    "upgrade jobplane, or restore an older backup"
                )
            if current is not None:
                _back_up(connection, now)
            _upgrade(connection)
            log.info("store.migrated", extra={"source": current, "target": known[-1]})
    finally:
        engine.dispose()


def current_revision(connection: Connection) -> str | None:
    """Revision that the database is at; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return revision


def _back_up(connection: Connection, now: datetime) -> None:
    """Copy a SQLite file beside itself; PostgreSQL is backed up by its own tools."""
    path = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not path:
        return
    target = f"{path}.before-migration-{now:%Y%m%dT%H%M%S}"
    connection.rollback()
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute("VACUUM INTO ?", (target,))
    log.info("store.backed_up", extra={"path": target})


def _upgrade(connection: Connection) -> None:
    # Alembic takes a tenth of a second to import, and a current schema never needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    connection.rollback()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        failpoint.reach("migrate_before_commit")
    failpoint.reach("migrate_after_commit")
