"""The artifacts commands: ls, get, cat, put."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.table import table
from jobplane.cli.units import size
from jobplane.v1 import artifact_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client import Artifact


@click.group()
def artifacts() -> None:
    """List, get and print the artifacts of a job."""


@artifacts.command()
@click.argument("job")
@with_session
def ls(session: Session, *, job: str) -> int:
    """List the artifacts of JOB."""
    found = list(find_job(session.client, job).artifacts())
    if session.is_json:
        session.write_messages(item.wire for item in found)
    elif session.output == "name":
        for item in found:
            session.write(item.name)
    else:
        rows = [
            (item.id, _type(item), size(item.size), item.wire.stage or "-", item.sha256[:12])
            for item in found
        ]
        session.write(table(("NAME", "TYPE", "SIZE", "STAGE", "SHA256"), rows))
    return Exit.OK


@artifacts.command()
@click.argument("job")
@click.argument("names", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every artifact.")
@click.option(
    "-d", "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path()
)
@with_session
def get(session: Session, *, job: str, names: Sequence[str], all_: bool, folder: Path) -> int:
    """Save artifacts of JOB as files, each checked against its digest."""
    if all_ == bool(names):
        raise click.UsageError("give NAMES, or --all")
    handle = find_job(session.client, job)
    found = list(handle.artifacts()) if all_ else [handle.artifact(name) for name in names]
    for item in found:
        target = _target(folder, item.id)
        target.parent.mkdir(parents=True, exist_ok=True)
        session.write(str(item.save(target)))
    return Exit.OK


@artifacts.command()
@click.argument("job")
@click.argument("name")
@with_session
def cat(session: Session, *, job: str, name: str) -> int:
    """Print the artifact NAME of JOB."""
    for chunk in find_job(session.client, job).artifact(name).chunks():
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return Exit.OK


@artifacts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--media-type", default="", help="Type of the content; by default by its name.")
@with_session
def put(session: Session, *, file: Path, media_type: str) -> int:
    """Upload FILE; prints the name under which jobs can be given it as an input."""
    stored = session.client.upload(file, media_type=media_type)
    if session.is_json:
        session.write_json(plain(stored.wire))
    else:
        session.write(stored.name)
    return Exit.OK


def _type(item: Artifact) -> str:
    if item.wire.type not in artifact_pb2.ArtifactType.values():
        return "-"
    name = artifact_pb2.ArtifactType.Name(item.wire.type)
    return name.removeprefix("ARTIFACT_TYPE_").lower()


def _target(folder: Path, artifact_id: str) -> Path:
    """Path below the folder; a name that would lead out of it is refused."""
    path = PurePosixPath(artifact_id)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise click.UsageError(f"artifact {artifact_id!r} has a name that is no file name")
    return folder.joinpath(*path.parts)
