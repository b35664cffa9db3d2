"""The one table from what can be refused to what is said on the wire."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details

from jobplane.engine.domain import errors
from jobplane.engine.domain.errors import EngineError, Violation
from jobplane.service import refusals
from jobplane.v1 import error_details_pb2, system_service_pb2

Code = grpc.StatusCode
Details = Callable[[Any], Iterable[Message]]
Metadata = Callable[[Any], Mapping[str, str]]

ERROR_PAGE = "docs/reference/errors.md"


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind of refusal is told: the code, the details after ErrorInfo, its metadata."""

    code: grpc.StatusCode
    details: tuple[Details, ...] = ()
    metadata: Metadata = lambda _: {}
    # Fields to blame, for BadRequest; kept apart because they are cut to size.
    violations: Callable[[Any], Sequence[Violation]] = lambda _: ()


def _resource(type_: str, attribute: str) -> Details:
    def build(error: EngineError) -> Iterable[Message]:
        name = str(getattr(error, attribute))
        yield details.ResourceInfo(
            resource_type=type_, resource_name=name, description=error.message
        )

    return build


def _precondition(subject: str) -> Details:
    def build(error: EngineError) -> Iterable[Message]:
        yield details.PreconditionFailure(
            violations=[
                details.PreconditionFailure.Violation(
                    type="STATUS",
                    subject=str(getattr(error, subject)),
                    description=error.message,
                )
            ]
        )

    return build


def _retry(error: Any) -> Iterable[Message]:
    """When to try again, if time heals it."""
    if error.retry_after_s is not None:
        info = details.RetryInfo()
        info.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
        yield info


def _quota(error: errors.QuotaExceededError) -> Iterable[Message]:
    # The stubs lag behind the message, which has these two.
    newer: Any = {"quota_metric": error.metric, "quota_value": int(error.limit)}
    violation = details.QuotaFailure.Violation(
        subject=error.subject, description=error.message, **newer
    )
    yield details.QuotaFailure(violations=[violation])


def _help(description: str, anchor: str) -> Details:
    def build(_: EngineError) -> Iterable[Message]:
        link = details.Help.Link(description=description, url=f"{ERROR_PAGE}#{anchor}")
        yield details.Help(links=[link])

    return build


# What the whole answer would have had.
_ANSWERS = {
    "model_age": system_service_pb2.GetModelAgeResponse.DESCRIPTOR,
    "data_mode": system_service_pb2.GetDataModeResponse.DESCRIPTOR,
}


def _partial_answer(error: errors.UnknownAnswerError) -> Iterable[Message]:
    whole = [field.name for field in _ANSWERS[error.question].fields]
    yield error_details_pb2.PartialAnswer(
        question=error.question,
        known=error.partial,
        missing=[name for name in whole if name not in error.partial],
    )


def _blames(attribute: str) -> Callable[[Any], Sequence[Violation]]:
    """One violation of the field that the error names."""

    def build(error: EngineError) -> Sequence[Violation]:
        field = str(getattr(error, attribute))
        return (Violation(field, error.message.removeprefix(f"{field}: ")),)

    return build


def _bare_job_id(error: Any) -> Mapping[str, str]:
    return {"job_id": str(error.job).rpartition("/")[2]}


def _transition(error: errors.InvalidTransitionError) -> Mapping[str, str]:
    return {"status": error.status, "allowed": ",".join(error.allowed)}


def _limits(error: errors.QuotaExceededError) -> Mapping[str, str]:
    return {
        "limit": f"{error.limit:g}",
        "used": f"{error.used:g}",
        "remaining": f"{error.remaining:g}",
    }


_JOB = "jobplane.v1.Job"
_ARTIFACT = "jobplane.v1.Artifact"

_CURSOR = Row(Code.ABORTED, metadata=lambda error: {"cursor": str(error.cursor)})
_TOO_LARGE = Row(
    Code.INVALID_ARGUMENT,
    (_help("UploadArtifact takes large content", "PAYLOAD_TOO_LARGE"),),
    metadata=lambda error: {
        "size_bytes": str(error.size_bytes),
        "limit_bytes": str(error.limit_bytes),
    },
    violations=_blames("field"),
)

