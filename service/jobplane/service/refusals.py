"""What the wire itself refuses, before the engine is asked."""

from dataclasses import dataclass
from typing import ClassVar

from jobplane.engine.domain.errors import EngineError


@dataclass(eq=False)
class MalformedRequestError(EngineError):
    """The bytes are no such message."""

    reason: ClassVar[str] = "MALFORMED_REQUEST"
    message_type: str
    detail: str = ""

    @property
    def message(self) -> str:  # noqa: D102  inherited
        detail = f": {self.detail}" if self.detail else ""
        return f"the request is not a {self.message_type}{detail}"


@dataclass(eq=False)
class CredentialsMissingError(EngineError):
    """The call needs credentials; send `authorization: Bearer TOKEN` as metadata."""

    reason: ClassVar[str] = "CREDENTIALS_MISSING"


@dataclass(eq=False)
class CredentialsInvalidError(EngineError):
    """The credentials are unknown, expired or revoked."""

    reason: ClassVar[str] = "CREDENTIALS_INVALID"


@dataclass(eq=False)
class ForbiddenError(EngineError):
    """The caller may not do this."""

    reason: ClassVar[str] = "PROJECT_FORBIDDEN"
    principal: str
    role: str = ""
    scope: str = ""

    @property
    def message(self) -> str:  # noqa: D102  inherited
        if not self.role:
            return "nobody may do this: the contract names no role for it"
        return f"{self.principal!r} may not do this: it takes the role {self.role} ({self.scope})"
