"""DatasetService: names for uploaded content that never changes."""

from jobplane.engine.catalogue import DatasetQuery
from jobplane.service.convert.dataset import dataset_to_wire, registration_from_wire
from jobplane.service.library_port import DatasetPort
from jobplane.service.names import split_dataset_name
from jobplane.service.rpc.call import Call
from jobplane.v1 import dataset_service_pb2 as wire


class DatasetService:
    """Registers and finds versions of data sets."""

    def __init__(self, datasets: DatasetPort) -> None:
        self._datasets = datasets

    async def RegisterDataset(
        self, request: wire.RegisterDatasetRequest, call: Call
    ) -> wire.RegisterDatasetResponse:
        """Make uploaded content a version."""
        registration = registration_from_wire(request, call.principal.name)
        dataset, was_there = await self._datasets.register(registration)
        return wire.RegisterDatasetResponse(
            dataset=dataset_to_wire(dataset), deduplicated=was_there
        )

    async def GetDataset(
        self, request: wire.GetDatasetRequest, call: Call
    ) -> wire.GetDatasetResponse:
        """Read one version."""
        del call
        dataset = await self._datasets.get(*split_dataset_name(request.name))
        return wire.GetDatasetResponse(dataset=dataset_to_wire(dataset))

    async def ListDatasets(
        self, request: wire.ListDatasetsRequest, call: Call
    ) -> wire.ListDatasetsResponse:
        """Page through the versions of a project."""
        del call
        query = DatasetQuery(
            project=request.project,
            filter=request.filter,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        page = await self._datasets.list(query)
        return wire.ListDatasetsResponse(
            datasets=[dataset_to_wire(dataset) for dataset in page.items],
            next_page_token=page.next_page_token,
        )
