"""Params of custom kinds: a Struct on the wire, JSON text inside."""

import json
import math
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

from jobplane.engine.domain.errors import InvalidSpecError, Violation

# A Struct keeps numbers as doubles: beyond this, integers lose digits on the way.
MAX_EXACT = 2**53


def params_from_wire(params: Struct, path: str) -> bytes:
    """Give the params as canonical JSON; raises for numbers that JSON or doubles can't hold."""
    violations: list[Violation] = []
    plain = {
        key: _plain(value, f"{path}.{key}", violations) for key, value in params.fields.items()
    }
    if violations:
        raise InvalidSpecError(violations)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def params_to_wire(params: bytes, target: Struct) -> None:
    """Write JSON text into a Struct."""
    target.Clear()
    if params:
        target.update(json.loads(params))


def _plain(value: Value, path: str, violations: list[Violation]) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            return _number(value.number_value, path, violations)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [
                _plain(item, f"{path}[{index}]", violations)
                for index, item in enumerate(value.list_value.values)
            ]
        case "struct_value":
            return {
                key: _plain(item, f"{path}.{key}", violations)
                for key, item in value.struct_value.fields.items()
            }
        case _:
            return None


def _number(number: float, path: str, violations: list[Violation]) -> float | int:
    if not math.isfinite(number):
        violations.append(Violation(path, "is not a finite number"))
        return 0
    if not number.is_integer():
        return number
    if abs(number) > MAX_EXACT:
        text = "is an integer over 2^53, which loses digits here; send it as a string"
        violations.append(Violation(path, text))
    return int(number)
