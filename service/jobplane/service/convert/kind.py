"""Kinds, as they go out."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from jobplane.engine.domain.job import RunPolicy
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.service.convert.scalar import EnumMap, optional
from jobplane.service.convert.spec import policy_to_wire
from jobplane.v1 import kind_service_pb2 as wire

_ISOLATIONS = EnumMap(wire.Kind.Isolation, Isolation, "ISOLATION_")


def kind_to_wire(kind: Kind, *, install_hint: str, with_schema: bool) -> wire.Kind:
    """Give the kind; `install_hint` says what it lacks, and no worker has it until then."""
    return wire.Kind(
        name=kind_name(kind.name),
        description=kind.description,
        spec_message=_full_name(kind.spec),
        schema_version=kind.schema_version,
        json_schema=optional(kind.schema, struct_of) if with_schema else None,
        stages=kind.stages,
        pausable=kind.pausable,
        checkpointing=kind.checkpointing,
        interactive=kind.interactive,
        required_inputs=kind.required_inputs,
        default_policy=policy_to_wire(kind.policy) if kind.policy != RunPolicy() else None,
        live_workers=0 if install_hint else 1,
        available=not install_hint,
        install_hint=install_hint,
        optional_inputs=kind.optional_inputs,
        isolation=_ISOLATIONS.to_wire(kind.isolation(kind.spec() if kind.spec else {})),
        result_message=_full_name(kind.result),
    )


def _full_name(message: type[Message] | None) -> str:
    return message.DESCRIPTOR.full_name if message is not None else ""


def kind_name(kind: str) -> str:
    """Resource name of a kind."""
    return f"kinds/{kind}"


def struct_of(plain: Mapping[str, Any]) -> Struct:
    """Give a JSON object as a Struct."""
    struct = Struct()
    struct.update(dict(plain))
    return struct
