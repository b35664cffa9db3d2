"""ArtifactService: immutable content, listed, read and taken in."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.library import ArtifactQuery
from jobplane.service.convert.artifact import (
    ChunkEncoder,
    artifact_to_wire,
    encode_table_page,
    header_from_wire,
)
from jobplane.service.convert.scalar import optional
from jobplane.service.library_port import LibraryPort
from jobplane.service.names import split_artifact_name, split_artifact_parent
from jobplane.service.rpc.call import Call
from jobplane.v1 import artifact_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.engine.domain.artifact import Artifact


class ArtifactService:
    """Lists, reads and takes in artifacts."""

    def __init__(self, library: LibraryPort) -> None:
        self._library = library

    async def ListArtifacts(
        self, request: wire.ListArtifactsRequest, call: Call
    ) -> wire.ListArtifactsResponse:
        """Page through the artifacts of a job, or the uploads of a project."""
        del call
        project, job_id = split_artifact_parent(request.parent)
        query = ArtifactQuery(
            project=project,
            job_id=job_id,
            filter=request.filter,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        page = await self._library.list_artifacts(query)
        return wire.ListArtifactsResponse(
            artifacts=[artifact_to_wire(artifact) for artifact in page.items],
            next_page_token=page.next_page_token,
        )

    async def GetArtifact(
        self, request: wire.GetArtifactRequest, call: Call
    ) -> wire.GetArtifactResponse:
        """Read what is known of one artifact, and small content."""
        del call
        artifact = await self._artifact(request.name)
        message = artifact_to_wire(artifact)
        if request.include_inline_data:
            message.inline_data = await self._library.inline(artifact)
        return wire.GetArtifactResponse(artifact=message)

    async def ReadArtifact(
        self, request: wire.ReadArtifactRequest, call: Call
    ) -> AsyncIterator[bytes]:
        """Stream bytes from an offset."""
        del call
        artifact = await self._artifact(request.name)
        frames = self._library.read_artifact(
            artifact,
            offset=request.offset,
            limit=request.limit,
            expected_sha256=request.expected_sha256,
            encode=ChunkEncoder(artifact, first=request.offset),
        )
        async with aclosing(cast("AsyncGenerator[bytes]", frames)):
            async for frame in frames:
                yield frame

    async def ReadTable(self, request: wire.ReadTableRequest, call: Call) -> bytes:
        """Page through the rows of a table."""
        del call
        artifact = await self._artifact(request.name)
        page = await self._library.read_table(
            artifact, offset=request.offset, limit=request.limit, columns=request.columns
        )
        return encode_table_page(page)

    async def UploadArtifact(
        self, requests: AsyncIterator[wire.UploadArtifactRequest | memoryview], call: Call
    ) -> wire.UploadArtifactResponse:
        """Take in content: a header, then chunks."""
        del call
        first = await anext(requests, None)
        if not isinstance(first, wire.UploadArtifactRequest) or not first.HasField("header"):
            raise InvalidSpecError([Violation("header", "the first message must be the header")])
        uploaded = await self._library.upload(header_from_wire(first.header), _chunks(requests))
        return wire.UploadArtifactResponse(
            artifact=optional(uploaded.artifact, artifact_to_wire),
            deduplicated=uploaded.deduplicated,
            received_bytes=uploaded.received_bytes,
        )

    async def _artifact(self, name: str) -> "Artifact":
        return await self._library.get_artifact(*split_artifact_name(name))


async def _chunks(
    requests: AsyncIterator[wire.UploadArtifactRequest | memoryview],
) -> AsyncIterator[bytes | memoryview]:
    async for request in requests:
        if isinstance(request, memoryview):
            yield request
            continue
        if request.HasField("header"):
            raise InvalidSpecError([Violation("header", "only the first message may be one")])
        yield request.chunk
