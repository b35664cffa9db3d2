"""Checks of this machine: the client and its settings, and the data folder of a server."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sqlite3
import stat
import time
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from jobplane.cli.dev import INSTALL
from jobplane.cli.exits import Exit
from jobplane.cli.finding import Finding, failure, ok, skipped, warning
from jobplane.cli.units import size
from jobplane.client._channel import is_loopback
from jobplane.client._context import Context, book_path, choose, read_book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobplane.cli.session import Session

OTHERS = stat.S_IRWXG | stat.S_IRWXO
FOLDER_MODE, FILE_MODE = 0o700, 0o600
FULL_BYTES, SCARCE_BYTES = 200_000_000, 2_000_000_000
WAL_BYTES = 1_000_000_000
FEW_FILES = 4096
LOOK_WITHIN_S = 5.0
DATABASE = "jobplane.db"
# SQLite's locks and shared memory do not work over these.
REMOTE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs"})
NOT_PROXIED = ("no_grpc_proxy", "no_proxy")
PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


def chosen_context(session: Session) -> Context:
    """Server that commands talk to, with the options of this one."""
    given = Context(address=session.address, project=session.project)
    return choose(given=given, env=os.environ, context_name=session.context, tls=session.tls)


def client_findings(session: Session, *, fix: bool) -> Iterator[Finding]:
    """Versions, settings, and what the environment does to a connection."""
    yield ok("client", f"jobplane {version('jobplane')}, Python {platform.python_version()}, "
                       f"grpcio {version('grpcio')}, protobuf {version('protobuf')}")  # fmt: skip
    yield _server_part()
    path = book_path(os.environ)
    try:
        book = read_book(path)
        context = chosen_context(session)
    except (ValueError, OSError) as error:
        yield failure("settings", str(error), f"mend or remove {path}", code=Exit.USAGE)
        return
    name = session.context or os.environ.get("JOBPLANE_CONTEXT", "") or book.current
    where = f"context {name}" if name and not session.address else "no context"
    yield ok("settings", f"{context.address}, project {context.project} ({where})")
    if path.exists():
        yield _private("contexts", path, FILE_MODE, fix=fix)
    yield from _proxy(context)


def _server_part() -> Finding:
    try:
        importlib.import_module("jobplane.service")
        return ok("server part", f"installed, SQLAlchemy {version('sqlalchemy')}")
    except (ModuleNotFoundError, PackageNotFoundError):
        return skipped("server part", f"not installed; where a server shall run: {INSTALL}")


def _private(check: str, path: Path, mode: int, *, fix: bool) -> Finding:
    """Whether nobody but the owner can get in."""
    open_to = path.stat().st_mode & OTHERS
    if not open_to:
        return ok(check, f"{path} is its owner's alone")
    if fix:
        path.chmod(mode)
        return ok(check, f"{path} is its owner's alone now (--fix)")
    return warning(
        check, f"others can get at {path}", f"jobplane doctor --fix, or: chmod {mode:o} {path}"
    )


def _proxy(context: Context) -> Iterator[Finding]:
    """A proxy that knows no HTTP/2 breaks gRPC."""
    named = next((name for name in PROXIES if os.environ.get(name)), None)
    if named is None or is_loopback(context.address):
        return
    host = context.address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    excepted = ",".join(os.environ.get(name, "") for name in NOT_PROXIED)
    if any(part.strip() and host.endswith(part.strip()) for part in excepted.split(",")):
        return
    yield warning(
        "proxy",
        f"{named} is set, so calls to {host} go through it",
        f"where the connection fails: export no_proxy={host}",
    )


def store_findings(folder: Path, *, fix: bool) -> Iterator[Finding]:
    """The folder that a server keeps its data in."""
    if not folder.is_dir():
        text = f"{folder} is no folder"
        yield failure("data", text, "name the folder with --data", code=Exit.USAGE)
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        who = f"user {os.getuid()}"
        yield failure("data", f"{folder} can't be used by {who}", f"chown -R {who} {folder}")
        return
    yield _private("data", folder, FOLDER_MODE, fix=fix)
    yield _disk(folder)
    yield from _file_system(folder)
    yield from _database(folder / DATABASE)
    yield from _open_files()


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    text = f"{size(usage.free)} free of {size(usage.total)}"
    if usage.free < FULL_BYTES:
        return failure("disk", text, "free some: jobplane admin gc, and jobplane admin vacuum")
    if usage.free < SCARCE_BYTES:
        return warning("disk", text, "free some soon: jobplane admin gc --dry-run tells how much")
    return ok("disk", text)


def _file_system(folder: Path) -> Iterator[Finding]:
    kind = file_system_of(folder.resolve(), Path("/proc/mounts"))
    if kind in REMOTE_SYSTEMS:
        text = f"{folder} is on {kind}, where the locks of SQLite can't be trusted"
        yield failure("file system", text, "move it to a local disk, or use PostgreSQL")
    elif kind:
        yield ok("file system", kind)


def file_system_of(folder: Path, mounts: Path) -> str:
    """Type of the file system that holds a folder; empty where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    holders = [line for line in lines if folder.is_relative_to(line[1].replace("\\040", " "))]
    return max(holders, key=lambda line: len(line[1]))[2] if holders else ""


def _database(path: Path) -> Iterator[Finding]:
    if not path.is_file():
        yield skipped("database", f"{path} is not there yet; the first start makes it")
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            yield _integrity(database)
            yield _schema(database)
    except sqlite3.Error as error:
        advice = "jobplane admin check tells more; a backup can take its place"
        yield failure("database", f"{path} can't be read: {error}", advice)
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size > WAL_BYTES:
        text = f"its log has {size(log.stat().st_size)}: some reader never ends"
        yield warning("database", text, "restart the server")


def _integrity(database: sqlite3.Connection) -> Finding:
    ends_at = time.monotonic() + LOOK_WITHIN_S
    database.set_progress_handler(lambda: int(time.monotonic() > ends_at), 100_000)
    try:
        [answer] = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if str(error) != "interrupted":
            raise
        return skipped("database", "too large for a short look; see jobplane admin check")
    finally:
        database.set_progress_handler(None, 0)
    if answer != "ok":
        return failure("database", str(answer), "stop the server, and restore a backup")
    return ok("database", "whole")


def _schema(database: sqlite3.Connection) -> Finding:
    try:
        migrate = importlib.import_module("jobplane.engine.store.migrate")
    except ModuleNotFoundError:
        return skipped("schema", f"can't be compared: {INSTALL}")
    [revision] = database.execute("SELECT version_num FROM alembic_version").fetchone()
    known: list[str] = migrate.revisions()
    if revision not in known:
        text = f"{revision} is newer than {known[-1]} of this version"
        return failure("schema", text, "upgrade jobplane, or restore an older backup")
    if revision != known[-1]:
        advice = "the next start migrates it, after a backup; or: jobplane admin migrate"
        return warning("schema", f"{revision}, this version has {known[-1]}", advice)
    return ok("schema", f"{revision}, as this version has it")


def _open_files() -> Iterator[Finding]:
    try:
        resource = importlib.import_module("resource")
    except ModuleNotFoundError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < soft < FEW_FILES:
        text = f"a process may open {soft} files; a server needs one for each connection"
        yield warning("open files", text, f"ulimit -n {hard if hard > soft else FEW_FILES}")
    else:
        yield ok("open files", f"a process may open {soft if soft > 0 else 'any number'}")
