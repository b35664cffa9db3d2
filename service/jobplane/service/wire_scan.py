"""Reads raw message bytes against a descriptor, for what a parser forgives silently.

A parser keeps fields it does not know, and lets the last of two members of one oneof win.
Both are mistakes of the caller, and the parsed message no longer shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

# A message that needs a closer look may have so many fields, and so many findings are kept.
MAX_FIELDS = 200_000
MAX_FINDINGS = 1_000

# Set in every byte of a varint but its last.
_MORE = 0x80
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_WIRE_NAMES = {0: "varint", 1: "64-bit", 2: "length-delimited", 3: "group", 4: "group", 5: "32-bit"}
_WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: _FIXED64,
    FieldDescriptor.TYPE_FIXED64: _FIXED64,
    FieldDescriptor.TYPE_SFIXED64: _FIXED64,
    FieldDescriptor.TYPE_FLOAT: _FIXED32,
    FieldDescriptor.TYPE_FIXED32: _FIXED32,
    FieldDescriptor.TYPE_SFIXED32: _FIXED32,
    FieldDescriptor.TYPE_STRING: _DELIMITED,
    FieldDescriptor.TYPE_BYTES: _DELIMITED,
    FieldDescriptor.TYPE_MESSAGE: _DELIMITED,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the parser would have forgiven, and where it is."""

    path: str
    description: str
    is_unknown_field: bool


class TooManyFieldsError(Exception):
    """The message has more fields than anybody means to send."""


class _Truncated(Exception):  # noqa: N818  inner signal: the bytes end inside a field
    """The bytes end inside a field."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What the contract says of one field number."""

    name: str
    wire_type: int
    # Repeated scalars may come packed.
    packable: bool
    repeated: bool
    oneof: str
    message: Descriptor | None
    map_key: FieldDescriptor | None


@cache
def _fields(descriptor: Descriptor) -> Mapping[int, _Field]:
    return {field.number: _field(field) for field in descriptor.fields}


def _field(field: FieldDescriptor) -> _Field:
    message = field.message_type if field.type == FieldDescriptor.TYPE_MESSAGE else None
    wire_type = _WIRE_TYPES.get(field.type, _VARINT)
    oneof = field.containing_oneof
    is_map = message is not None and message.GetOptions().map_entry
    return _Field(
        name=field.name,
        wire_type=wire_type,
        packable=field.is_repeated and wire_type != _DELIMITED,
        repeated=field.is_repeated,
        oneof=oneof.name if oneof is not None and len(oneof.fields) > 1 else "",
        message=message,
        map_key=message.fields_by_name["key"] if message is not None and is_map else None,
    )


def scan(data: bytes, descriptor: Descriptor) -> list[Finding]:
    """Findings in a message that the parser accepts; raises TooManyFieldsError."""
    walker = _Walker(data)
    try:
        walker.walk(0, len(data), descriptor, {})
    except _Truncated:
        # The parser has accepted the bytes, so this is what it skipped without looking.
        walker.add("", "bytes that end inside a field", is_unknown_field=True)
    return walker.findings


