"""The blocking client."""

from __future__ import annotations

from jobplane.client._sync.job_sets import JobSetCalls
from jobplane.client._sync.library import LibraryCalls
from jobplane.client._sync.schedules import ScheduleCalls
from jobplane.client._sync.server import ServerCalls


class Client(JobSetCalls, ScheduleCalls, LibraryCalls, ServerCalls):
    """Submits, reads, steers and watches jobs; for `async with`, see AsyncClient.

    Without arguments it talks to JOBPLANE_ADDRESS, else to the context in use
    (`jobplane context ls`), else to 127.0.0.1:7070.
    """
