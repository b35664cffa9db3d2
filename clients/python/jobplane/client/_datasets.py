"""What can be asked of data sets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobplane.client._artifacts import input_name
from jobplane.client._page import Listing
from jobplane.client._requests import invalid
from jobplane.client._talk import Talk, ask
from jobplane.v1 import dataset_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobplane.client._artifacts import Input


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


def register(
    dataset: str,
    content: Input,
    *,
    project: str,
    version: str,
    format: str,  # noqa: A002 - the contract's own word
    description: str,
    labels: Mapping[str, str] | None,
) -> Talk[wire.Dataset]:
    """Version of a data set; its content is uploaded first."""
    request = wire.RegisterDatasetRequest(
        project=project,
        dataset_id=dataset,
        version=version,
        artifact=(yield from input_name(content, project=project)),
        format=format,
        description=description,
        labels=labels or {},
    )
    return (yield from ask(request, wire.RegisterDatasetResponse)).dataset


def get(dataset: str, *, project: str) -> Talk[wire.Dataset]:
    """One version of a data set."""
    request = wire.GetDatasetRequest(name=dataset_name(dataset, project))
    return (yield from ask(request, wire.GetDatasetResponse)).dataset


def listing(*, project: str, where: str) -> Listing[wire.Dataset]:
    """Versions of all data sets of a project."""
    request = wire.ListDatasetsRequest(project=project, filter=where)
    return Listing(request, lambda page: page.datasets)
