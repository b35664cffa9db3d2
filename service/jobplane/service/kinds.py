"""KindService: what can be run and how."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import sha256

from jobplane.engine.domain.errors import (
    InvalidPageTokenError,
    ResourceNotFoundError,
    UnknownKindError,
)
from jobplane.engine.kinds.base import Kind
from jobplane.engine.query.page import page_limit
from jobplane.service.convert.kind import kind_to_wire
from jobplane.service.names import split_kind_name
from jobplane.service.port import EnginePort
from jobplane.service.rpc.call import Call
from jobplane.v1 import kind_service_pb2 as wire

_SUM_BYTES = 8


class KindService:
    """Lists and describes kinds."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine

    async def ListKinds(self, request: wire.ListKindsRequest, call: Call) -> wire.ListKindsResponse:
        """Page through kinds, by name."""
        del call
        limit = page_limit(request.page_size)
        after = _decode(request.page_token) if request.page_token else ""
        kinds = sorted(self._engine.registry.all(), key=lambda kind: kind.name)
        rest = [kind for kind in kinds if kind.name > after]
        page = rest[:limit]
        return wire.ListKindsResponse(
            kinds=[self._to_wire(kind, with_schema=False) for kind in page],
            next_page_token=_encode(page[-1].name) if len(rest) > limit else "",
        )

    async def GetKind(self, request: wire.GetKindRequest, call: Call) -> wire.GetKindResponse:
        """Read one kind with its schema."""
        del call
        try:
            kind = self._engine.registry.get(split_kind_name(request.name))
        except UnknownKindError:
            raise ResourceNotFoundError(request.name) from None
        return wire.GetKindResponse(kind=self._to_wire(kind, with_schema=True))

    def _to_wire(self, kind: Kind, *, with_schema: bool) -> wire.Kind:
        missing = self._engine.registry.missing(kind)
        return kind_to_wire(kind, install_hint=missing, with_schema=with_schema)


def _encode(name: str) -> str:
    body = name.encode()
    return urlsafe_b64encode(sha256(body).digest()[:_SUM_BYTES] + body).decode()


def _decode(token: str) -> str:
    """Name inside a token. Kinds are no secret, so the sum only finds damage."""
    try:
        raw = urlsafe_b64decode(token.encode())
        body = raw[_SUM_BYTES:]
        if sha256(body).digest()[:_SUM_BYTES] != raw[:_SUM_BYTES]:
            raise InvalidPageTokenError
        return body.decode()
    except (Error, ValueError):
        raise InvalidPageTokenError from None
