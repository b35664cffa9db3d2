"""What the service asks of the engine's library: all of it, and nothing else."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from jobplane.engine.catalogue import DatasetQuery, Registration
from jobplane.engine.content.reading import Chunk
from jobplane.engine.domain.artifact import Artifact
from jobplane.engine.domain.dataset import Dataset
from jobplane.engine.domain.upload import Uploaded, UploadHeader
from jobplane.engine.library import ArtifactQuery
from jobplane.engine.query.page import Page
from jobplane.engine.sheets import TablePage

T = TypeVar("T")


class DatasetPort(Protocol):
    """The catalogue of data sets. Every method refuses with a child of EngineError."""

    async def register(self, registration: Registration) -> tuple[Dataset, bool]:
        """Make a version durable; True when it was there before."""
        ...

    async def get(self, project: str, dataset_id: str, version: str) -> Dataset:
        """Read a version."""
        ...

    async def list(self, query: DatasetQuery) -> Page[Dataset]:
        """Read a page of versions."""
        ...


class LibraryPort(Protocol):
    """The library. Every method refuses with a child of EngineError."""

    async def list_artifacts(self, query: ArtifactQuery) -> Page[Artifact]:
        """Read a page of artifacts."""
        ...

    async def get_artifact(self, project: str, job_id: str, artifact_id: str) -> Artifact:
        """Read what is known of an artifact; without a job, of uploaded content."""
        ...

    async def inline(self, artifact: Artifact) -> bytes:
        """Read small content; nothing of large content."""
        ...

    def read_artifact(
        self,
        artifact: Artifact,
        *,
        offset: int,
        limit: int,
        encode: Callable[[Chunk], T],
        expected_sha256: str = "",
    ) -> AsyncIterator[T]:
        """Read a range of the content."""
        ...

    async def upload(
        self, header: UploadHeader, chunks: AsyncIterator[bytes | memoryview]
    ) -> Uploaded:
        """Make content durable."""
        ...

    async def read_table(
        self, artifact: Artifact, *, offset: int, limit: int, columns: Sequence[str]
    ) -> TablePage:
        """Read rows of a table."""
        ...

    @property
    def datasets(self) -> DatasetPort:
        """The catalogue of data sets."""
        ...


@runtime_checkable
class HasLibrary(Protocol):
    """An engine that has a library; where there is none, its services are not enabled."""

    @property
    def library(self) -> LibraryPort:
        """The library."""
        ...
