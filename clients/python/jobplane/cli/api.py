"""The api command: any method of the server, by reflection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from google.protobuf import json_format

from jobplane.cli.exits import Exit
from jobplane.cli.follow import Span
from jobplane.cli.reflection import Reflection
from jobplane.cli.session import Session, with_session
from jobplane.cli.table import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

CALL_TIMEOUT_S = 30.0


@click.command()
@click.argument("method", required=False)
@click.argument("requests", nargs=-1, metavar="[JSON]...")
@click.option("--timeout", type=Span(), help="Default 30s; streams run until their end.")
@with_session
def api(
    session: Session, *, method: str | None, requests: Sequence[str], timeout: float | None
) -> int:
    """Call METHOD with a JSON request (- for stdin), or list the methods.

    METHOD is GetJob, JobService/GetJob or its full name. A stream prints one JSON object
    per line; several JSON arguments are sent one after the other.
    """
    reflection = Reflection(session.client.channel, session.client.metadata)
    if method is None:
        return _write_methods(session, reflection)
    found = find_method(reflection, method)
    messages = [_parsed(reflection, found, text) for text in requests or ("{}",)]
    limit = CALL_TIMEOUT_S if timeout is None and not found.server_streaming else timeout
    indent = None if found.server_streaming or session.output == "jsonl" else 2
    for answer in reflection.call(found, messages, limit):
        session.write_json_text(
            json_format.MessageToJson(
                answer,
                indent=indent,
                preserving_proto_field_name=True,
                descriptor_pool=reflection.pool,
                ensure_ascii=False,
            )
        )
    return Exit.OK


def find_method(reflection: Reflection, text: str) -> MethodDescriptor:
    """The one method that a name means."""
    service_text, _, name = text.replace(".", "/").rpartition("/")
    service_text = service_text.replace("/", ".")
    found = [
        method
        for service in reflection.services()
        if not service_text or f".{service}".endswith(f".{service_text}")
        for method in reflection.methods(service)
        if method.name == name
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.UsageError(f"the server has no method {text!r}; list them with: jobplane api")
    names = ", ".join(_full_name(method) for method in found)
    raise click.UsageError(f"{text!r} may mean any of {names}")


def _write_methods(session: Session, reflection: Reflection) -> int:
    methods = [
        method for service in reflection.services() for method in reflection.methods(service)
    ]
    if session.is_json:
        session.write_json([_full_name(method) for method in methods])
        return Exit.OK
    rows = [
        (_full_name(method), _type(method, given=True), _type(method, given=False))
        for method in methods
    ]
    session.write(table(("METHOD", "TAKES", "GIVES"), rows))
    return Exit.OK


def _full_name(method: MethodDescriptor) -> str:
    return "/".join(str(method.full_name).rsplit(".", 1))


def _type(method: MethodDescriptor, *, given: bool) -> str:
    name = method.input_type.name if given else method.output_type.name
    is_stream = method.client_streaming if given else method.server_streaming
    return f"stream {name}" if is_stream else str(name)


def _parsed(reflection: Reflection, method: MethodDescriptor, text: str) -> Message:
    content = sys.stdin.read() if text == "-" else text
    try:
        return json_format.Parse(
            content, reflection.request_of(method), descriptor_pool=reflection.pool
        )
    except json_format.ParseError as error:
        raise click.UsageError(f"{method.input_type.name}: {error}") from error
