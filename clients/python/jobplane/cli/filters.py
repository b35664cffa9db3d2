"""Builds a filter from the options of a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD_ENDS = ("FAILED", "TIMED_OUT", "EVAL_FAILED")


def build_filter(
    *,
    text: str,
    statuses: Sequence[str],
    kinds: Sequence[str],
    labels: Sequence[str],
    owners: Sequence[str],
    queue: str,
    job_set: str,
    failed: bool,
    since_s: float | None,
) -> str:
    """Filter of the contract's grammar that asks for all of this at once."""
    wanted = [*_split(statuses), *(BAD_ENDS if failed else ())]
    # First and as it stands: the column of a mistake is the caller's. OR binds tighter than AND.
    terms = [text] if text else []
    terms += _any("status", [status.upper() for status in wanted])
    terms += _any("kind", _split(kinds))
    terms += _any("creator", _split(owners))
    terms += [f"queue = {quoted(queue)}"] if queue else []
    terms += [f"job_set = {quoted(job_set)}"] if job_set else []
    terms += [_label(item) for item in labels]
    if since_s is not None:
        start = datetime.now(UTC) - timedelta(seconds=since_s)
        terms.append(f'create_time >= "{start.isoformat(timespec="seconds")}"')
    return " AND ".join(terms)


def quoted(value: str) -> str:
    """Value as a string of the grammar."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _split(items: Sequence[str]) -> list[str]:
    return [part.strip() for item in items for part in item.split(",") if part.strip()]


def _any(field: str, values: Sequence[str]) -> list[str]:
    """One term that any of the values fulfils."""
    if not values:
        return []
    terms = [f"{field} = {value if field == 'status' else quoted(value)}" for value in values]
    return [terms[0] if len(terms) == 1 else f"({' OR '.join(terms)})"]


def _label(item: str) -> str:
    name, equals, value = item.partition("=")
    if not name:
        raise click.UsageError(f"--label {item!r} must be K or K=V")
    return f"labels.{name} = {quoted(value)}" if equals else f"labels:{name}"
