"""An upload: what is declared before its bytes, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobplane.engine.domain.artifact import Artifact


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadHeader:
    """What a caller says of content before it comes."""

    project: str
    filename: str = ""
    media_type: str = ""
    # Of the whole content; "" when it is not known up front.
    sha256: str = ""
    # Of the whole content; 0 when it is not known up front.
    size_bytes: int = 0
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    # Where the first chunk belongs: what an earlier upload brought need not come again.
    offset: int = 0
    # Only asks how much is here.
    asks_received: bool = False


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Content that is durable, or, without an artifact, how much of it has come."""

    artifact: Artifact | None
    received_bytes: int
    deduplicated: bool = False
