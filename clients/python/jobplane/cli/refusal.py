"""Tells an error, as text or as JSON, always to stderr."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client import JobplaneError


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; it may be too wrong to be parsed."""
    flags = {"-o", "--output"}
    asked = {value for flag, value in pairwise(arguments) if flag in flags}
    asked |= {item.removeprefix("--output=") for item in arguments}
    asked |= {item.removeprefix("-o") for item in arguments}
    return bool(asked & {"json", "jsonl"})


def tell_error(error: JobplaneError, *, as_json: bool) -> None:
    """Say what a server refused, and what to do next."""
    if as_json:
        _dump(
            code=error.code,
            reason=error.reason,
            message=error.message,
            violations=[
                {"field": item.field, "description": item.description, "reason": item.reason}
                for item in error.violations
            ],
            request_id=error.request_id,
            hint=error.hint,
        )
        return
    lines = [f"error: {error}"]
    lines += [f"hint: {error.hint}"] if error.hint else []
    lines += [f"request: {error.request_id}"] if error.request_id else []
    click.echo("\n".join(lines), err=True)


def tell_usage(error: click.ClickException, *, as_json: bool) -> None:
    """Say what is wrong with the command line."""
    if as_json:
        _dump(
            code="INVALID_ARGUMENT",
            reason="USAGE",
            message=error.format_message(),
            violations=[],
            request_id="",
            hint="see: jobplane --help",
        )
        return
    error.show()


def _dump(**members: Any) -> None:
    click.echo(json.dumps(members, ensure_ascii=False), err=True)
