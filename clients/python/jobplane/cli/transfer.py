"""Moves content to a server and back, with a bar on a terminal."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from jobplane.cli.safe import safe
from jobplane.cli.units import size
from jobplane.client import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from jobplane.cli.session import Session
    from jobplane.client import Artifact

# Below this a bar would only flicker.
BAR_BYTES = 4_000_000
READ_BYTES = 1 << 20


def upload(session: Session, file: Path, *, media_type: str = "") -> Artifact:
    """File as an artifact of the project; content that is there is not sent again."""
    with moving(session, f"upload {file.name}", file.stat().st_size) as show:
        return session.client.upload(file, media_type=media_type, on_progress=show)


def download(session: Session, artifact: Artifact, target: Path, *, resume: bool) -> Path:
    """Path with the whole content; a part that an earlier try left there is gone on with."""
    part = target.with_name(f"{target.name}.part")
    if not resume:
        part.unlink(missing_ok=True)
    digest, start = hashlib.sha256(), 0
    with part.open("a+b") as file:
        file.seek(0)
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
            start += len(chunk)
        if start > artifact.size:
            raise _damaged(artifact, part)
        if start < artifact.size:
            _fetch(session, artifact, file, digest, start)
    if digest.hexdigest() != artifact.sha256:
        raise _damaged(artifact, part)
    return part.replace(target)


def _fetch(session: Session, artifact: Artifact, file: BinaryIO, digest: Any, start: int) -> None:
    """Append what is missing."""
    done = start
    with moving(session, f"get {artifact.id}", artifact.size) as show:
        # The digest is over the whole, so it is compared here: the client reads a part.
        for chunk in session.client.read_artifact(
            artifact.name, offset=start, sha256=artifact.sha256
        ):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            show(done, artifact.size)


def _damaged(artifact: Artifact, part: Path) -> errors.DataLoss:
    """Error for content with another digest, whose part is of no more use."""
    part.unlink(missing_ok=True)
    return errors.DataLoss(
        errors.Refusal(
            code="DATA_LOSS",
            reason="ARTIFACT_CORRUPT",
            message=f"{artifact.id}: what was saved does not match its digest, and is removed",
            resource=artifact.name,
            hint="get it again; if that fails too: jobplane artifacts verify",
        )
    )


@contextmanager
def moving(session: Session, what: str, total: int) -> Generator[Callable[[int, int], None]]:
    """Function that is told how many bytes of how many are there; shows it on a terminal."""
    if not session.live_talk or total < BAR_BYTES:
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a bar needs rich
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True, no_color=not session.colored, highlight=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(safe(what), total=total)
        yield lambda done, _total: bar.update(task, completed=done)
    session.say(f"{what}: {size(total)}")
