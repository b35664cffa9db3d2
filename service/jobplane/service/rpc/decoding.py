"""Strict decoding: from bytes to a message that keeps every rule of the contract."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from jobplane.engine.domain.errors import (
    InvalidSpecError,
    PayloadTooLargeError,
    UnknownFieldError,
    Violation,
)
from jobplane.service.refusals import MalformedRequestError
from jobplane.service.rpc.times import time_violations
from jobplane.service.wire_scan import MAX_FIELDS, Finding, TooManyFieldsError, scan
from jobplane.v1 import options_pb2 as options
from jobplane.v1 import spec_pb2

MAX_SPEC_BYTES = 256 * 1024
_SPEC = spec_pb2.JobSpec.DESCRIPTOR.full_name


def parse(data: bytes, request: type[Message]) -> Message:
    """Give the message; raises when the bytes are none, or its specs are too large."""
    message = request()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        detail = str(error).partition(": ")[2]
        raise MalformedRequestError(request.DESCRIPTOR.full_name, detail) from None
    if len(data) > MAX_SPEC_BYTES:
        check_size(message)
    return message


def check(message: Message, data: bytes) -> None:
    """Raise with everything that is wrong with a parsed message."""
    findings = _findings(message, data)
    violations = [Violation(found.path, found.description) for found in findings]
    violations += rule_violations(message)
    if any(found.is_unknown_field for found in findings):
        raise UnknownFieldError(violations)
    if violations:
        raise InvalidSpecError(violations)


def _findings(message: Message, data: bytes) -> Sequence[Finding]:
    message.DiscardUnknownFields()
    # What comes out as it went in had nothing to forgive; this spares most calls the scan.
    if message.SerializeToString(deterministic=True) == data:
        return ()
    try:
        return scan(data, descriptor_of(message))
    except TooManyFieldsError:
        text = f"more than {MAX_FIELDS} fields in one message"
        return (Finding("", text, is_unknown_field=False),)


def descriptor_of(message: Message) -> Descriptor:
    """Descriptor of a message, as the type that every implementation has."""
    return cast("Descriptor", message.DESCRIPTOR)


def check_size(message: Message, path: str = "") -> None:
    """Raise when a job spec anywhere in the message is over its limit."""
    if message.DESCRIPTOR.full_name == _SPEC:
        size = message.ByteSize()
        if size > MAX_SPEC_BYTES:
            raise PayloadTooLargeError(path.removesuffix("."), size, MAX_SPEC_BYTES)
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                check_size(item, f"{path}{field.name}[{index}].")
        else:
            check_size(value, f"{path}{field.name}.")


_validator = protovalidate.Validator()

# Rules cost time by element: in a message of more than so many, or of more bytes, the first
# violation has to do, or the check would hold up all other calls.
_MAX_ELEMENTS_FOR_ALL = 1_000
_MAX_BYTES_FOR_ALL = 192 * 1024
# A smaller message is not looked through for its number of elements.
_FEW_BYTES = 8 * 1024
# More than this never fit into an error; of the others only the number is told.
_MAX_TOLD = 200
_UNTOLD = Violation("", "is one more violation")


def rule_violations(message: Message) -> list[Violation]:
    """Every rule of the contract that the message breaks; of a very large one, the first."""
    found = _validator.collect_violations(message, fail_fast=_is_large(message))
    root = descriptor_of(message)
    told = [_violation(one.proto, root) for one in found[:_MAX_TOLD]]
    fields = {violation.field for violation in told}
    told += [one for one in time_violations(message) if one.field not in fields]
    return told + [_UNTOLD] * (len(found) - len(found[:_MAX_TOLD]))


def _is_large(message: Message) -> bool:
    size = message.ByteSize()
    if size <= _FEW_BYTES:
        return False
    return size > _MAX_BYTES_FOR_ALL or elements_of(message) > _MAX_ELEMENTS_FOR_ALL


def elements_of(message: Message) -> int:
    """How many entries of lists and maps a message holds, at any depth."""
    count = 0
    for field, value in message.ListFields():
        if field.is_repeated:
            count += len(value)
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            count += sum(elements_of(item) for item in value)
        elif field.message_type is not None:
            count += elements_of(value)
    return count


def _violation(proto: Any, root: Descriptor) -> Violation:
    elements = list(proto.field.elements) if proto.field else []
    path = ".".join(_segment(element) for element in elements)
    if any(_is_sensitive(field) for field in _descriptors(elements, root)):
        # The text of a rule may hold the value.
        return Violation(path, f"breaks the rule {proto.rule_id}")
    return Violation(path, proto.message or f"breaks the rule {proto.rule_id}")


def _segment(element: Any) -> str:
    subscript = element.subscript
    if subscript is None:
        return str(element.field_name)
    if isinstance(subscript.value, str):
        return f"{element.field_name}[{json.dumps(subscript.value, ensure_ascii=False)}]"
    return f"{element.field_name}[{subscript.value}]"


def _descriptors(elements: Iterable[Any], root: Descriptor) -> Iterable[FieldDescriptor]:
    """Fields on the way from the root to the one that breaks the rule."""
    message: Descriptor | None = root
    for element in elements:
        field = message.fields_by_name.get(element.field_name) if message else None
        if field is None:
            return
        yield field
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            message = message.fields_by_name["value"].message_type


def _is_sensitive(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[options.sensitive])
