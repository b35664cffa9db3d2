"""One call: who makes it, and what is known of it for the log."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobplane.service.rpc.auth import ANONYMOUS, Principal
from jobplane.service.rpc.methods import Rpc


@dataclass(slots=True)
class Call:
    """A call in flight. Handlers read the principal; a watch notes its cursor."""

    rpc: Rpc
    request_id: str
    metadata: Mapping[str, str]
    peer: str
    principal: Principal = ANONYMOUS
    # Last position that the reader surely has; told when it is cut off.
    cursor: int | str = 0
