"""A version of a data set: a name for content that never changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jobplane.engine.domain.artifact import TableShape, artifact_name


@dataclass(frozen=True, slots=True)
class Dataset:
    """One version of a data set."""

    project: str
    dataset_id: str
    version: str
    sha256: str
    media_type: str
    size_bytes: int
    created_at: datetime
    format: str = ""
    description: str = ""
    creator: str = ""
    table: TableShape | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """Resource name."""
        return dataset_name(self.project, self.dataset_id, self.version)

    @property
    def artifact(self) -> str:
        """Resource name of the content."""
        return artifact_name(self.project, "", self.sha256)


def dataset_name(project: str, dataset_id: str, version: str) -> str:
    """Resource name of a version of a data set."""
    return f"projects/{project}/datasets/{dataset_id}/versions/{version}"
