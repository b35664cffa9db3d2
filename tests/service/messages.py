"""Strategies for messages of the contract."""

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from jobplane.service.contract import service_files
from jobplane.service.rpc.methods import Rpc, rpcs
from jobplane.v1 import job_service_pb2 as wire

_INTS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
MAX_DEPTH = 4
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["demo", "projects/demo/jobs/one", "kinds/probe", "..", "\0", "-", "latest"]),
)


@cache
def all_rpcs() -> tuple[Rpc, ...]:
    return tuple(rpcs(service_files()))


def scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.cpp_type in _INTS:
        low, high = _INTS[field.cpp_type]
        return st.one_of(st.integers(0, 3), st.integers(low, high))
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.floats(width=32)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return st.one_of(
            st.sampled_from([value.number for value in field.enum_type.values]),
            st.integers(0, 200),
        )
    return TEXTS if field.type == FieldDescriptor.TYPE_STRING else st.binary(max_size=12)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """Any message of a type, valid or not."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if draw(st.integers(0, 2)):
            _fill(draw, message, field, depth)
    return message


def _fill(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    nested = field.message_type
    target = getattr(message, field.name)
    if nested is None:
        if field.is_repeated:
            target.extend(draw(st.lists(scalar(field), max_size=3)))
        else:
            setattr(message, field.name, draw(scalar(field)))
    elif depth >= MAX_DEPTH:
        return
    elif nested.GetOptions().map_entry:
        _fill_map(draw, target, nested, depth)
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            target.add().CopyFrom(draw(messages(nested, depth + 1)))
    else:
        target.CopyFrom(draw(messages(nested, depth + 1)))


def _fill_map(draw: st.DrawFn, target: Any, entry: Descriptor, depth: int) -> None:
    value = entry.fields_by_name["value"]
    for key in draw(st.lists(scalar(entry.fields_by_name["key"]), max_size=3)):
        if value.message_type is None:
            target[key] = draw(scalar(value))
        else:
            target[key].CopyFrom(draw(messages(value.message_type, depth + 1)))


def submit_requests() -> st.SearchStrategy[Any]:
    return messages(wire.SubmitJobRequest.DESCRIPTOR)


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    """A request of any RPC."""
    rpc = draw(st.sampled_from(all_rpcs()))
    return draw(messages(rpc.request.DESCRIPTOR))
