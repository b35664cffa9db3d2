"""Calls about artifacts, for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import _artifacts as artifacts
from jobplane.client._aio.artifact import AsyncArtifact
from jobplane.client._aio.connection import AsyncConnection
from jobplane.client._aio.stream import AsyncResumingStream
from jobplane.client._read import ArtifactRead
from jobplane.client._table import Row, TableRead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from jobplane.client._upload import Content
    from jobplane.client._view import JobView


class AsyncArtifactCalls(AsyncConnection):
    """Lists, reads and uploads artifacts."""

    def artifacts(
        self,
        job: str | JobView,
        *,
        filter: str = "",  # noqa: A002 - as in list
    ) -> AsyncGenerator[AsyncArtifact, None]:
        """Artifacts of a job, complete and readable."""
        listing = artifacts.listing(self._name(job), where=filter)
        return (AsyncArtifact(self, wire) async for wire in self._walk(listing))

    def uploads(
        self,
        *,
        filter: str = "",  # noqa: A002 - as in list
        project: str = "",
    ) -> AsyncGenerator[AsyncArtifact, None]:
        """Uploads of a project, newest first."""
        listing = artifacts.listing(f"projects/{project or self.project}", where=filter)
        return (AsyncArtifact(self, wire) async for wire in self._walk(listing))

    async def artifact(self, job: str | JobView, artifact: str) -> AsyncArtifact:
        """Artifact of a job by its name within the job, for example "report.html"."""
        name = f"{self._name(job)}/artifacts/{artifact}"
        return AsyncArtifact(self, await self._run(artifacts.get(name)))

    async def read_artifact(
        self, name: str, *, offset: int = 0, sha256: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Chunks of an artifact by its full name; resumes after a cut, checks every byte."""
        read = ArtifactRead(name, offset=offset, sha256=sha256)
        async with AsyncResumingStream(read, self._open) as chunks:
            async for chunk in chunks:
                yield chunk

    def read_table(
        self,
        name: str,
        *,
        offset: int = 0,
        limit: int | None = None,
        columns: Sequence[str] = (),
    ) -> AsyncGenerator[Row, None]:
        """Rows of a table artifact by its full name, page by page as they are asked for."""
        return self._walk(TableRead(name, offset=offset, limit=limit, columns=columns))

    async def upload(
        self,
        content: Content,
        *,
        filename: str = "",
        media_type: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
        on_progress: Callable[[int, int], None] | None = None,
    ) -> AsyncArtifact:
        """Content as an artifact of the project, to be given to jobs as an input.

        Goes on after a cut where the server stopped; content that is there is not sent again.
        """
        talk = artifacts.upload(
            content,
            project=project or self.project,
            filename=filename,
            media_type=media_type,
            labels=labels,
            on_progress=on_progress,
        )
        return AsyncArtifact(self, await self._run(talk))
