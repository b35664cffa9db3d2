"""What the service asks of the engine: all of it, and nothing else."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.engine.kinds.base import Kind
from jobplane.engine.query.page import JobQuery, Page
from jobplane.engine.scheduler.quota import Quota
from jobplane.engine.store.queues import Queue, QueueState
from jobplane.engine.watch.frame import Frame


class CountsPort(Protocol):
    """A total, and what it is made of."""

    @property
    def total(self) -> int:
        """All of them."""
        ...

    @property
    def groups(self) -> Mapping[str, int]:
        """How many of each value."""
        ...


class RegistryPort(Protocol):
    """The kinds that are known."""

    def all(self) -> Sequence[Kind]:
        """Every kind, available or not."""
        ...

    def get(self, name: str) -> Kind:
        """The kind of that name; raises UnknownKindError."""
        ...

    def missing(self, kind: Kind) -> str:
        """What to install before the kind can run; "" when nothing is missing."""
        ...


class EnginePort(Protocol):
    """The engine. Every method refuses with a child of EngineError."""

    @property
    def registry(self) -> RegistryPort:
        """The kinds that are known."""
        ...

    async def submit(self, submission: Submission) -> Accepted:
        """Make a job durable."""
        ...

    async def get(self, project: str, job_id: str) -> Job:
        """Read a job."""
        ...

    async def list(self, query: JobQuery) -> Page[Job]:
        """Read a page of jobs."""
        ...

    async def count(self, *, project: str, filter: str, group_by: str) -> CountsPort:  # noqa: A002  the contract's word
        """Count jobs."""
        ...

    async def cancel(
        self, project: str, job_id: str, *, requester: str, reason: str, force: bool
    ) -> Job:
        """Ask for an end."""
        ...

    async def pause(self, project: str, job_id: str, *, requester: str, reason: str) -> Job:
        """Ask for a pause."""
        ...

    async def resume(self, project: str, job_id: str, *, requester: str, reason: str) -> Job:
        """Take a pause back."""
        ...

    async def provide_input(
        self,
        project: str,
        job_id: str,
        *,
        input_id: str,
        answers: Mapping[str, str],
        responder: str,
    ) -> Job:
        """Answer a question."""
        ...

    async def events(
        self,
        project: str,
        job_id: str,
        *,
        after_sequence: int,
        page_size: int,
        page_token: str,
        descending: bool,
    ) -> Page[JobEvent]:
        """Read a page of a job's history."""
        ...

    def watch(
        self,
        project: str,
        job_id: str,
        *,
        after_sequence: int | None,
        heartbeat_s: float,
        durable_only: bool,
        event_types: frozenset[str],
    ) -> AsyncIterator[Frame]:
        """Follow a job; the last frame is an End."""
        ...

    async def wait(
        self, project: str, job_id: str, *, after_sequence: int | None, timeout_s: float
    ) -> tuple[Job, bool]:
        """Wait for a change or the end."""
        ...

    async def is_ready(self) -> bool:
        """Whether jobs can be submitted now."""
        ...


@runtime_checkable
class ChangePort(Protocol):
    """What an engine may be able to do with jobs besides; where it can't, it is not enabled."""

    async def get(self, project: str, job_id: str) -> Job:
        """Read a job."""
        ...

    async def update(
        self,
        project: str,
        job_id: str,
        *,
        priority: int | None = None,
        queue: str | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        updater: str = "",
    ) -> Job:
        """Change what may be changed."""
        ...

    async def retry(
        self,
        project: str,
        job_id: str,
        *,
        from_checkpoint: bool,
        idempotency_key: str,
        creator: str,
    ) -> Accepted:
        """Submit a new job from a finished one."""
        ...

    async def delete(self, project: str, job_id: str, *, etag: str) -> None:
        """Purge a finished job."""
        ...


class PlanningPort(Protocol):
    """What decides about starts: quotas and queues."""

    def now(self) -> datetime:
        """The time by which ages are told."""
        ...

    async def get_quota(self, project: str) -> Quota:
        """Read limits and usage."""
        ...

    async def update_quota(
        self,
        project: str,
        *,
        limits: Mapping[str, float],
        metrics: frozenset[str] | None,
        etag: str,
    ) -> Quota:
        """Change limits."""
        ...

    async def list_queues(self, *, page_size: int, page_token: str) -> Page[Queue]:
        """Read a page of queues."""
        ...

    async def set_queue_state(
        self, name: str, state: QueueState, *, reason: str, updater: str
    ) -> Queue:
        """Open, cordon or close a queue."""
        ...


@runtime_checkable
class PlannedPort(Protocol):
    """An engine that has quotas and queues; where it has none, they are not enabled."""

    @property
    def planning(self) -> PlanningPort:
        """Quotas and queues."""
        ...


class HousePort(Protocol):
    """What builds the engine and everything it stands on."""

    async def start(self) -> EnginePort:
        """Begin to work."""
        ...

    async def drain(self) -> None:
        """End every watch with DRAINING, and start no more work."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Stop working; what is durable stays."""
        ...
