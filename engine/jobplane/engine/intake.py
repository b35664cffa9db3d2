"""Intake: from a request to a job that is durable, or a refusal that says why."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import msgspec
from sqlalchemy import Connection

from jobplane.engine import failpoint, inputs
from jobplane.engine.admission import Admission
from jobplane.engine.clock import Clock, Randomness
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.errors import (
    DuplicateRequestError,
    EngineError,
    IdempotencyKeyReusedError,
    InvalidSpecError,
    JobIdTakenError,
    KindUnavailableError,
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
from jobplane.engine.scheduler import dependencies
from jobplane.engine.scheduler.dependencies import Awaited
from jobplane.engine.store import content, jobs, keys
from jobplane.engine.store.database import Transaction

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
            *inputs.input_violations(kind, spec),
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
        now = self._clock.now()
        uses = _uses(connection, [prepared])
        found = self._decide(connection, prepared, uses, Admission(connection, now), now)
        return found if isinstance(found, Accepted) else Accepted(found.job)

    def resolve(self, connection: Connection, submission: Submission) -> None:
        """Refuse references to what does not exist; a queue or quota may change until it counts."""
        _upstreams(connection, submission)
        inputs.pinned(connection, submission.project, submission.spec)

    def accept(self, transaction: Transaction, prepared: Prepared) -> Accepted:
        """Make the job durable, or give the one that an earlier request made."""
        (answer,) = self.accept_all(transaction, [prepared])
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def accept_all(
        self, transaction: Transaction, batch: Sequence[Prepared]
    ) -> list[Accepted | EngineError]:
        """Accept each for itself, but read and write together what they have in common."""
        now = self._clock.now()
        admission = Admission(transaction.connection, now, transaction.loads)
        return [
            answer
            for part in _independent(batch, admission)
            for answer in self._accept_part(transaction, part, admission, now)
        ]

    def _accept_part(
        self,
        transaction: Transaction,
        part: Sequence[Prepared],
        admission: Admission,
        now: datetime,
    ) -> list[Accepted | EngineError]:
        uses = _uses(transaction.connection, part)
        answers: list[Accepted | EngineError] = []
        new: dict[int, _New] = {}
        for place, prepared in enumerate(part):
            try:
                found = self._decide(transaction.connection, prepared, uses, admission, now)
            except EngineError as refusal:
                answers.append(refusal)
                continue
            if isinstance(found, _New):
                new[place] = found
                found = Accepted(found.job)
            answers.append(found)
        if new:
            for place, job in zip(new, _create(transaction, list(new.values()), now), strict=True):
                answers[place] = Accepted(job)
            failpoint.reach("submit_before_commit")
        return answers

    def _decide(
        self,
        connection: Connection,
        prepared: Prepared,
        uses: Mapping[tuple[str, str], keys.Use],
        admission: Admission,
        now: datetime,
    ) -> "Accepted | _New":
        """The job of an earlier request, or the one to be made; refuses what may not be."""
        submission = prepared.submission
        use = uses.get((submission.project, submission.idempotency_key))
        if use is not None:
            return self._made_before(connection, prepared, use)
        project, job_id = submission.project, submission.job_id
        if job_id and jobs.exists(connection, project, job_id):
            raise JobIdTakenError(job_name(project, job_id))
        admission.check(submission)
        upstreams = _upstreams(connection, submission)
        spec = inputs.pinned(connection, project, submission.spec)
        return _New(prepared, upstreams, self._new_job(submission, spec, upstreams, now))

    def _made_before(self, connection: Connection, prepared: Prepared, use: keys.Use) -> Accepted:
        """The job of an earlier request with the same key; refuses another request."""
        submission = prepared.submission
        job = jobs.get(connection, submission.project, use.job_id).job
        if use.fingerprint != prepared.fingerprint:
            difference = self._first_difference(job, submission)
            raise IdempotencyKeyReusedError(job.name, difference)
        if submission.duplicate_policy is DuplicatePolicy.REJECT:
            raise DuplicateRequestError(job.name)
        return Accepted(job, deduplicated=True)

    def _new_job(
        self, submission: Submission, spec: JobSpec, upstreams: Sequence[Awaited], now: datetime
    ) -> Job:
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


@dataclass(frozen=True, slots=True)
class _New:
    """A job that is let in and not written yet."""

    prepared: Prepared
    upstreams: Sequence[Awaited]
    job: Job


def _independent(batch: Sequence[Prepared], admission: Admission) -> Iterator[list[Prepared]]:
    """The batch in parts, so that no answer hangs on another job of its part."""
    part: list[Prepared] = []
    taken: set[tuple[str, str, str]] = set()
    for prepared in batch:
        claims = _claims(prepared.submission, admission)
        if not taken.isdisjoint(claims):
            yield part
            part, taken = [], set()
        part.append(prepared)
        taken |= claims
    yield part


def _claims(submission: Submission, admission: Admission) -> set[tuple[str, str, str]]:
    """What a submission takes from those after it: its key, its id, some of a quota."""
    project = submission.project
    claims: set[tuple[str, str, str]] = set()
    if submission.idempotency_key:
        claims.add(("key", project, submission.idempotency_key))
    if submission.job_id:
        claims.add(("job_id", project, submission.job_id))
    if admission.limits_of(project).by_metric:
        claims.add(("quota", project, ""))
    return claims


def _uses(connection: Connection, batch: Sequence[Prepared]) -> dict[tuple[str, str], keys.Use]:
    """Those of the batch's keys that are in use, by project and key."""
    sought: dict[str, list[str]] = {}
    for prepared in batch:
        if key := prepared.submission.idempotency_key:
            sought.setdefault(prepared.submission.project, []).append(key)
    return {
        (project, key): use
        for project, of_project in sought.items()
        for key, use in keys.find(connection, project, of_project).items()
    }


def _create(transaction: Transaction, new: Sequence[_New], now: datetime) -> list[Job]:
    """Write new jobs with all that belongs to them."""
    connection = transaction.connection
    made = jobs.create_all(
        transaction, [(lifecycle.submitted(one.job, now), one.prepared.lane) for one in new]
    )
    _bind_keys(connection, new, now)
    for stored in made:
        content.need_inputs(connection, stored.pk, stored.job.spec)
        if stored.job.checkpoint is not None:
            content.need_checkpoint(connection, stored.pk, stored.job.checkpoint.sha256)
    return [
        dependencies.bind(transaction, stored, one.upstreams) if one.upstreams else stored.job
        for one, stored in zip(new, made, strict=True)
    ]


def _bind_keys(connection: Connection, new: Sequence[_New], now: datetime) -> None:
    uses: dict[str, list[keys.Use]] = {}
    for one in new:
        if key := one.job.idempotency_key:
            use = keys.Use(key, one.job.job_id, one.prepared.fingerprint)
            uses.setdefault(one.job.project, []).append(use)
    for project, of_project in uses.items():
        keys.use(connection, project, of_project, now=now)


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
