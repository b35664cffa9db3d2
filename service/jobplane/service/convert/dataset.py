"""Versions of data sets."""

from jobplane.engine.catalogue import Registration
from jobplane.engine.domain.dataset import Dataset
from jobplane.service.convert.artifact import shape_to_wire
from jobplane.service.convert.scalar import optional, timestamp_to_wire
from jobplane.v1 import dataset_service_pb2 as wire


def registration_from_wire(request: wire.RegisterDatasetRequest, creator: str) -> Registration:
    """Give what is said of a new version."""
    return Registration(
        project=request.project,
        dataset_id=request.dataset_id,
        version=request.version,
        artifact=request.artifact,
        format=request.format,
        description=request.description,
        labels=dict(request.labels),
        creator=creator,
    )


def dataset_to_wire(dataset: Dataset) -> wire.Dataset:
    """Give the version."""
    return wire.Dataset(
        name=dataset.name,
        dataset_id=dataset.dataset_id,
        version=dataset.version,
        sha256=dataset.sha256,
        format=dataset.format,
        media_type=dataset.media_type,
        size_bytes=dataset.size_bytes,
        artifact=dataset.artifact,
        table=optional(dataset.table, shape_to_wire),
        description=dataset.description,
        labels=dict(dataset.labels),
        creator=dataset.creator,
        create_time=timestamp_to_wire(dataset.created_at),
    )
