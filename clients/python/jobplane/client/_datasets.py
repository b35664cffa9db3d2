"""Data sets: names for uploaded content, pinned to its digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobplane.client._artifact import ArtifactView
from jobplane.client._caller import AsyncCaller, Caller
from jobplane.client._page import PAGE_SIZE
from jobplane.client._requests import invalid
from jobplane.v1 import dataset_service_pb2 as wire
from jobplane.v1 import dataset_service_pb2_grpc as grpc_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

DATASET_NAME = re.compile(r"projects/[^/]+/datasets/[^/]+/versions/[^/]+")
VERSION = re.compile(r"(?P<dataset>[^/@]+)[@/](?:versions/)?(?P<version>[^/@]+)")


def dataset_name(dataset: str, project: str) -> str:
    """Full name for ID@VERSION; a full name stays what it is."""
    if DATASET_NAME.fullmatch(dataset):
        return dataset
    found = VERSION.fullmatch(dataset)
    if found is None:
        raise invalid("name", f"{dataset!r} must be ID@VERSION: a version is always pinned")
    return f"projects/{project}/datasets/{found['dataset']}/versions/{found['version']}"


def _register(
    dataset: str,
    artifact: ArtifactView | str,
    *,
    project: str,
    version: str,
    format: str,  # noqa: A002 - the contract's own word
    description: str,
    labels: Mapping[str, str] | None,
) -> wire.RegisterDatasetRequest:
    return wire.RegisterDatasetRequest(
        project=project,
        dataset_id=dataset,
        version=version,
        artifact=artifact.name if isinstance(artifact, ArtifactView) else artifact,
        format=format,
        description=description,
        labels=labels or {},
    )


class Datasets(Caller):
    """Calls of a client about data sets."""

    def register_dataset(
        self,
        dataset: str,
        artifact: ArtifactView | str,
        *,
        version: str = "",
        format: str = "",  # noqa: A002 - the contract's own word
        description: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
    ) -> wire.Dataset:
        """Version of a data set that names uploaded content; by default named by its digest."""
        request = _register(
            dataset,
            artifact,
            project=project or self.project,
            version=version,
            format=format,
            description=description,
            labels=labels,
        )
        stub = grpc_wire.DatasetServiceStub(self.channel)
        return self._call(stub.RegisterDataset, request).dataset

    def dataset(self, dataset: str) -> wire.Dataset:
        """Version of a data set by ID@VERSION or its full name."""
        request = wire.GetDatasetRequest(name=dataset_name(dataset, self.project))
        stub = grpc_wire.DatasetServiceStub(self.channel)
        return self._call(stub.GetDataset, request).dataset

    def datasets(
        self,
        filter: str = "",  # noqa: A002 - the contract's own word
        *,
        project: str = "",
    ) -> Iterator[wire.Dataset]:
        """Versions of all data sets of a project, newest first."""
        stub = grpc_wire.DatasetServiceStub(self.channel)
        request = wire.ListDatasetsRequest(
            project=project or self.project, page_size=PAGE_SIZE, filter=filter
        )
        while True:
            page = self._call(stub.ListDatasets, request)
            yield from page.datasets
            request.page_token = page.next_page_token
            if not request.page_token:
                return


class AsyncDatasets(AsyncCaller):
    """Calls of an asynchronous client about data sets."""

    async def register_dataset(
        self,
        dataset: str,
        artifact: ArtifactView | str,
        *,
        version: str = "",
        format: str = "",  # noqa: A002 - the contract's own word
        description: str = "",
        labels: Mapping[str, str] | None = None,
        project: str = "",
    ) -> wire.Dataset:
        """Version of a data set that names uploaded content; by default named by its digest."""
        request = _register(
            dataset,
            artifact,
            project=project or self.project,
            version=version,
            format=format,
            description=description,
            labels=labels,
        )
        stub = grpc_wire.DatasetServiceStub(self.channel)
        return (await self._call(stub.RegisterDataset, request)).dataset

    async def dataset(self, dataset: str) -> wire.Dataset:
        """Version of a data set by ID@VERSION or its full name."""
        request = wire.GetDatasetRequest(name=dataset_name(dataset, self.project))
        stub = grpc_wire.DatasetServiceStub(self.channel)
        return (await self._call(stub.GetDataset, request)).dataset

    async def datasets(
        self,
        filter: str = "",  # noqa: A002 - the contract's own word
        *,
        project: str = "",
    ) -> AsyncIterator[wire.Dataset]:
        """Versions of all data sets of a project, newest first."""
        stub = grpc_wire.DatasetServiceStub(self.channel)
        request = wire.ListDatasetsRequest(
            project=project or self.project, page_size=PAGE_SIZE, filter=filter
        )
        while True:
            page = await self._call(stub.ListDatasets, request)
            for dataset in page.datasets:
                yield dataset
            request.page_token = page.next_page_token
            if not request.page_token:
                return
