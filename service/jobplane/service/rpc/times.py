"""Durations and timestamps that are none: out of range, or of two signs.

A parser takes any seconds and nanos, and the rules of the contract compare only what they sum
up to; whoever reads such a value back as JSON could not.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from jobplane.engine.domain.errors import Violation

_MAX_NANOS = 999_999_999
_MAX_DURATION_S = 315_576_000_000
_FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


def time_violations(message: Message) -> Iterator[Violation]:
    """Every duration and timestamp in a message that no clock or calendar has."""
    ways = _ways(message.DESCRIPTOR)
    for field, value in message.ListFields():
        if field.number not in ways:
            continue
        if _is_map(field):
            for key, item in value.items():
                yield from _found(f"{field.name}[{json.dumps(key, ensure_ascii=False)}]", item)
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield from _found(f"{field.name}[{index}]", item)
        else:
            yield from _found(field.name, value)


def _found(path: str, value: Message) -> Iterator[Violation]:
    fault = _FAULTS.get(value.DESCRIPTOR.full_name)
    if fault is None:
        for inner in time_violations(value):
            yield Violation(f"{path}.{inner.field}", inner.description)
    elif text := fault(value):
        yield Violation(path, text)


def _duration_fault(value: Any) -> str:
    if abs(value.seconds) > _MAX_DURATION_S:
        return f"seconds must be within {_MAX_DURATION_S} of 0"
    if abs(value.nanos) > _MAX_NANOS:
        return f"nanos must be within {_MAX_NANOS} of 0"
    if value.seconds * value.nanos < 0:
        return "seconds and nanos must have the same sign"
    return ""


def _timestamp_fault(value: Any) -> str:
    if not _FIRST_SECOND <= value.seconds <= _LAST_SECOND:
        return "must be within the years 0001 to 9999"
    if not 0 <= value.nanos <= _MAX_NANOS:
        return f"nanos must be within 0 and {_MAX_NANOS}"
    return ""


_FAULTS: Mapping[str, Callable[[Any], str]] = {
    "google.protobuf.Duration": _duration_fault,
    "google.protobuf.Timestamp": _timestamp_fault,
}


@cache
def _ways(descriptor: Descriptor) -> frozenset[int]:
    """Numbers of the fields of a message that hold times, or lead to them."""
    fields = (field for field in descriptor.fields if _leads(_target(field), frozenset()))
    return frozenset(field.number for field in fields)


def _leads(target: Descriptor | None, passed: frozenset[str]) -> bool:
    """Whether a message is a time, or holds one at any depth."""
    if target is None or target.full_name in passed:
        return False
    if target.full_name in _FAULTS:
        return True
    passed |= {target.full_name}
    return any(_leads(_target(field), passed) for field in target.fields)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _target(field: FieldDescriptor) -> Descriptor | None:
    """Message that a field holds; of a map, the message of its values."""
    target = field.message_type
    return target.fields_by_name["value"].message_type if target and _is_map(field) else target
