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

# The contract speaks of its own methods; here they are commands.
STEPS = {
    "JOB_NOT_FOUND": "see what there is: jobplane ls",
    "ARTIFACT_NOT_FOUND": "see what there is: jobplane artifacts ls JOB",
    "UNKNOWN_KIND": "see what can be run: jobplane kinds",
    "INVALID_SPEC": "see what a kind takes: jobplane kinds show KIND",
    "UNKNOWN_FIELD": "see what a kind takes: jobplane kinds show KIND",
    "INVALID_FILTER": "for example: --filter 'status = FAILED AND labels.a = b' --sort -created",
    "RESULT_NOT_READY": "wait for it: jobplane wait JOB",
    "JOB_FINISHED": "submit it anew: jobplane retry JOB",
    "INPUT_NOT_PENDING": "see how it stands: jobplane describe JOB",
    "IDEMPOTENCY_KEY_REUSED": "use a new --key for a new job, or none",
    "JOB_ID_TAKEN": "choose another --job-id, or none",
    "QUOTA_EXCEEDED": "see limits and use: jobplane quota",
    "QUEUE_CLOSED": "see which are open: jobplane queues",
    "ETAG_MISMATCH": "read it again, and repeat with its new etag",
}


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON; it may be too wrong to be parsed."""
    flags = {"-o", "--output"}
    asked = {value for flag, value in pairwise(arguments) if flag in flags}
    asked |= {item.removeprefix("--output=") for item in arguments}
    asked |= {item.removeprefix("-o") for item in arguments}
    return bool(asked & {"json", "jsonl"})


def next_step(error: JobplaneError) -> str:
    """What to do next on a command line, else what the error says of it."""
    from_server = bool(error.request_id)
    return STEPS.get(error.reason, error.hint) if from_server or not error.hint else error.hint


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
            hint=next_step(error),
        )
        return
    known = " ".join(part for part in (error.code, error.reason) if part)
    lines = [f"error: {error.message}", *_violations(error), f"reason: {known}"]
    step = next_step(error)
    lines += [f"next: {step}"] if step else []
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
