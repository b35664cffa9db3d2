"""The artifacts commands: ls, get, cat, verify, put."""

from __future__ import annotations

import codecs
import hashlib
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.table import table
from jobplane.cli.transfer import download, moving, upload
from jobplane.cli.units import size
from jobplane.client import errors
from jobplane.v1 import artifact_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobplane.client import Artifact

INTACT, DAMAGED, MISSING = "intact", "damaged", "missing"


@click.group()
def artifacts() -> None:
    """List, get, print and verify the artifacts of a job."""


@artifacts.command()
@click.argument("job")
@with_session
def ls(session: Session, *, job: str) -> int:
    """List the artifacts of JOB."""
    if not _SHEET.write(session, find_job(session.client, job).artifacts()):
        session.say(f"{job} has no artifacts")
    return Exit.OK


@artifacts.command()
@click.argument("job")
@click.argument("names", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Every artifact.")
@click.option(
    "-d", "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path()
)
@click.option(
    "--resume/--no-resume", default=True, help="Go on with what an earlier get has saved."
)
@with_session
def get(
    session: Session, *, job: str, names: Sequence[str], all_: bool, folder: Path, resume: bool
) -> int:
    """Save artifacts of JOB as files, each checked against its digest.

    What is not whole yet is in a file that ends in .part.
    """
    if all_ == bool(names):
        raise click.UsageError("give NAMES, or --all")
    targets = [(item, _target(folder, item.id)) for item in _chosen(session, job, names)]
    for item, target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        session.write(str(download(session, item, target, resume=resume)))
    return Exit.OK


@artifacts.command()
@click.argument("job")
@click.argument("names", nargs=-1)
@click.option(
    "-d",
    "--dir",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Files that were saved here, instead of what the server has.",
)
@with_session
def verify(session: Session, *, job: str, names: Sequence[str], folder: Path | None) -> int:
    """Read artifacts of JOB whole, all by default, and compare their digests.

    Exits 70 when one is missing or damaged.
    """
    told = [(item, _finding(session, item, folder)) for item in _chosen(session, job, names)]
    bad = sum(1 for _, finding in told if finding != INTACT)
    if session.is_json:
        for item, finding in told:
            session.write_json({"name": item.name, "sha256": item.sha256, "finding": finding})
    else:
        rows = [(finding, item.id, size(item.size), item.sha256) for item, finding in told]
        session.write(table(("FINDING", "NAME", "SIZE", "SHA256"), rows))
    session.say(f"{len(told)} artifacts, {bad or 'none'} of them damaged or missing")
    return Exit.DEFECT if bad else Exit.OK


@artifacts.command()
@click.argument("job")
@click.argument("name")
@with_session
def cat(session: Session, *, job: str, name: str) -> int:
    """Print the artifact NAME of JOB."""
    chunks = find_job(session.client, job).artifact(name).chunks()
    if sys.stdout.isatty():
        # A terminal would obey what it finds in there.
        for line in lines_of(chunks):
            session.write_raw(line)
        return Exit.OK
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return Exit.OK


@artifacts.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--media-type", default="", help="Type of the content; by default by its name.")
@with_session
def put(session: Session, *, file: Path, media_type: str) -> int:
    """Upload FILE; prints the name under which jobs can be given it as an input."""
    stored = upload(session, file, media_type=media_type)
    if session.is_json:
        session.write_json(plain(stored.wire))
    else:
        session.write(stored.name)
    return Exit.OK


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Text line by line, as its chunks come; what is no UTF-8 is shown as such."""
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decode(chunk)).split("\n")
        yield from lines
    rest += decode(b"", final=True)
    if rest:
        yield rest


def _chosen(session: Session, job: str, names: Sequence[str]) -> list[Artifact]:
    """Artifacts of these names, or all of them."""
    handle = find_job(session.client, job)
    return [handle.artifact(name) for name in names] if names else list(handle.artifacts())


def _finding(session: Session, item: Artifact, folder: Path | None) -> str:
    """What reading the whole content shows."""
    if folder is not None:
        path = _target(folder, item.id)
        if not path.is_file():
            return MISSING
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return INTACT if digest == item.sha256 else DAMAGED
    try:
        with moving(session, f"verify {item.id}", item.size) as show:
            done = 0
            for chunk in item.chunks():
                done += len(chunk)
                show(done, item.size)
    except errors.DataLoss:
        return DAMAGED
    except errors.NotFound:
        return MISSING
    return INTACT


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


_SHEET: Sheet[Artifact] = Sheet(
    headers=("NAME", "TYPE", "SIZE", "STAGE", "SHA256"),
    row=lambda item: (
        item.id,
        _type(item),
        size(item.size),
        item.wire.stage or "-",
        item.sha256[:12],
    ),
    name=lambda item: item.name,
    short=lambda item: item.id,
    wire=lambda item: item.wire,
    spare=("STAGE", "TYPE"),
)
