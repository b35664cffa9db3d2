"""What can be asked of kinds."""

from __future__ import annotations

from jobplane.client._page import Listing
from jobplane.client._talk import Talk, ask
from jobplane.v1 import kind_service_pb2 as wire


def listing() -> Listing[wire.Kind]:
    """Kinds that the server knows, without their schemas."""
    return Listing(wire.ListKindsRequest(), lambda page: page.kinds)


def get(kind: str) -> Talk[wire.Kind]:
    """Kind with the JSON Schema of its parameters."""
    request = wire.GetKindRequest(name=f"kinds/{kind.removeprefix('kinds/')}")
    return (yield from ask(request, wire.GetKindResponse)).kind
