"""Finds the job that a short name means."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from jobplane.client import errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client import Client, Job

LATEST = "@latest"
FULL_ID_LENGTH = 36
SEARCHED_JOBS = 10_000
SHOWN_MATCHES = 5
SHORTEST_PREFIX = 8


def find_job(client: Client, text: str) -> Job:
    """Job by id, full name, unique prefix of an id, or @latest."""
    if text == LATEST:
        return _latest(client)
    try:
        return client.get(text)
    except errors.NotFound:
        if "/" in text or len(text) >= FULL_ID_LENGTH:
            raise
        matches = _matches(client, text)
        if not matches:
            raise
    if len(matches) > 1:
        shown = ", ".join(matches[:SHOWN_MATCHES])
        more = ", ..." if len(matches) > SHOWN_MATCHES else ""
        raise click.UsageError(f"{text!r} may mean any of {shown}{more}; write more of the id")
    return client.get(matches[0])


def shortened(ids: Sequence[str]) -> dict[str, str]:
    """Shortest prefix of each id that no other one of them has."""
    ordered = sorted(ids)
    short: dict[str, str] = {}
    for place, job_id in enumerate(ordered):
        neighbours = [*ordered[max(0, place - 1) : place], *ordered[place + 1 : place + 2]]
        length = SHORTEST_PREFIX
        while any(other.startswith(job_id[:length]) for other in neighbours) and length < len(
            job_id
        ):
            length += 1
        short[job_id] = job_id[:length]
    return short


def _latest(client: Client) -> Job:
    newest = next(client.list(limit=1), None)
    if newest is None:
        raise errors.NotFound(
            errors.Refusal(
                code="NOT_FOUND",
                reason="JOB_NOT_FOUND",
                message=f"project {client.project} has no jobs",
                hint="submit one with: jobplane submit --kind probe -p steps=3 --watch",
            )
        )
    return client.get(newest)


def _matches(client: Client, prefix: str) -> list[str]:
    """Ids with this prefix among the newest jobs."""
    newest = islice(client.list(), SEARCHED_JOBS)
    return [job.id for job in newest if job.id.startswith(prefix)]
