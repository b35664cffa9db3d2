"""The handles of one artifact."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobplane.client._table import Row, check_table, frame_of_content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from jobplane.client._aio import AsyncClient
    from jobplane.client._client import Client
    from jobplane.v1 import artifact_pb2


class ArtifactView:
    """What is known of an artifact without reading it."""

    wire: artifact_pb2.Artifact

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.size} bytes>"

    @property
    def id(self) -> str:
        """Name within the job, for example "report.html"."""
        return self.wire.artifact_id

    @property
    def name(self) -> str:
        """Full name."""
        return self.wire.name

    @property
    def size(self) -> int:
        """Bytes."""
        return self.wire.size_bytes

    @property
    def sha256(self) -> str:
        """Digest of the content, in hex."""
        return self.wire.sha256

    @property
    def media_type(self) -> str:
        """Media type, for example text/csv."""
        return self.wire.media_type


class Artifact(ArtifactView):
    """An artifact and its content; every read is checked against the digest."""

    def __init__(self, client: Client, wire: artifact_pb2.Artifact) -> None:
        self._client = client
        self.wire = wire

    def chunks(self) -> Iterator[bytes]:
        """Content piece by piece."""
        return self._client.read_artifact(self.name, sha256=self.sha256)

    def read(self) -> bytes:
        """Whole content."""
        return b"".join(self.chunks())

    def text(self) -> str:
        """Whole content as text."""
        return self.read().decode()

    def save(self, path: Path) -> Path:
        """Path with the content; nothing appears there before all of it has arrived."""
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            for chunk in self.chunks():
                file.write(chunk)
        return part.replace(path)

    def rows(
        self, *, offset: int = 0, limit: int | None = None, columns: Sequence[str] = ()
    ) -> Iterator[Row]:
        """Rows of a table by column name, page by page as they are asked for."""
        return self._client.read_table(self.name, offset=offset, limit=limit, columns=columns)

    def dataframe(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Whole table as a pandas data frame, or some columns of it."""
        check_table(self.id, self.media_type)
        return frame_of_content(self.read(), columns)


class AsyncArtifact(ArtifactView):
    """An artifact and its content; every read is checked against the digest."""

    def __init__(self, client: AsyncClient, wire: artifact_pb2.Artifact) -> None:
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

    async def save(self, path: Path) -> Path:
        """Path with the content; nothing appears there before all of it has arrived."""
        part = path.with_name(path.name + ".part")
        with await asyncio.to_thread(part.open, "wb") as file:
            async for chunk in self.chunks():
                await asyncio.to_thread(file.write, chunk)
        return await asyncio.to_thread(part.replace, path)

    def rows(
        self, *, offset: int = 0, limit: int | None = None, columns: Sequence[str] = ()
    ) -> AsyncIterator[Row]:
        """Rows of a table by column name, page by page as they are asked for."""
        return self._client.read_table(self.name, offset=offset, limit=limit, columns=columns)

    async def dataframe(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Whole table as a pandas data frame, or some columns of it."""
        check_table(self.id, self.media_type)
        return await asyncio.to_thread(frame_of_content, await self.read(), columns)
