"""What a call can be refused with, and how a job can end other than well.

Every error says its `code`, `reason`, `message`, what to do next (`hint`) and, where the
server told it, the `request_id` to quote.
"""
# ruff: noqa: N818 - these names are the vocabulary that users write after `except errors.`

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobplane.v1 import job_pb2


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule."""

    field: str
    description: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Everything that an error tells."""

    code: str
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    violations: tuple[Violation, ...] = ()
    resource: str = ""
    request_id: str = ""
    hint: str = ""
    retry_after: float | None = None


class JobplaneError(Exception):
    """Base of everything that this package raises about a server or a job."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal

    def __str__(self) -> str:
        told = [
            f"  {item.field}: {item.description}"
            for item in self.violations
            if item.description.removesuffix("…") not in self.message
        ]
        return "\n".join([self.message, *told])

    @property
    def code(self) -> str:
        """Name of the gRPC status code, for example NOT_FOUND."""
        return self.refusal.code

    @property
    def reason(self) -> str:
        """Stable UPPER_SNAKE reason to branch on, for example JOB_NOT_FOUND."""
        return self.refusal.reason

    @property
    def message(self) -> str:
        """One sentence for a person."""
        return self.refusal.message

    @property
    def metadata(self) -> Mapping[str, str]:
        """Facts that belong to the reason."""
        return self.refusal.metadata

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every field that broke a rule."""
        return self.refusal.violations

    @property
    def resource(self) -> str:
        """Name of what the error is about, when the server named it."""
        return self.refusal.resource

    @property
    def request_id(self) -> str:
        """Id to quote to whoever runs the server."""
        return self.refusal.request_id

    @property
    def hint(self) -> str:
        """What to do next."""
        return self.refusal.hint

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a repeat may work, when the server knows."""
        return self.refusal.retry_after


class NotFound(JobplaneError):
    """No such job, artifact or kind."""


class AlreadyExists(JobplaneError):
    """The idempotency key or the chosen job id belongs to another job."""

    @property
    def job_id(self) -> str:
        """Id of the job that exists."""
        return self.metadata.get("job_id") or self.resource.rpartition("/")[2]


class InvalidArgument(JobplaneError):
    """The request breaks a rule; nothing was done."""


class InvalidSpec(InvalidArgument):
    """The spec breaks a rule; `violations` names every field."""


class PreconditionFailed(JobplaneError):
    """The call is not allowed in the state that the job is in."""


class QuotaExceeded(JobplaneError):
    """A limit of the project is reached."""

    @property
    def remaining(self) -> float | None:
        """What is left of the limit, when the server told it."""
        value = self.metadata.get("remaining")
        return None if value is None else float(value)


class RateLimited(JobplaneError):
    """Too many calls, watches or waiting jobs; come back after `retry_after`."""


class PermissionDenied(JobplaneError):
    """The credentials do not allow this."""


class Unauthenticated(JobplaneError):
    """The credentials are missing or wrong."""


class Unavailable(JobplaneError):
    """The server can't be reached, or can't work right now."""


class Aborted(JobplaneError):
    """Something changed under the call; read it again and repeat."""


class OutOfRange(JobplaneError):
    """The cursor or offset lies past the end."""


class DataLoss(JobplaneError):
    """What should be there is gone or damaged."""


class NotEnabled(JobplaneError):
    """The server does not have the call."""


class DeadlineExceeded(JobplaneError):
    """The call took longer than its time limit; it may still have been done."""


class CallCancelled(JobplaneError):
    """The call was cancelled before its end."""


class Internal(JobplaneError):
    """A defect of the server; quote `request_id` to its owner."""


class WatchStalled(Unavailable):
    """A watch could not be resumed in time; the job goes on."""


class WaitTimeout(JobplaneError):
    """The caller's own time limit passed; the job goes on."""


class JobUnsuccessful(JobplaneError):
    """Base of every end that is not a success; `job` holds the final state."""

    def __init__(self, refusal: Refusal, job: job_pb2.Job) -> None:
        super().__init__(refusal)
        self.args = (refusal, job)
        self.job = job

    @property
    def failure(self) -> job_pb2.Failure:
        """What went wrong, as the server recorded it."""
        return self.job.failure

    @property
    def attempt(self) -> int:
        """Attempt in which it went wrong."""
        return self.job.failure.attempt or self.job.attempt


class JobFailed(JobUnsuccessful):
    """The work failed."""


class JobCancelled(JobUnsuccessful):
    """The job was cancelled."""


class JobTimedOut(JobUnsuccessful):
    """A time limit of the job itself passed."""


class EvalFailed(JobUnsuccessful):
    """The work finished, but its quality gate refused the result."""
