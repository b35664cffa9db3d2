"""Room: what a project may still store, by its limit of artifact bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from jobplane.engine.domain.errors import QuotaExceededError
from jobplane.engine.domain.job import Failure, FailureCategory
from jobplane.engine.store import artifacts, events, quotas
from jobplane.engine.store.quotas import ARTIFACT_BYTES


class Output(NamedTuple):
    """What an attempt hands in: the name by which an earlier one is replaced, and its size."""

    artifact_id: str
    size_bytes: int


class Misfit(NamedTuple):
    """The first of some outputs that does not fit, and the failure of its attempt."""

    place: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Room:
    """The limit of a project, None for none, and how much of it is used."""

    project: str
    limit: float | None = None
    used: int = 0

    @classmethod
    def of(cls, connection: Connection, project: str) -> "Room":
        """The room now."""
        limit = quotas.limits_of(connection, project).of(ARTIFACT_BYTES)
        if limit is None:
            return cls(project)
        return cls(project, limit, quotas.artifact_bytes(connection, project))

    @classmethod
    def held(cls, connection: Connection, project: str) -> "Room":
        """The room, which nobody else fills before the transaction ends."""
        if quotas.limits_of(connection, project).of(ARTIFACT_BYTES) is None:
            return cls(project)
        events.hold_feed(connection)
        return cls.of(connection, project)

    def check(self, size_bytes: int) -> None:
        """Refuse what does not fit."""
        if self.limit is not None and self.used + size_bytes > self.limit:
            subject = f"projects/{self.project}"
            raise QuotaExceededError(subject, ARTIFACT_BYTES, self.limit, self.used)

    def filled(self, size_bytes: int) -> "Room":
        """What is left once something is stored; refuses what does not fit."""
        self.check(size_bytes)
        return Room(self.project, self.limit, self.used + size_bytes)

    def misfit(
        self, connection: Connection, job_id: str, outputs: Sequence[Output]
    ) -> Misfit | None:
        """The first output of a job that does not fit behind those before it, if any."""
        if self.limit is None:
            return None
        room, sizes = self, dict[str, int]()
        for place, output in enumerate(outputs):
            name, size = output
            before = sizes.get(name)
            if before is None:
                found = artifacts.find(connection, self.project, job_id, name)
                before = found.size_bytes if found else 0
            try:
                room = room.filled(size - before)
            except QuotaExceededError as error:
                return Misfit(place, _failure(output, error))
            sizes[name] = size
        return None


def _failure(output: Output, error: QuotaExceededError) -> Failure:
    # Another attempt would write the same again: only a delete or another limit helps.
    return Failure(
        error.reason,
        FailureCategory.RESOURCE,
        f"artifact {output.artifact_id!r} of {output.size_bytes} bytes does not fit: "
        f"{error.message}; delete jobs or uploads of the project, or raise its limit",
    )
