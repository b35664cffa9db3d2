"""The datasets commands: ls, show, register."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.submit import labels_of
from jobplane.cli.transfer import upload
from jobplane.cli.units import age, size
from jobplane.client._event import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.v1 import dataset_service_pb2 as wire


@click.group()
def datasets() -> None:
    """Name uploaded content, so that jobs refer to data by id and version."""


@datasets.command()
@click.option("--filter", "where", default="", help='For example: dataset_id = "trades"')
@with_session
def ls(session: Session, *, where: str) -> int:
    """List the versions of all data sets, newest first."""
    _SHEET.write(session, session.client.datasets(where))
    return Exit.OK


@datasets.command()
@click.argument("dataset", metavar="ID@VERSION")
@with_session
def show(session: Session, *, dataset: str) -> int:
    """Tell everything about one version."""
    _write(session, session.client.dataset(dataset))
    return Exit.OK


@datasets.command()
@click.argument("dataset", metavar="ID[@VERSION]")
@click.argument("content", metavar="FILE|ARTIFACT")
@click.option("--format", "layout", default="", help="Layout, for example instruction or table.")
@click.option("--description", default="", help="One line.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label.")
@click.option("--media-type", default="", help="Type of the content; by default by its name.")
@click.option("--dry-run", is_flag=True, help="Only tell what it would be.")
@with_session
def register(
    session: Session,
    *,
    dataset: str,
    content: str,
    layout: str,
    description: str,
    labels: Sequence[str],
    media_type: str,
    dry_run: bool,
) -> int:
    """Make content a version of a data set: FILE is uploaded, an ARTIFACT is named in full.

    Without a version it is named by the digest of the content. A repeat with the same
    content changes nothing; a version never changes its content.
    """
    dataset_id, _, version = dataset.partition("@")
    is_upload = not content.startswith("projects/")
    if is_upload and not Path(content).is_file():
        raise click.UsageError(f"there is no file {content!r}")
    if dry_run:
        session.say(f"would register {content} as {dataset}: --dry-run")
        return Exit.OK
    artifact = upload(session, Path(content), media_type=media_type).name if is_upload else content
    made = session.client.register_dataset(
        dataset_id,
        artifact,
        version=version,
        format=layout,
        description=description,
        labels=labels_of(labels),
    )
    _write(session, made)
    session.say_next(f"jobplane submit … --data ROLE={made.artifact}")
    return Exit.OK


def _write(session: Session, dataset: wire.Dataset) -> None:
    if session.is_json:
        session.write_json(plain(dataset))
        return
    if session.output == "name" or session.quiet:
        session.write(dataset.name if session.output == "name" else _short(dataset))
        return
    facts = {
        "data set": _short(dataset),
        "about": dataset.description,
        "format": dataset.format,
        "type": dataset.media_type,
        "size": size(dataset.size_bytes),
        "table": _table(dataset),
        "sha256": dataset.sha256,
        "content": dataset.artifact,
        "labels": " ".join(f"{key}={value}" for key, value in sorted(dataset.labels.items())),
        "creator": dataset.creator,
        "made": instant(dataset.create_time).isoformat(timespec="seconds"),
    }
    for name, value in facts.items():
        if value:
            session.write(f"{name:<10}{value}")


def _table(dataset: wire.Dataset) -> str:
    if not dataset.HasField("table"):
        return ""
    names = ", ".join(column.name for column in dataset.table.columns)
    return f"{dataset.table.row_count} rows of {names}"


def _short(dataset: wire.Dataset) -> str:
    return f"{dataset.dataset_id}@{dataset.version}"


def _row(dataset: wire.Dataset) -> tuple[str, ...]:
    return (
        _short(dataset),
        dataset.format or "-",
        size(dataset.size_bytes),
        dataset.sha256[:12],
        age(instant(dataset.create_time)),
        dataset.creator or "-",
        dataset.description,
    )


_SHEET: Sheet[wire.Dataset] = Sheet(
    headers=("DATA SET", "FORMAT", "SIZE", "SHA256", "AGE", "OWNER", "ABOUT"),
    row=_row,
    name=lambda dataset: dataset.name,
    short=_short,
    wire=lambda dataset: dataset,
    spare=("OWNER", "SHA256", "AGE", "FORMAT"),
)
