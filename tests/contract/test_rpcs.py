"""Every RPC says who may call it and where it is in REST."""

import re

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from jobplane.v1 import options_pb2
from tests.contract.toolbox import methods

RPCS = list(methods())
every_rpc = pytest.mark.parametrize("rpc", RPCS, ids=[rpc.full_name for rpc in RPCS])


def routes(rpc: MethodDescriptor) -> list[tuple[str, str, str]]:
    rule = rpc.GetOptions().Extensions[annotations_pb2.http]
    found: list[tuple[str, str, str]] = []
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb:
            found.append((verb, getattr(one, verb), one.body))
    return found


def field_at(message: Descriptor, path: str) -> bool:
    head, _, rest = path.partition(".")
    field = message.fields_by_name.get(head)
    if field is None:
        return False
    return not rest or (field.message_type is not None and field_at(field.message_type, rest))


@every_rpc
def test_an_rpc_names_role_and_scope(rpc: MethodDescriptor) -> None:
    access = rpc.GetOptions().Extensions[options_pb2.access]
    assert access.role != options_pb2.ROLE_UNSPECIFIED
    assert access.scope != options_pb2.SCOPE_UNSPECIFIED


@every_rpc
def test_an_rpc_has_a_route_in_rest(rpc: MethodDescriptor) -> None:
    assert routes(rpc)


@every_rpc
def test_the_variables_of_a_route_are_fields_of_the_request(rpc: MethodDescriptor) -> None:
    for _, path, body in routes(rpc):
        for variable in re.findall(r"{([^}=]+)[=}]", path):
            assert field_at(rpc.input_type, variable), f"{path}: {variable}"
        assert body in {"", "*"} or field_at(rpc.input_type, body)


@every_rpc
def test_only_what_changes_nothing_is_a_get(rpc: MethodDescriptor) -> None:
    options = rpc.GetOptions()
    changes_nothing = options.idempotency_level == options.NO_SIDE_EFFECTS
    assert {verb == "get" for verb, _, _ in routes(rpc)} == {changes_nothing}


@every_rpc
def test_an_rpc_that_takes_a_project_is_held_to_roles_there(rpc: MethodDescriptor) -> None:
    names_a_project = "project" in rpc.input_type.fields_by_name
    scope = rpc.GetOptions().Extensions[options_pb2.access].scope
    assert not names_a_project or scope == options_pb2.SCOPE_PROJECT


def test_no_two_rpcs_share_a_route() -> None:
    seen = [
        (verb, re.sub(r"{[^}=]+}", "*", re.sub(r"{[^}=]+=([^}]+)}", r"\1", path)))
        for rpc in RPCS
        for verb, path, _ in routes(rpc)
    ]
    assert sorted(seen) == sorted(set(seen))
