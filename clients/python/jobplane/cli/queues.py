"""The queues commands: ls, open, cordon, close."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.groups import DefaultGroup
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.units import span
from jobplane.client._quotas import STATE
from jobplane.v1 import quota_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable

REASON = click.option("--reason", default="", help="Kept in the log of changes.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what would change.")


@click.group(cls=DefaultGroup)
def queues() -> None:
    """Show queues, and open, cordon or close them."""


@queues.command()
@with_session
def ls(session: Session) -> int:
    """List queues with what waits and what runs in them."""
    if not _SHEET.write(session, session.client.queues()):
        session.say("no queue was used yet; each one opens with its first job")
    return Exit.OK


@queues.command()
@click.argument("queue")
@with_session
def show(session: Session, *, queue: str) -> int:
    """Show one queue."""
    _write(session, _find(session, queue))
    return Exit.OK


def _setter(name: str, state: str, text: str) -> Callable[..., int]:
    @queues.command(name=name, help=text)
    @click.argument("queue")
    @REASON
    @DRY_RUN
    @with_session
    def command(session: Session, *, queue: str, reason: str, dry_run: bool) -> int:
        if dry_run:
            _write(session, _find(session, queue))
            session.say(f"would be {state}: --dry-run")
            return Exit.OK
        _write(session, session.client.set_queue_state(queue, state, reason=reason))
        return Exit.OK

    return command


_setter("open", "open", "Let QUEUE take jobs and start them.")
_setter("cordon", "cordoned", "Let QUEUE take jobs, and start none of them.")
_setter("close", "closed", "Let QUEUE take no more jobs; those that it has still run.")


def _find(session: Session, name: str) -> wire.Queue:
    """Queue by its id; one that was never used is open and empty."""
    full = f"queues/{name.removeprefix('queues/')}"
    for queue in session.client.queues():
        if queue.name == full:
            return queue
    return wire.Queue(name=full, state=wire.QUEUE_STATE_OPEN)


def _write(session: Session, queue: wire.Queue) -> None:
    if session.output == "json":
        session.write_json(plain(queue))
    else:
        _SHEET.write(session, [queue])


def _short(queue: wire.Queue) -> str:
    return queue.name.removeprefix("queues/")


def _state(queue: wire.Queue) -> str:
    if queue.state not in wire.QueueState.values():
        return str(queue.state)
    return wire.QueueState.Name(queue.state).removeprefix(STATE).lower()


def _row(queue: wire.Queue) -> tuple[str, ...]:
    waits = span(timedelta(seconds=queue.oldest_wait_seconds)) if queue.queued else "-"
    return _short(queue), _state(queue), str(queue.queued), str(queue.active), waits


_SHEET: Sheet[wire.Queue] = Sheet(
    headers=("QUEUE", "STATE", "QUEUED", "ACTIVE", "OLDEST WAITS"),
    row=_row,
    name=lambda queue: queue.name,
    short=_short,
    wire=lambda queue: queue,
)
