"""Tells an error, as text or as JSON, always to stderr."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from jobplane.cli.safe import Safe, json_escaped, safe, safe_lines

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
    known = " ".join(part for part in (error.code, error.reason) if part)
    lines = [f"error: {error.message}", *_violations(error), f"reason: {known}"]
    lines += [f"next: {error.hint}"] if error.hint else []
    lines += [f"request: {error.request_id}"] if error.request_id else []
    click.echo(str(Safe("\n").join(lines)), err=True)


def tell_usage(error: click.ClickException, *, as_json: bool) -> None:
    """Say what is wrong with the command line."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "jobplane"
    if as_json:
        _dump(
            code="INVALID_ARGUMENT",
            reason="USAGE",
            message=error.format_message(),
            violations=[],
            request_id="",
            hint=f"see: {command} --help",
        )
        return
    lines = [safe_lines(context.get_usage())] if context else []
    lines += [safe(f"error: {error.format_message()}"), safe(f"next: {command} --help")]
    click.echo(str(Safe("\n").join(lines)), err=True)


def _violations(error: JobplaneError) -> list[str]:
    """Lines for the fields that the message leaves out."""
    return [
        f"  {item.field}: {item.description}"
        for item in error.violations
        if item.description.removesuffix("…") not in error.message
    ]


def _dump(**members: Any) -> None:
    click.echo(json_escaped(json.dumps(members, ensure_ascii=False)), err=True)