class _Walker:
    """Walks one message; paths are put together only for findings."""

    def __init__(self, data: bytes) -> None:
        self.findings: list[Finding] = []
        self._data = data
        self._budget = MAX_FIELDS

    def add(self, path: str, description: str, *, is_unknown_field: bool) -> None:
        """Keep a finding."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(path, description, is_unknown_field))

    def walk(self, at: int, end: int, descriptor: Descriptor, seen: dict[str, Any]) -> None:
        """Walk the fields in data[at:end]; `seen` outlives a message sent in parts."""
        data = self._data
        fields = _fields(descriptor)
        counts: dict[str, int] = {}
        while at < end:
            self._budget -= 1
            if self._budget < 0:
                raise TooManyFieldsError
            tag = data[at]
            at += 1
            if tag >= _MORE:
                tag, at = self._varint(at - 1, end)
            wire_type = tag & 7
            stop, begin = self._skip(at, end, wire_type)
            field = fields.get(tag >> 3)
            if field is None:
                self._unknown(tag)
            elif wire_type != field.wire_type and not (field.packable and wire_type == _DELIMITED):
                self._mistyped(field, wire_type)
            else:
                if field.oneof:
                    self._claim(field, seen)
                if field.message is not None:
                    self._descend(begin, stop, field, seen, counts)
            if stop < 0:
                return
            at = stop

    def _skip(self, at: int, end: int, wire_type: int) -> tuple[int, int]:
        """Where the value ends, or -1 when nothing after it can be read, and where it begins."""
        begin = at
        if wire_type == _DELIMITED:
            size, begin = self._varint(at, end)
            at = begin + size
        elif wire_type == _VARINT:
            while at < end and self._data[at] >= _MORE:
                at += 1
            at += 1
        elif wire_type == _FIXED32:
            at += 4
        elif wire_type == _FIXED64:
            at += 8
        else:
            return -1, begin
        if at > end:
            raise _Truncated
        return at, begin

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end:
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < _MORE:
                return value, at
            shift += 7
        raise _Truncated

    def _descend(
        self, at: int, end: int, field: _Field, seen: dict[str, Any], counts: dict[str, int]
    ) -> None:
        known = len(self.findings)
        assert field.message is not None  # asked by the caller; for the type checker
        if field.repeated:
            index = counts[field.name] = counts.get(field.name, -1) + 1
            self.walk(at, end, field.message, {})
        else:
            index = -1
            self.walk(at, end, field.message, seen.setdefault("." + field.name, {}))
        if len(self.findings) > known:
            self._prefix(known, self._label(at, end, field, index), field)

    def _label(self, at: int, end: int, field: _Field, index: int) -> str:
        if field.map_key is not None:
            return f"{field.name}[{self._key(at, end, field.map_key)}]"
        return field.name if index < 0 else f"{field.name}[{index}]"

    def _key(self, at: int, end: int, key: FieldDescriptor) -> str:
        """Key of a map entry, as text."""
        text = '""' if key.type == FieldDescriptor.TYPE_STRING else "0"
        while at < end:
            tag, at = self._varint(at, end)
            stop, begin = self._skip(at, end, tag & 7)
            if tag == (1 << 3 | _DELIMITED):
                text = '"' + self._data[begin:stop].decode(errors="replace") + '"'
            elif tag == (1 << 3 | _VARINT):
                text = str(self._varint(begin, stop)[0])
            if stop < 0:
                break
            at = stop
        return text

    def _prefix(self, known: int, label: str, field: _Field) -> None:
        for index in range(known, len(self.findings)):
            found = self.findings[index]
            # The value of a map entry is the entry, to a reader.
            rest = found.path.removeprefix("value") if field.map_key else found.path
            joint = "." if rest and not rest.startswith((".", "[")) else ""
            self.findings[index] = Finding(
                label + joint + rest, found.description, found.is_unknown_field
            )

    def _claim(self, field: _Field, seen: dict[str, Any]) -> None:
        first = seen.setdefault(field.oneof, field.name)
        if first != field.name:
            self.add(
                field.name,
                f"only one of {first} and {field.name} may be set: they are members of the "
                f"oneof {field.oneof}",
                is_unknown_field=False,
            )

    def _unknown(self, tag: int) -> None:
        self.add(
            f"#{tag >> 3}",
            f"the contract has no field number {tag >> 3} here (wire type "
            f"{_WIRE_NAMES.get(tag & 7, tag & 7)})",
            is_unknown_field=True,
        )

    def _mistyped(self, field: _Field, wire_type: int) -> None:
        self.add(
            field.name,
            f"sent as {_WIRE_NAMES.get(wire_type, wire_type)}, but the contract says "
            f"{_WIRE_NAMES[field.wire_type]}",
            is_unknown_field=True,
        )
