"""The kinds commands: ls, show, example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from google.protobuf.descriptor import FieldDescriptor

from jobplane.cli.exits import Exit
from jobplane.cli.groups import DefaultGroup
from jobplane.cli.parameters import KINDS
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.sheet import Sheet
from jobplane.cli.table import table

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from jobplane.v1 import kind_service_pb2

TYPE_NAMES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "text",
    FieldDescriptor.TYPE_DOUBLE: "number",
    FieldDescriptor.TYPE_FLOAT: "number",
    FieldDescriptor.TYPE_BYTES: "base64",
}


@click.group(cls=DefaultGroup)
def kinds() -> None:
    """Show what can be run."""


@kinds.command()
@with_session
def ls(session: Session) -> int:
    """List the kinds that the server knows."""
    _SHEET.write(session, session.client.kinds())
    return Exit.OK


@kinds.command()
@click.argument("kind")
@with_session
def show(session: Session, *, kind: str) -> int:
    """Tell what KIND takes and does."""
    found = session.client.kind(kind)
    if session.is_json:
        session.write_json(plain(found))
        return Exit.OK
    session.write(f"{_short(found)}: {found.description}")
    session.write(f"can: {_traits(found)}")
    if found.stages:
        session.write(f"stages: {' -> '.join(found.stages)}")
    if found.required_inputs:
        session.write(f"required inputs: {', '.join(found.required_inputs)}")
    rows = _parameters(found)
    if rows:
        session.write(table(("PARAMETER", "TYPE", "MEANING"), rows))
    session.say_next(f"jobplane kinds example {_short(found)}")
    return Exit.OK


@kinds.command()
@click.argument("kind")
@with_session
def example(session: Session, *, kind: str) -> int:
    """Print a spec of KIND to fill in and submit."""
    session.output = "json"
    session.write_json(example_of(session.client.kind(kind)))
    return Exit.OK


def example_of(kind: kind_service_pb2.Kind) -> dict[str, Any]:
    """Spec with the parameters of a kind, ready to be submitted once filled in."""
    name = _short(kind)
    schema = plain(kind.json_schema)
    if schema.get("examples"):
        parameters = schema["examples"][0]
    elif schema.get("properties"):
        parameters = _from_schema(schema)
    else:
        parameters = _from_descriptor(name)
    if any(member.name == name for member in KINDS):
        return {name: parameters}
    return {"custom": {"kind": name, "schema_version": kind.schema_version, "params": parameters}}


def _short(kind: kind_service_pb2.Kind) -> str:
    return kind.name.removeprefix("kinds/")


def _traits(kind: kind_service_pb2.Kind) -> str:
    if not kind.available and kind.install_hint:
        return f"not installed: {kind.install_hint}"
    traits = [
        name
        for name, has in (
            ("pause", kind.pausable),
            ("checkpoint", kind.checkpointing),
            ("ask", kind.interactive),
        )
        if has
    ]
    return ", ".join(traits) or "-"


def _parameters(kind: kind_service_pb2.Kind) -> list[tuple[str, str, str]]:
    """Name, type and meaning of each parameter that the schema has."""
    properties: dict[str, dict[str, Any]] = plain(kind.json_schema).get("properties", {})
    message = _message_of(_short(kind))
    if not properties and message is not None:
        return [_row(field) for field in message.fields]
    return [
        (name, str(value.get("type", "-")), str(value.get("description", "")))
        for name, value in sorted(properties.items())
    ]


def _from_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Defaults, and samples for what is required."""
    required = set(schema.get("required", ()))
    return {
        name: _sample_of(value)
        for name, value in schema["properties"].items()
        if name in required or "default" in value
    }


def _sample_of(schema: dict[str, Any]) -> Any:
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    samples: dict[str, Any] = {"string": "", "integer": 1, "number": 1.0, "boolean": False}
    if schema.get("type") == "object" and "properties" in schema:
        return _from_schema(schema)
    return samples.get(str(schema.get("type")), [] if schema.get("type") == "array" else {})


def _message_of(kind: str) -> Descriptor | None:
    """Message of a built-in kind's parameters."""
    member = next((field for field in KINDS if field.name == kind), None)
    return None if member is None else member.message_type


def _from_descriptor(kind: str) -> dict[str, Any]:
    """Every field of the kind's own message; null leaves it to the server's default."""
    message = _message_of(kind)
    return {} if message is None else _members(message, depth=2)


def _members(message: Descriptor, *, depth: int) -> dict[str, Any]:
    return {field.name: _blank(field, depth) for field in message.fields}


def _blank(field: FieldDescriptor, depth: int) -> Any:
    nested = field.message_type
    if field.is_repeated:
        return {} if nested is not None and nested.GetOptions().map_entry else []
    is_choice = field.containing_oneof is not None
    if nested is None or is_choice or not depth or is_well_known(nested):
        return None
    return _members(nested, depth=depth - 1)


def is_well_known(message: Descriptor) -> bool:
    """Whether the message has a JSON form of its own, as Duration has."""
    return str(message.full_name).startswith("google.protobuf.")


def _row(field: FieldDescriptor) -> tuple[str, str, str]:
    """Name and type of a field, and what it may be."""
    many = "list of " if field.is_repeated else ""
    if field.enum_type is not None:
        names = ", ".join(str(value.name) for value in field.enum_type.values)
        return str(field.name), f"{many}choice", names
    if field.message_type is not None:
        return str(field.name), f"{many}{field.message_type.name}", ""
    return str(field.name), many + TYPE_NAMES.get(field.type, "whole number"), ""


_SHEET: Sheet[kind_service_pb2.Kind] = Sheet(
    headers=("KIND", "CAN", "WHAT IT DOES"),
    row=lambda kind: (_short(kind), _traits(kind), kind.description),
    name=lambda kind: kind.name,
    short=_short,
    wire=lambda kind: kind,
)