TABLE: Mapping[type[EngineError], Row] = {
    errors.InvalidSpecError: Row(
        Code.INVALID_ARGUMENT, violations=lambda error: tuple(error.violations)
    ),
    errors.UnknownFieldError: Row(
        Code.INVALID_ARGUMENT, violations=lambda error: tuple(error.violations)
    ),
    refusals.MalformedRequestError: Row(Code.INVALID_ARGUMENT),
    errors.InvalidFilterError: Row(
        Code.INVALID_ARGUMENT,
        metadata=lambda error: {"column": str(error.column)},
        violations=_blames("field"),
    ),
    errors.InvalidPageTokenError: Row(
        Code.INVALID_ARGUMENT, violations=lambda error: (Violation("page_token", error.message),)
    ),
    errors.ReferenceNotFoundError: Row(
        Code.INVALID_ARGUMENT, (_resource("", "resource"),), violations=_blames("field")
    ),
    errors.UnknownKindError: Row(
        Code.INVALID_ARGUMENT,
        metadata=lambda error: {"known_kinds": ",".join(error.known_kinds)},
        violations=lambda error: (Violation("spec.kind", error.message),),
    ),
    errors.KindUnavailableError: Row(
        Code.FAILED_PRECONDITION,
        (_precondition("kind"),),
        metadata=lambda error: {"kind": error.kind, "install_hint": error.install_hint},
    ),
    errors.PayloadTooLargeError: _TOO_LARGE,
    errors.UploadTooLargeError: _TOO_LARGE,
    errors.DuplicateRequestError: Row(
        Code.ALREADY_EXISTS, (_resource(_JOB, "job"),), metadata=_bare_job_id
    ),
    errors.IdempotencyKeyReusedError: Row(
        Code.ALREADY_EXISTS,
        (_resource(_JOB, "job"),),
        metadata=lambda error: {
            **_bare_job_id(error),
            "first_difference": error.first_difference,
        },
    ),
    errors.JobIdTakenError: Row(
        Code.ALREADY_EXISTS, (_resource(_JOB, "job"),), metadata=_bare_job_id
    ),
    errors.AlreadyExistsError: Row(Code.ALREADY_EXISTS, (_resource("", "resource"),)),
    errors.JobNotFoundError: Row(Code.NOT_FOUND, (_resource(_JOB, "job"),)),
    errors.JobExpiredError: Row(
        Code.NOT_FOUND,
        (_resource(_JOB, "job"),),
        metadata=lambda error: {"expire_time": error.expired_at.isoformat()},
    ),
    errors.ArtifactNotFoundError: Row(Code.NOT_FOUND, (_resource(_ARTIFACT, "artifact"),)),
    errors.ResourceNotFoundError: Row(Code.NOT_FOUND, (_resource("", "resource"),)),
    errors.InvalidTransitionError: Row(
        Code.FAILED_PRECONDITION, (_precondition("job"),), metadata=_transition
    ),
    errors.JobFinishedError: Row(
        Code.FAILED_PRECONDITION, (_precondition("job"),), metadata=_transition
    ),
    errors.ResultNotReadyError: Row(
        Code.FAILED_PRECONDITION,
        (_precondition("job"), _retry),
        metadata=lambda error: {"status": error.status},
    ),
    errors.KindNotPausableError: Row(
        Code.FAILED_PRECONDITION,
        (_precondition("job"),),
        metadata=lambda error: {"kind": error.kind},
    ),
    errors.InputNotPendingError: Row(
        Code.FAILED_PRECONDITION,
        (_precondition("job"),),
        metadata=lambda error: {"pending_input_id": error.pending},
    ),
    errors.QueueClosedError: Row(
        Code.FAILED_PRECONDITION,
        (_precondition("queue"),),
        metadata=lambda error: {"queue": error.queue},
    ),
    errors.EtagMismatchError: Row(
        Code.ABORTED, (_resource("", "resource"),), metadata=lambda error: {"etag": error.etag}
    ),
    errors.ContentChangedError: Row(
        Code.ABORTED,
        (_resource(_ARTIFACT, "resource"),),
        metadata=lambda error: {"sha256": error.sha256},
    ),
    errors.ConflictError: Row(Code.ABORTED, (_retry,)),
    errors.FencedError: Row(
        Code.ABORTED,
        (_resource(_JOB, "job"),),
        metadata=lambda error: {"attempt": str(error.attempt)},
    ),
    errors.SlowConsumerError: _CURSOR,
    errors.UploadStalledError: _CURSOR,
    errors.QuotaExceededError: Row(Code.RESOURCE_EXHAUSTED, (_quota, _retry), metadata=_limits),
    errors.RateLimitedError: Row(Code.RESOURCE_EXHAUSTED, (_retry,)),
    errors.QueueFullError: Row(Code.RESOURCE_EXHAUSTED, (_retry,)),
    errors.TooManyWatchesError: Row(
        Code.RESOURCE_EXHAUSTED, (_retry,), metadata=lambda error: {"limit": str(error.limit)}
    ),
    errors.SequenceInFutureError: Row(
        Code.OUT_OF_RANGE,
        metadata=lambda error: {"latest_sequence": str(error.latest_sequence)},
    ),
    errors.OffsetPastEndError: Row(
        Code.OUT_OF_RANGE,
        metadata=lambda error: {"offset": str(error.offset), "size": str(error.size)},
    ),
    errors.BackendUnavailableError: Row(Code.UNAVAILABLE, (_retry,)),
    errors.DrainingError: Row(Code.UNAVAILABLE, (_retry,)),
    errors.ArtifactMissingError: Row(Code.DATA_LOSS, (_resource(_ARTIFACT, "artifact"),)),
    errors.ArtifactCorruptError: Row(Code.DATA_LOSS, (_resource(_ARTIFACT, "artifact"),)),
    errors.NotEnabledError: Row(
        Code.UNIMPLEMENTED,
        (_help("What this build leaves out", "NOT_ENABLED"),),
        metadata=lambda error: {"method": error.method},
    ),
    errors.UnknownAnswerError: Row(
        Code.FAILED_PRECONDITION,
        (_partial_answer,),
        metadata=lambda error: {"question": error.question},
    ),
    refusals.CredentialsMissingError: Row(Code.UNAUTHENTICATED),
    refusals.CredentialsInvalidError: Row(Code.UNAUTHENTICATED),
    refusals.ForbiddenError: Row(
        Code.PERMISSION_DENIED, metadata=lambda error: {"role": error.role, "scope": error.scope}
    ),
}


def row_of(error: EngineError) -> Row | None:
    """Row of the error's own type, or of its nearest parent in the table."""
    return next((TABLE[cls] for cls in type(error).__mro__ if cls in TABLE), None)
