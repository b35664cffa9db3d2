"""Artifacts: immutable content with a name, a digest and a type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ArtifactType(StrEnum):
    """What an artifact is, for rendering and validation."""

    OPAQUE = "UNSPECIFIED"
    INPUT = "INPUT"
    TABLE = "TABLE"
    JSON = "JSON"
    REPORT = "REPORT"
    IMAGE = "IMAGE"
    MODEL = "MODEL"
    CHECKPOINT = "CHECKPOINT"
    LOG = "LOG"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its name and Arrow type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class TableShape:
    """Rows and columns of a table."""

    row_count: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """Content that exists, is readable, and never changes."""

    project: str
    artifact_id: str
    type: ArtifactType
    media_type: str
    size_bytes: int
    sha256: str
    created_at: datetime
    job_id: str = ""
    attempt: int = 0
    stage: str = ""
    filename: str = ""
    table: TableShape | None = None
    expires_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """Resource name: of a job's output, or of uploaded content."""
        return artifact_name(self.project, self.job_id, self.artifact_id or self.sha256)


def artifact_name(project: str, job_id: str, artifact_id: str) -> str:
    """Resource name of a job's output, or, without a job, of uploaded content by its SHA-256."""
    if job_id:
        return f"projects/{project}/jobs/{job_id}/artifacts/{artifact_id}"
    return f"projects/{project}/artifacts/{artifact_id}"
