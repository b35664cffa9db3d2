"""Intake: from a request to a job that is durable, or a refusal that says why."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock, Randomness
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.dataset import dataset_name
from jobplane.engine.domain.errors import (
    DuplicateRequestError,
    IdempotencyKeyReusedError,
    InvalidSpecError,
    JobIdTakenError,
    KindUnavailableError,
    QueueClosedError,
    ReferenceNotFoundError,
    Violation,
)
from jobplane.engine.domain.job import InputRef, Job, JobSpec, Resources, job_name
from jobplane.engine.domain.policy import merged
from jobplane.engine.domain.standing import NO_RESOURCES
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Accepted, DuplicatePolicy, Submission
from jobplane.engine.kinds.base import Kind
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.kinds.settle import readable, settle
from jobplane.engine.scheduler import dependencies, quota
from jobplane.engine.scheduler.dependencies import Awaited
from jobplane.engine.store import artifacts, content, datasets, jobs, keys, queues
from jobplane.engine.store.database import Transaction
from jobplane.engine.store.loads import Deltas

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission that kept every rule, with all defaults filled in."""

    submission: Submission
    kind: Kind
    lane: str
    fingerprint: bytes


class Intake:
    """Checks submissions and makes jobs of them."""

    def __init__(
        self,
        *,
        registry: Registry,
        clock: Clock,
        randomness: Randomness,
        misfit: Callable[[Resources], str],
        kind_settings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._registry = registry
        # What the operator configured for each kind, by its name.
        self._kind_settings = kind_settings
        self._clock = clock
        self._randomness = randomness
        # The resource of which no machine has enough, or "".
        self._misfit = misfit

    def prepare(self, submission: Submission) -> Prepared:
        """Apply the kind's rules and defaults; needs no store."""
        spec = submission.spec
        kind = self._registry.get(spec.kind)
        if hint := self._registry.missing(kind):
            raise KindUnavailableError(kind.name, hint)
        settled = settle(
            self._registry, kind, spec, settings=self._kind_settings.get(kind.name, {})
        )
        violations = [
            *_input_violations(kind, spec),
            *self._resource_violations(spec.resources),
            *dependencies.violations(submission),
            *settled.violations,
        ]
        if violations:
            raise InvalidSpecError(violations)
        if settled.missing:
            first = settled.missing[0]
            raise ReferenceNotFoundError(first.field, "", first.description)
        spec = replace(spec, params=settled.params, policy=merged(spec.policy, kind.policy))
        submission = replace(submission, spec=spec, labels={**submission.labels, **settled.labels})
        return Prepared(submission, kind, settled.isolation.value, fingerprint_of(submission))

    def _resource_violations(self, resources: Resources) -> list[Violation]:
        name = "" if resources == NO_RESOURCES else self._misfit(resources)
        if not name:
            return []
        texts = {
            "gpu_type": f"no machine here has GPUs of type {resources.gpu_type!r}",
            "spot_ok": "only machines that may be taken away are large enough here",
        }
        text = "no machine here has so much, together with all else that is asked for"
        return [Violation(f"spec.resources.{name}", texts.get(name, text))]

    def check(self, connection: Connection, prepared: Prepared) -> Accepted:
        """What `accept` would give, with nothing written."""
        existing = self._existing(connection, prepared)
        if existing:
            return existing
        now = self._clock.now()
        _admit(connection, prepared.submission, now)
        upstreams = _upstreams(connection, prepared.submission)
        return Accepted(self._new_job(connection, prepared, upstreams, now))

    def resolve(self, connection: Connection, submission: Submission) -> None:
        """Refuse references to what does not exist; a queue or quota may change until it counts."""
        _upstreams(connection, submission)
        _with_inputs(connection, submission)

    def accept(self, transaction: Transaction, prepared: Prepared) -> Accepted:
        """Make the job durable, or give the one that an earlier request made."""
        connection = transaction.connection
        existing = self._existing(connection, prepared)
        if existing:
            return existing
        now = self._clock.now()
        submission = prepared.submission
        _admit(connection, submission, now, transaction.loads)
        upstreams = _upstreams(connection, submission)
        job = self._new_job(connection, prepared, upstreams, now)
        change = lifecycle.submitted(job, now)
        stored = jobs.create(transaction, change, lane=prepared.lane)
        content.need_inputs(connection, stored.pk, stored.job.spec)
        if stored.job.checkpoint is not None:
            content.need_checkpoint(connection, stored.pk, stored.job.checkpoint.sha256)
        if submission.idempotency_key:
            keys.use(
                connection,
                project=job.project,
                key=submission.idempotency_key,
                job_id=job.job_id,
                fingerprint=prepared.fingerprint,
                now=now,
            )
        job = dependencies.bind(transaction, stored, upstreams) if upstreams else stored.job
        failpoint.reach("submit_before_commit")
        return Accepted(job)

    def _existing(self, connection: Connection, prepared: Prepared) -> Accepted | None:
        """The job of an earlier request with the same key; refuses what collides."""
        submission = prepared.submission
        project, key = submission.project, submission.idempotency_key
        use = keys.find(connection, project=project, key=key) if key else None
        if use is not None:
            job = jobs.get(connection, project, use.job_id).job
            if use.fingerprint != prepared.fingerprint:
                difference = self._first_difference(job, submission)
                raise IdempotencyKeyReusedError(job.name, difference)
            if submission.duplicate_policy is DuplicatePolicy.REJECT:
                raise DuplicateRequestError(job.name)
            return Accepted(job, deduplicated=True)
        if submission.job_id and jobs.exists(connection, project, submission.job_id):
            raise JobIdTakenError(job_name(project, submission.job_id))
        return None

    def _new_job(
        self,
        connection: Connection,
        prepared: Prepared,
        upstreams: Sequence[Awaited],
        now: datetime,
    ) -> Job:
        submission = prepared.submission
        spec = _with_inputs(connection, submission)
        return Job(
            project=submission.project,
            job_id=submission.job_id or self._randomness.new_id(now),
            spec=spec,
            status=JobStatus.QUEUED,
            sequence=0,
            created_at=now,
            updated_at=now,
            priority=submission.priority,
            queue=submission.queue,
            job_set=submission.job_set,
            labels=submission.labels,
            creator=submission.creator,
            schedule=submission.schedule,
            origin_job=submission.origin_job,
            checkpoint=submission.checkpoint,
            idempotency_key=submission.idempotency_key,
            wait=dependencies.wait_of(upstreams) or lifecycle.start_wait(spec, now),
            input_digest=_digest(_encode(spec)).hex(),
        )

    def _first_difference(self, job: Job, submission: Submission) -> str:
        """Path of the first field in which a request differs from the one before it."""
        before = replace(
            submission,
            spec=job.spec,
            priority=job.priority,
            queue=job.queue,
            job_set=job.job_set,
            labels=job.labels,
        )
        return _difference(self._readable(before), self._readable(submission)) or "job_id"

    def _readable(self, submission: Submission) -> dict[str, Any]:
        spec = submission.spec
        body: dict[str, Any] = msgspec.json.decode(_encode(_body(submission)))
        body["spec"]["inputs"] = {role: _source(ref) for role, ref in spec.inputs.items()}
        body["spec"][spec.kind] = readable(
            self._registry, self._registry.get(spec.kind), spec.params
        )
        del body["spec"]["params"]
        return body


def _admit(
    connection: Connection, submission: Submission, now: datetime, loads: Deltas | None = None
) -> None:
    """Refuse what the queue or the project's quota does not let in."""
    if queues.state_of(connection, submission.queue) is queues.QueueState.CLOSED:
        raise QueueClosedError(submission.queue)
    quota.admit(connection, submission.project, submission.spec.resources, now=now, loads=loads)


def _upstreams(connection: Connection, submission: Submission) -> Sequence[Awaited]:
    depends_on = submission.spec.depends_on
    return dependencies.awaited(connection, submission.project, depends_on) if depends_on else ()


def fingerprint_of(submission: Submission) -> bytes:
    """Digest over everything that makes two requests the same."""
    return _digest(_encode(_body(submission)))


def _body(submission: Submission) -> dict[str, Any]:
    return {
        "spec": submission.spec,
        "priority": submission.priority,
        "queue": submission.queue,
        "job_set": submission.job_set,
        "labels": submission.labels,
        "job_id": submission.job_id,
    } | ({"origin_job": submission.origin_job} if submission.origin_job else {})


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _difference(before: Any, after: Any, path: str = "") -> str:
    """Path of the first value that differs; "" when none does."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return "" if before == after else path
    old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
    for key in sorted({*old, *new}):
        inner = f"{path}.{key}" if path else key
        if found := _difference(old.get(key), new.get(key), inner):
            return found
    return ""


def _source(ref: InputRef) -> Any:
    return {"artifact": ref.artifact, "dataset": ref.dataset_id, "uri": ref.uri}


def _input_violations(kind: Kind, spec: JobSpec) -> list[Violation]:
    known = {*kind.required_inputs, *kind.optional_inputs}
    missing = [
        Violation(f"spec.inputs[{role}]", f"kind {kind.name!r} needs this input")
        for role in kind.required_inputs
        if role not in spec.inputs
    ]
    return missing + [
        Violation(f"spec.inputs[{role}]", f"kind {kind.name!r} has no such input")
        for role in spec.inputs
        if role not in known
    ]


def _with_inputs(connection: Connection, submission: Submission) -> JobSpec:
    """The spec with every input pinned to its digest."""
    spec = submission.spec
    if not spec.inputs:
        return spec
    inputs = {
        role: _pinned(connection, submission.project, role, ref)
        for role, ref in spec.inputs.items()
    }
    return replace(spec, inputs=inputs)


def _pinned(connection: Connection, project: str, role: str, ref: InputRef) -> InputRef:
    field = f"spec.inputs[{role}]"
    if ref.uri:
        message = (
            "this server reads from no URI: its list of allowed ones is empty; upload the "
            "content with UploadArtifact and refer to the artifact"
        )
        raise InvalidSpecError([Violation(f"{field}.uri", message)])
    resource, sha256 = _content_of(connection, project, field, ref)
    if ref.sha256 and ref.sha256 != sha256:
        message = f"the content of {resource} has the digest {sha256}"
        raise InvalidSpecError([Violation(f"{field}.sha256", message)])
    return replace(ref, sha256=sha256)


def _content_of(connection: Connection, project: str, field: str, ref: InputRef) -> tuple[str, str]:
    """Name and digest of what a reference names."""
    if ref.artifact:
        artifact = artifacts.find_by_name(connection, ref.artifact)
        if artifact is None or artifact.project != project:
            raise ReferenceNotFoundError(f"{field}.artifact", ref.artifact)
        return ref.artifact, artifact.sha256
    name = dataset_name(project, ref.dataset_id, ref.dataset_version)
    dataset = datasets.find(connection, project, ref.dataset_id, ref.dataset_version)
    if dataset is None:
        raise ReferenceNotFoundError(f"{field}.dataset", name)
    if ref.dataset_format and ref.dataset_format != dataset.format:
        message = f"{name} has the format {dataset.format!r}"
        raise InvalidSpecError([Violation(f"{field}.dataset.format", message)])
    return name, dataset.sha256
