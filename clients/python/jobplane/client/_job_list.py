"""Jobs of a list, fetched as they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING

from jobplane.client._aio_job import AsyncJob
from jobplane.client._job import Job
from jobplane.client._records import record_of
from jobplane.client._table import frame_of_records

if TYPE_CHECKING:
    import pandas as pd


class JobList(Iterator[Job]):
    """Jobs that match, page by page as they are asked for; can be read once."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs

    def __next__(self) -> Job:
        return next(self._jobs)

    def to_pandas(self) -> pd.DataFrame:
        """All that are left as a pandas data frame: labels and metrics are columns too."""
        return frame_of_records(map(record_of, self))


class AsyncJobList(AsyncIterator[AsyncJob]):
    """Jobs that match, page by page as they are asked for; can be read once."""

    def __init__(self, jobs: AsyncGenerator[AsyncJob, None]) -> None:
        self._jobs = jobs

    async def __anext__(self) -> AsyncJob:
        return await anext(self._jobs)

    async def to_pandas(self) -> pd.DataFrame:
        """All that are left as a pandas data frame: labels and metrics are columns too."""
        records = [record_of(job) async for job in self]
        return await asyncio.to_thread(frame_of_records, records)
