"""Builds a spec from a file, from stdin and from -p, and says exactly what is wrong."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from jobplane.client import specs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

KINDS = specs.JobSpec.DESCRIPTOR.oneofs_by_name["kind"].fields


def read_spec(file: str) -> dict[str, Any]:
    """Content of a JSON or TOML file, or of stdin for "-"."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file}: {_cause(error)}") from error
    try:
        content: Any = tomllib.loads(text) if _is_toml(file, text) else json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise click.UsageError(f"{file} is neither JSON nor TOML: {error}") from error
    if not isinstance(content, dict):
        raise click.UsageError(f"{file} must hold an object")
    return cast("dict[str, Any]", content)


def build_spec(
    *, file: str | None, kind: str, parameters: Sequence[str], settings: Sequence[str]
) -> dict[str, Any]:
    """Spec as JSON: the file, then -p over the kind's parameters, then --set over all."""
    if file is None and not kind:
        raise click.UsageError("give a FILE, - for stdin, or --kind with -p")
    content = {} if file is None else read_spec(file)
    spec = _of_kind(kind, content) if kind else content
    return changed(spec, parameters=parameters, settings=settings)


def changed(
    spec: dict[str, Any], *, parameters: Sequence[str], settings: Sequence[str]
) -> dict[str, Any]:
    """Spec with -p over the kind's parameters, then --set over all."""
    for item in parameters:
        path, value = _assignment(item, "-p")
        _put(spec, [*_parameters_path(spec), *path], value)
    for item in settings:
        path, value = _assignment(item, "--set")
        _put(spec, path, value)
    return spec


def _of_kind(kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Wrap bare parameters; a kind that is not built in goes as custom."""
    if any(member.name == kind for member in KINDS):
        return {kind: parameters}
    return {"custom": {"kind": kind, "params": parameters}}


def _parameters_path(spec: dict[str, Any]) -> list[str]:
    """Where in the spec the parameters of its kind are."""
    for member in KINDS:
        for name in (member.name, member.json_name):
            if name in spec:
                return [name, "params"] if name == "custom" else [name]
    raise click.UsageError("the file names no kind for -p; see: jobplane kinds ls")


def _assignment(item: str, option: str) -> tuple[list[str], str]:
    path, equals, value = item.partition("=")
    if not equals or not all(path.split(".")):
        raise click.UsageError(f"{option} {item!r} must be PATH=VALUE, for example steps=3")
    return path.split("."), value


def _put(spec: dict[str, Any], path: list[str], text: str) -> None:
    """Set a value deep in the spec, read as the contract's type where it has one."""
    place = spec
    for name in path[:-1]:
        inner: Any = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"{'.'.join(path)}: {name} is a value and has no members")
        place = cast("dict[str, Any]", inner)
    place[path[-1]] = _value(_field(path), text)


def _field(path: list[str]) -> FieldDescriptor | None:
    """Descriptor of the field at a path; None in free-form parts."""
    message: Descriptor | None = specs.JobSpec.DESCRIPTOR
    field: FieldDescriptor | None = None
    for name in path:
        if message is None:
            return None
        field = message.fields_by_name.get(name) or message.fields_by_camelcase_name.get(name)
        if field is None:
            return None
        message = field.message_type
        if message is not None and message.full_name.startswith("google.protobuf."):
            message = None
    return field


def _value(field: FieldDescriptor | None, text: str) -> Any:
    """Value for a field: text stays text where the contract wants text."""
    if field is None:
        return _json_or_text(text)
    if field.is_repeated and not text.startswith(("[", "{")):
        return [_scalar(field, part) for part in text.split(",") if part]
    if field.is_repeated:
        return _json_or_text(text)
    return _scalar(field, text)


def _scalar(field: FieldDescriptor, text: str) -> Any:
    wants_text = field.type in {field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_ENUM}
    is_span = field.message_type is not None and field.message_type.full_name in {
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
    }
    return text if wants_text or is_span else _json_or_text(text)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _is_toml(file: str, text: str) -> bool:
    if file.endswith((".yaml", ".yml")):
        raise click.UsageError(f"{file}: YAML is not read; write JSON or TOML")
    return file.endswith(".toml") or (file == "-" and not text.lstrip().startswith("{"))


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "is no UTF-8 text"
