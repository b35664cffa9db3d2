"""What a handle can tell without asking the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client._event import instant
from jobplane.client._outcome import phase_name, status_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jobplane.v1 import artifact_pb2, job_pb2


class JobView:
    """State of a job as it was last read; `refresh` of a handle reads it again."""

    wire: job_pb2.Job

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """Id of the job."""
        return self.wire.job_id

    @property
    def name(self) -> str:
        """Full name: projects/{project}/jobs/{job_id}."""
        return self.wire.name

    @property
    def kind(self) -> str:
        """Kind, for example "probe"."""
        return self.wire.kind

    @property
    def status(self) -> str:
        """Short name of the status, for example RUNNING."""
        return status_name(self.wire.status, self.wire.phase)

    @property
    def phase(self) -> str:
        """WAITING, ACTIVE, SUSPENDED or FINISHED."""
        return phase_name(self.wire.phase)

    @property
    def done(self) -> bool:
        """Whether the job is over."""
        return self.wire.done

    @property
    def sequence(self) -> int:
        """Sequence of the last event in this state."""
        return self.wire.sequence

    @property
    def attempt(self) -> int:
        """Attempt now running or last run; 0 before the first."""
        return self.wire.attempt

    @property
    def progress(self) -> job_pb2.Progress | None:
        """Latest progress, if any was reported."""
        return self.wire.progress if self.wire.HasField("progress") else None

    @property
    def failure(self) -> job_pb2.Failure | None:
        """What went wrong, if anything did."""
        return self.wire.failure if self.wire.HasField("failure") else None

    @property
    def pending_input(self) -> job_pb2.InputRequest | None:
        """Open question, if the job asks one."""
        return self.wire.pending_input if self.wire.HasField("pending_input") else None

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the job."""
        return self.wire.labels

    @property
    def created_at(self) -> datetime:
        """When the job became durable."""
        return instant(self.wire.create_time)

    @property
    def finished_at(self) -> datetime | None:
        """When the job ended, once it has."""
        return instant(self.wire.finish_time) if self.wire.HasField("finish_time") else None


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
