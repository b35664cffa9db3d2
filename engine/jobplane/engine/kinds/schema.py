"""Params of custom kinds against their JSON Schema."""

from collections.abc import Iterator
from typing import Any

from jobplane.engine.domain.errors import Violation
from jobplane.engine.kinds.base import Kind

PREFIX = "spec.custom"
# Beyond this a number that came through JSON may not be the one that was meant.
MAX_INTEGER = 2**53


def schema_violations(kind: Kind, params: Any, *, schema_version: str) -> Iterator[Violation]:
    """Everything that breaks the kind's schema, all at once."""
    # jsonschema takes a tenth of a second to import, and only custom kinds need it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    if schema_version and schema_version != kind.schema_version:
        yield Violation(
            f"{PREFIX}.schema_version", f"this server has version {kind.schema_version!r}"
        )
    schema = {"additionalProperties": False, **(kind.schema or {}), "type": "object"}
    errors = Draft202012Validator(schema).iter_errors(params)
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        yield Violation(_path(error.absolute_path), error.message[:300])
    yield from _large_integers(params, f"{PREFIX}.params")


def _path(parts: Any) -> str:
    path = f"{PREFIX}.params"
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _large_integers(value: Any, path: str) -> Iterator[Violation]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _large_integers(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _large_integers(inner, f"{path}[{index}]")
    elif isinstance(value, int | float) and abs(value) > MAX_INTEGER and float(value).is_integer():
        yield Violation(path, "whole numbers beyond 2^53 lose digits in JSON; send text")
