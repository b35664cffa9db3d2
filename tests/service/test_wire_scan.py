"""The wire scanner: finds what a parser forgives, and nothing else."""

import pytest
from google.protobuf.descriptor_pb2 import SourceCodeInfo
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from jobplane.service.convert.frame import varint
from jobplane.service.wire_scan import TooManyFieldsError, scan
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import spec_pb2
from tests.service.messages import any_message, submit_requests

SUBMIT = wire.SubmitJobRequest.DESCRIPTOR
SPEC_FIELD = SUBMIT.fields_by_name["spec"].number
UNKNOWN = varint(999 << 3 | 0) + b"\x01"


def delimited(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def member(name: str, body: bytes = b"") -> bytes:
    return delimited(spec_pb2.JobSpec.DESCRIPTOR.fields_by_name[name].number, body)


def paths(data: bytes, descriptor=SUBMIT) -> list[str]:
    return [found.path for found in scan(data, descriptor)]


@given(submit_requests())
def test_a_message_that_a_client_made_has_no_findings(request):
    assert scan(request.SerializeToString(), SUBMIT) == []


@given(any_message())
def test_no_message_of_the_contract_has_findings(message):
    assert scan(message.SerializeToString(), message.DESCRIPTOR) == []


@given(submit_requests())
def test_an_unknown_field_at_the_top_is_found(request):
    assert paths(request.SerializeToString() + UNKNOWN) == ["#999"]


def test_an_unknown_field_is_found_at_any_depth():
    probe = delimited(SPEC_FIELD, member("probe", UNKNOWN))
    assert paths(probe) == ["spec.probe.#999"]


def test_an_unknown_field_in_a_map_entry_is_found_under_its_key():
    entry = delimited(1, b"journal") + delimited(2, UNKNOWN)
    number = spec_pb2.JobSpec.DESCRIPTOR.fields_by_name["inputs"].number
    assert paths(delimited(SPEC_FIELD, delimited(number, entry))) == ['spec.inputs["journal"].#999']


def test_an_unknown_field_in_a_list_is_found_under_its_index():
    number = spec_pb2.JobSpec.DESCRIPTOR.fields_by_name["depends_on"].number
    body = delimited(number, b"") + delimited(number, UNKNOWN)
    assert paths(delimited(SPEC_FIELD, body)) == ["spec.depends_on[1].#999"]


def test_two_members_of_a_oneof_are_found():
    found = scan(delimited(SPEC_FIELD, member("probe") + member("backtest")), SUBMIT)
    assert [one.path for one in found] == ["spec.backtest"]
    assert "only one of probe and backtest" in found[0].description
    assert not found[0].is_unknown_field


def test_two_members_in_two_parts_of_one_message_are_found():
    parts = delimited(SPEC_FIELD, member("probe")) + delimited(SPEC_FIELD, member("backtest"))
    assert paths(parts) == ["spec.backtest"]


def test_a_member_sent_in_two_parts_is_no_finding():
    parts = delimited(SPEC_FIELD, member("probe")) + delimited(SPEC_FIELD, member("probe"))
    assert paths(parts) == []


def test_two_kinds_of_a_struct_value_are_found():
    value = varint(2 << 3 | 1) + b"\0" * 8 + varint(4 << 3) + b"\x01"
    field = delimited(1, delimited(1, b"k") + delimited(2, value))
    assert paths(field, Struct.DESCRIPTOR) == ['fields["k"].bool_value']


def test_a_known_field_of_another_wire_type_is_found():
    found = scan(varint(1 << 3 | 0) + b"\x05", SUBMIT)
    assert found[0].path == "project"
    assert "varint" in found[0].description


def test_a_group_is_found():
    assert paths(varint(999 << 3 | 3) + varint(999 << 3 | 4)) == ["#999"]


def test_packed_and_plain_numbers_are_both_fine():
    descriptor = SourceCodeInfo.Location.DESCRIPTOR
    assert scan(delimited(1, b"\x01\x02"), descriptor) == []
    assert scan(b"\x08\x01\x08\x02", descriptor) == []


def test_a_message_of_too_many_fields_is_given_up():
    with pytest.raises(TooManyFieldsError):
        scan(b"\x50\x01" * 300_000, SUBMIT)


@given(st.binary(max_size=200))
def test_bytes_that_the_parser_takes_never_break_the_scanner(data):
    try:
        wire.SubmitJobRequest.FromString(data)
    except DecodeError:
        return
    scan(data, SUBMIT)
