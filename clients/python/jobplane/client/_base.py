"""What both clients are: a server to talk to, and who to be there."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from jobplane.client._channel import call_metadata
from jobplane.client._context import Context, choose
from jobplane.client._requests import job_name

if TYPE_CHECKING:
    from jobplane.client._view import JobView

CALL_TIMEOUT_S = 30.0


class ClientBase(ABC):
    """Where the server is, and what is sent with every call."""

    def __init__(
        self,
        address: str = "",
        *,
        project: str = "",
        token: str = "",
        tls: bool | None = None,
        ca_file: str = "",
        context: str = "",
        timeout: float = CALL_TIMEOUT_S,
    ) -> None:
        given = Context(address=address, project=project, token=token, ca_file=ca_file)
        self._context = choose(given=given, env=os.environ, context_name=context, tls=tls)
        self._metadata = call_metadata(self._context)
        self._timeout_s = timeout
        self._dial()

    @abstractmethod
    def _dial(self) -> None:
        """Prepare the channels; the first call connects."""

    @property
    def address(self) -> str:
        """Address of the server."""
        return self._context.address

    @property
    def project(self) -> str:
        """Project that ids without one belong to."""
        return self._context.project

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata to send with calls of your own."""
        return self._metadata

    def _name(self, job: str | JobView) -> str:
        return job_name(job, self.project)
