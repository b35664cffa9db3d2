"""The quota commands: show, set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.groups import DefaultGroup
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import csv_of
from jobplane.cli.table import table
from jobplane.cli.units import number, size
from jobplane.client._event import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.v1 import quota_service_pb2 as wire

METRICS = "queued, running, running.KIND, submits_per_minute, gpu_hours, artifact_bytes"
HEADERS = ("METRIC", "USED", "LIMIT", "LEFT")
NO_LIMIT = "none"
SIZES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@click.group(cls=DefaultGroup, default="show")
def quota() -> None:
    """Show and set the limits of a project."""


@quota.command()
@with_session
def show(session: Session) -> int:
    """Show limits, what is used of them, and what is left."""
    _write(session, session.client.quota())
    return Exit.OK


@quota.command(name="set")
@click.argument("limits", nargs=-1, required=True, metavar="METRIC=LIMIT...")
@click.option("--etag", default="", help="Change only what is still as it was shown.")
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@with_session
def set_(session: Session, *, limits: Sequence[str], etag: str, dry_run: bool) -> int:
    """Set limits of the project, the others stay: running=4 queued=none artifact_bytes=10G.

    METRIC is queued, running, running.KIND, submits_per_minute, gpu_hours or
    artifact_bytes; LIMIT a number, with k, M, G or T for thousands, or none.
    """
    wanted = dict(_pair(item) for item in limits)
    if dry_run:
        now = session.client.quota()
        for metric, limit in wanted.items():
            before = now.limits.get(metric, None)
            session.write(f"{metric}: {_limit(metric, before)} -> {_limit(metric, limit)}")
        session.say("nothing was changed: --dry-run")
        return Exit.OK
    _write(session, session.client.update_quota(wanted, etag=etag))
    return Exit.OK


def _pair(item: str) -> tuple[str, float | None]:
    metric, equals, text = item.partition("=")
    if not metric or not equals:
        raise click.UsageError(f"{item!r} must be METRIC=LIMIT; metrics are {METRICS}")
    if text.lower() == NO_LIMIT:
        return metric, None
    try:
        value = float(text.rstrip("kMGT")) * SIZES.get(text[-1:], 1)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise click.UsageError(f"{metric}: {text!r} must be a number from 0, or {NO_LIMIT}")
    return metric, value


def _write(session: Session, found: wire.Quota) -> None:
    if session.is_json:
        session.write_json(plain(found))
        return
    if session.output == "name":
        session.write(found.name)
        return
    rows = _rows(found)
    if session.output == "csv":
        session.write(csv_of(HEADERS, rows))
        return
    session.write(table(HEADERS, rows))
    if found.HasField("reset_time"):
        moment = instant(found.reset_time)
        session.say(f"gpu_hours starts again at {moment.isoformat(timespec='minutes')}")


def _rows(found: wire.Quota) -> list[tuple[str, str, str, str]]:
    rows: list[tuple[str, str, str, str]] = []
    for metric in sorted({*found.limits, *found.usage}):
        limit = found.limits.get(metric, None)
        used = found.usage.get(metric, 0.0)
        left = "-" if limit is None else _amount(metric, max(0.0, limit - used))
        rows.append((metric, _amount(metric, used), _limit(metric, limit), left))
    return rows


def _limit(metric: str, limit: float | None) -> str:
    return NO_LIMIT if limit is None else _amount(metric, limit)


def _amount(metric: str, value: float) -> str:
    return size(value) if metric.endswith("_bytes") else number(value)
