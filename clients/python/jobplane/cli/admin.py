"""The admin commands: care for the data folder of a server on this machine."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from jobplane.cli.dev import INSTALL
from jobplane.cli.exits import Exit

# What `check` exits with when a promise is broken.
FOUND = 1
FOLDER = click.Path(file_okay=False, path_type=Path)
DATA = click.option(
    "--data",
    type=FOLDER,
    default=Path(".jobplane"),
    show_default=True,
    help="Folder that keeps jobs and artifacts.",
)


@click.group()
def admin() -> None:
    """Back up, check and mend the data folder of a server."""


@admin.command()
@DATA
@click.argument("target", type=FOLDER)
def backup(*, data: Path, target: Path) -> int:
    """Copy the store to TARGET, a new folder; the server may work meanwhile.

    A server started with --data TARGET goes on from the copy.
    """
    module = _engine("backup")
    try:
        copied = module.back_up(data.absolute(), target.absolute())
    except (module.BackupError, OSError) as error:
        return _refuse(f"no backup was made: {error}")
    click.echo(f"backed up {data} to {target}: the database and {copied} content files")
    return Exit.OK


@admin.command()
@DATA
@click.option("--digests", is_flag=True, help="Also read every artifact and compare its digest.")
def check(*, data: Path, digests: bool) -> int:
    """Look for anything in the store that breaks a promise; exits 1 when there is."""
    checker, content, database = _engine("checker"), _engine("content.store"), _engine("backup")
    path = data.absolute() / database.DATABASE
    if not path.is_file():
        return _refuse(f"{data} holds no store: there is no {database.DATABASE}")
    store = content.ContentStore(data.absolute() / database.CONTENT)
    found = checker.Checker(url=f"sqlite:///{path}", content=store).findings(digests=digests)
    for finding in found:
        click.echo(f"{finding.rule}: {finding.subject}: {finding.detail}")
    click.echo(f"{len(found)} findings" if found else "all promises hold", err=True)
    return FOUND if found else Exit.OK


@admin.command()
@DATA
def vacuum(*, data: Path) -> int:
    """Give unused space of the database back to the file system."""
    try:
        before, after = _engine("backup").vacuum(data.absolute())
    except OSError as error:
        return _refuse(f"{data}: {error.strerror}")
    click.echo(f"{before} bytes before, {after} after")
    return Exit.OK


@admin.command()
@DATA
def migrate(*, data: Path) -> int:
    """Bring the database to the schema of this version, after a backup of an older one."""
    module, database = _engine("store.migrate"), _engine("backup")
    path = data.absolute() / database.DATABASE
    try:
        module.migrate(f"sqlite:///{path}", now=datetime.now(UTC))
    except module.SchemaError as error:
        return _refuse(str(error))
    click.echo(f"the schema is {module.revisions()[-1]}")
    return Exit.OK


@admin.command()
@DATA
@click.option("--dry-run", is_flag=True, help="Only count; a server may work meanwhile.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Leave content alone that was handed in during so many seconds.",
)
def gc(*, data: Path, dry_run: bool, grace: float) -> int:
    """Remove content that no artifact, data set or job needs; a running server does it itself."""
    collector, database = _engine("collector"), _engine("backup")
    if not (data.absolute() / database.DATABASE).is_file():
        return _refuse(f"{data} holds no store: there is no {database.DATABASE}")
    try:
        collected = collector.collect_folder(
            data.absolute(), grace_s=grace, now=datetime.now(UTC), dry_run=dry_run
        )
    except (collector.FolderInUseError, OSError) as error:
        return _refuse(str(error))
    told = "would be removed" if dry_run else "removed"
    number = collected.unneeded if dry_run else collected.removed
    click.echo(
        f"{collected.examined} files examined, {number} {told}, {collected.unneeded_bytes} bytes"
    )
    return Exit.OK


def _engine(name: str) -> Any:
    """A module of the engine, which only the server's extra makes usable."""
    try:
        return importlib.import_module(f"jobplane.engine.{name}")
    except ModuleNotFoundError as error:
        raise click.UsageError(
            f"jobplane admin needs the server ({error.name} is missing); install it with: {INSTALL}"
        ) from error


def _refuse(text: str) -> int:
    click.echo(f"jobplane admin: {text}", err=True)
    return Exit.USAGE
