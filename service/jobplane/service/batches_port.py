"""What the service asks of the engine's batches: all of it, and nothing else."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jobplane.engine.batch import BatchItem, Cancelled
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.submission import Accepted


class BatchesPort(Protocol):
    """Many jobs at once. Every method refuses with a child of EngineError."""

    async def submit(
        self, items: Sequence[BatchItem], *, allow_partial: bool, validate_only: bool
    ) -> list[Accepted | EngineError]:
        """Submit jobs in one transaction."""
        ...

    async def cancel_named(
        self,
        project: str,
        job_ids: Sequence[str],
        *,
        requester: str,
        reason: str,
        validate_only: bool,
    ) -> Cancelled:
        """Cancel jobs by id."""
        ...

    async def cancel_matching(
        self,
        project: str,
        filter: str,  # noqa: A002  the contract's word
        *,
        requester: str,
        reason: str,
        validate_only: bool,
    ) -> Cancelled:
        """Cancel jobs that match."""
        ...


@runtime_checkable
class HasBatches(Protocol):
    """An engine that takes batches; where it does not, their methods are not enabled."""

    @property
    def batches(self) -> BatchesPort:
        """The batches."""
        ...
