"""The client for asyncio."""

from __future__ import annotations

from jobplane.client._aio.job_sets import AsyncJobSetCalls
from jobplane.client._aio.library import AsyncLibraryCalls
from jobplane.client._aio.schedules import AsyncScheduleCalls
from jobplane.client._aio.server import AsyncServerCalls


class AsyncClient(AsyncJobSetCalls, AsyncScheduleCalls, AsyncLibraryCalls, AsyncServerCalls):
    """Submits, reads, steers and watches jobs, with the same names as Client.

    Without arguments it talks to JOBPLANE_ADDRESS, else to the context in use
    (`jobplane context ls`), else to 127.0.0.1:7070.
    """
