"""The JSON Schema of a custom kind, made strict, and what breaks it in given params."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from jobplane.engine.domain.errors import Violation

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

# Params travel as doubles: from here on neighbours are no longer told apart.
FIRST_UNSAFE_INTEGER = 2**53
MAX_DEPTH = 32
_MAX_TEXT = 300
_COMPOSING = ("allOf", "anyOf", "oneOf", "if", "$ref", "dependentSchemas", "$dynamicRef")


class InvalidSchemaError(Exception):
    """The schema itself can't be used."""


class ParamsSchema:
    """A checked schema of params, with no room for unknown fields."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # A server without custom kinds starts without it.
        from jsonschema import Draft202012Validator  # noqa: PLC0415
        from jsonschema.exceptions import SchemaError  # noqa: PLC0415
        from referencing import Registry as References  # noqa: PLC0415

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidSchemaError(f"the JSON Schema is not valid: {error.message}") from error
        strict = deepcopy(dict(schema))
        for reference in _references(strict):
            if not reference.startswith("#"):
                raise InvalidSchemaError(f"the JSON Schema refers to {reference!r}, outside itself")
        strict.setdefault("type", "object")
        if strict.get("additionalProperties") in (True, {}):
            del strict["additionalProperties"]
        _close(strict, is_top=True)
        self._schema = strict
        # An empty registry: nothing is ever fetched.
        self._validator: Any = Draft202012Validator(strict, registry=References())

    def violations(self, params: Any) -> list[Violation]:
        """Give everything that is wrong, by path."""
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - as above

        found = list(_unfit_values(params, "params", 0))
        if any(violation.description == _TOO_DEEP for violation in found):
            return found
        try:
            for error in self._validator.iter_errors(params):
                found.extend(_explained(error))
        except Unresolvable as error:
            found.append(Violation("params", f"the kind's JSON Schema is broken: {error}"))
        return list(dict.fromkeys(found))

    def fill_defaults(self, params: Any) -> None:
        """Put in, in place, what the schema gives as default."""
        _fill(self._schema, params)


def parsed_params(text: bytes) -> Any:
    """Give JSON text as values; raises ValueError for anything that JSON does not have."""
    return _whole(json.loads(text, parse_constant=_refuse_constant)) if text else {}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _whole(value: Any) -> Any:
    """Give whole numbers as integers: on the wire every number is a double."""
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < FIRST_UNSAFE_INTEGER
        return int(value) if is_whole else value
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in _fields(value).items()}
    return [_whole(item) for item in _items(value)] if isinstance(value, list) else value


def _fields(value: Any) -> dict[str, Any]:
    """Give the fields of a JSON object, none for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    """Give the items of a JSON array, none for anything else."""
    return value if _is_array(value) else []


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH}"


def _unfit_values(value: Any, path: str, depth: int) -> Iterator[Violation]:
    if depth > MAX_DEPTH:
        yield Violation(path, _TOO_DEEP)
        return
    for name, item in _fields(value).items():
        yield from _unfit_values(item, f"{path}.{name}", depth + 1)
    for index, item in enumerate(_items(value)):
        yield from _unfit_values(item, f"{path}[{index}]", depth + 1)
    if _is_unsafe(value):
        yield Violation(path, "is an integer of 2^53 or more, which loses digits: send it as text")


def _is_unsafe(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) >= FIRST_UNSAFE_INTEGER and value == int(value)


def _references(schema: Any) -> Iterator[str]:
    for name, item in _fields(schema).items():
        if name in ("$ref", "$dynamicRef") and isinstance(item, str):
            yield item
        else:
            yield from _references(item)
    for item in _items(schema):
        yield from _references(item)


def _close(part: Any, *, is_top: bool = False) -> None:
    """Refuse unknown properties where the author said nothing about them."""
    if not isinstance(part, dict):
        return
    schema = _fields(part)
    is_said = "additionalProperties" in schema or "unevaluatedProperties" in schema
    if not is_said and (is_top or "properties" in schema):
        composes = any(word in schema for word in _COMPOSING)
        schema["unevaluatedProperties" if composes else "additionalProperties"] = False
    for inner in _fields(schema.get("properties")).values():
        _close(inner)
    for word in ("items", "additionalProperties"):
        _close(schema.get(word))
    for inner in _items(schema.get("prefixItems")):
        _close(inner)


def _fill(schema: Any, value: Any) -> None:
    if not isinstance(value, dict):
        return
    fields = _fields(value)
    for name, part in _fields(_fields(schema).get("properties")).items():
        if "default" in _fields(part) and name not in fields:
            fields[name] = deepcopy(_fields(part)["default"])
        _fill(part, fields.get(name))


def _path(parts: Iterable[str | int]) -> str:
    return "params" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)


def _explained(error: "ValidationError") -> Iterator[Violation]:
    path = _path(error.absolute_path)
    # jsonschema types these as perhaps unset; on an error of a validator they are set.
    instance: Any = error.instance
    value: Any = error.validator_value
    if error.validator == "required":
        for name in value:
            if name not in instance:
                yield Violation(f"{path}.{name}", "is required")
    elif error.validator == "additionalProperties" and value is False:
        for name in _extras(instance, error.schema):
            yield Violation(f"{path}.{name}", "is not a field of this kind")
    else:
        yield Violation(path, _short(error.message))


def _extras(instance: Mapping[str, Any], schema: Any) -> Iterator[str]:
    patterns = schema.get("patternProperties", {})
    for name in instance:
        if name not in schema.get("properties", {}) and not any(
            re.search(pattern, name) for pattern in patterns
        ):
            yield name


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
