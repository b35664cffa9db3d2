"""Moves content to a server and back, with a bar on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobplane.cli.safe import safe
from jobplane.cli.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from jobplane.cli.session import Session
    from jobplane.client import Artifact

# Below this a bar would only flicker.
BAR_BYTES = 4_000_000


def upload(session: Session, file: Path, *, media_type: str = "") -> Artifact:
    """File as an artifact of the project; content that is there is not sent again."""
    with moving(session, f"upload {file.name}", file.stat().st_size) as show:
        return session.client.upload(file, media_type=media_type, on_progress=show)


def download(session: Session, artifact: Artifact, target: Path, *, resume: bool) -> Path:
    """Path with the whole content; a part that an earlier try left there is gone on with."""
    with moving(session, f"get {artifact.id}", artifact.size) as show:
        return artifact.save(target, resume=resume, on_progress=show)


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
