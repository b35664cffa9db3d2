"""What can be asked of the server itself."""

from __future__ import annotations

from jobplane.client._talk import Talk, ask
from jobplane.v1 import system_service_pb2 as wire


def info() -> Talk[wire.GetServerInfoResponse]:
    """Version, limits and kinds of the server."""
    return (yield from ask(wire.GetServerInfoRequest(), wire.GetServerInfoResponse))


def model_age(family: str, *, project: str) -> Talk[wire.GetModelAgeResponse]:
    """Age of the model in use."""
    request = wire.GetModelAgeRequest(project=project, family=family)
    return (yield from ask(request, wire.GetModelAgeResponse))


def data_mode(*, project: str) -> Talk[wire.GetDataModeResponse]:
    """What data the project works on."""
    request = wire.GetDataModeRequest(project=project)
    return (yield from ask(request, wire.GetDataModeResponse))
