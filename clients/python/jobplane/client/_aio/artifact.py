"""The handle of one artifact, for asyncio."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

from jobplane.client._part import Part
from jobplane.client._table import Row, check_table, frame_of_content
from jobplane.client._view import ArtifactView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    import pandas as pd

    from jobplane.client._aio.artifacts import AsyncArtifactCalls
    from jobplane.v1 import artifact_pb2


class AsyncArtifact(ArtifactView):
    """An artifact and its content; every read is checked against the digest."""

    def __init__(self, client: AsyncArtifactCalls, wire: artifact_pb2.Artifact) -> None:
        self._client = client
        self.wire = wire

    def chunks(self) -> AsyncIterator[bytes]:
        """Content piece by piece."""
        return self._client.read_artifact(self.name, sha256=self.sha256)

    async def read(self) -> bytes:
        """Whole content."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def text(self) -> str:
        """Whole content as text."""
        return (await self.read()).decode()

    async def save(
        self,
        path: Path,
        *,
        resume: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Path with the content; nothing appears there before all of it has arrived.

        What has arrived is in a file that ends in .part, and an earlier one is gone on with.
        """
        part = await asyncio.to_thread(
            Part, self.wire, path, resume=resume, on_progress=on_progress
        )
        with closing(part):
            if not part.is_whole:
                async for chunk in self._client.read_artifact(
                    self.name, offset=part.size, sha256=self.sha256
                ):
                    await asyncio.to_thread(part.write, chunk)
            return await asyncio.to_thread(part.finish)

    def rows(
        self, *, offset: int = 0, limit: int | None = None, columns: Sequence[str] = ()
    ) -> AsyncIterator[Row]:
        """Rows of a table by column name, page by page as they are asked for."""
        return self._client.read_table(self.name, offset=offset, limit=limit, columns=columns)

    async def dataframe(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Whole table as a pandas data frame, or some columns of it."""
        check_table(self.id, self.media_type)
        return await asyncio.to_thread(frame_of_content, await self.read(), columns)
