"""The handles of one artifact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

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
