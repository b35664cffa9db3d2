"""Evaluation: whether a row in memory satisfies an expression, as the store would say."""

import operator
from collections.abc import Callable, Mapping
from math import isnan

from jobplane.engine.domain.artifact import Artifact
from jobplane.engine.domain.dataset import Dataset
from jobplane.engine.domain.job import Job
from jobplane.engine.query.expression import (
    And,
    Comparison,
    Everything,
    Expression,
    Not,
    Or,
    Present,
    Scalar,
)
from jobplane.engine.query.instant import instant_of
from jobplane.engine.query.schema import Field, Operator

# The value of a field (of a map: under the key), or None where it is missing.
Reader = Callable[[Field, str], Scalar | None]

# Only A to Z: the one folding that Python, SQLite and PostgreSQL all agree on.
_ASCII_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_COMPARE: Mapping[Operator, Callable[..., bool]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}

_JOB: Mapping[str, Callable[[Job], Scalar | None]] = {
    "kind": lambda job: job.kind,
    "status": lambda job: job.status.value,
    "phase": lambda job: job.status.phase.value,
    "done": lambda job: job.status.is_terminal,
    "project": lambda job: job.project,
    "queue": lambda job: job.queue,
    "job_set": lambda job: job.job_set,
    "creator": lambda job: job.creator,
    "priority": lambda job: job.priority,
    "attempt": lambda job: job.attempt,
    "schedule": lambda job: job.schedule,
    "failure.reason": lambda job: job.failure.reason if job.failure else "",
    "failure.category": lambda job: job.failure.category.value if job.failure else "",
    "display_name": lambda job: job.spec.display_name,
    "create_time": lambda job: instant_of(job.created_at),
    "start_time": lambda job: instant_of(job.started_at) if job.started_at else None,
    "finish_time": lambda job: instant_of(job.finished_at) if job.finished_at else None,
    "update_time": lambda job: instant_of(job.updated_at),
}

_ARTIFACT: Mapping[str, Callable[[Artifact], Scalar | None]] = {
    "artifact_id": lambda artifact: artifact.artifact_id,
    "type": lambda artifact: artifact.type.value,
    "stage": lambda artifact: artifact.stage,
    "attempt": lambda artifact: artifact.attempt,
    "media_type": lambda artifact: artifact.media_type,
    "size_bytes": lambda artifact: artifact.size_bytes,
    "create_time": lambda artifact: instant_of(artifact.created_at),
}

_DATASET: Mapping[str, Callable[[Dataset], Scalar | None]] = {
    "dataset_id": lambda dataset: dataset.dataset_id,
    "version": lambda dataset: dataset.version,
    "format": lambda dataset: dataset.format,
    "media_type": lambda dataset: dataset.media_type,
    "sha256": lambda dataset: dataset.sha256,
    "size_bytes": lambda dataset: dataset.size_bytes,
    "create_time": lambda dataset: instant_of(dataset.created_at),
}


def fold(text: str) -> str:
    """The text with A to Z made small; other letters keep their case."""
    return text.translate(_ASCII_FOLD)


def matches(expression: Expression, read: Reader) -> bool:
    """Whether the row behind the reader satisfies the expression."""
    match expression:
        case Everything():
            return True
        case Comparison():
            return _compare(expression, read(expression.field, expression.key))
        case Present(field, key):
            return read(field, key) is not None
        case Not(term):
            return not matches(term, read)
        case Or(terms):
            return any(matches(term, read) for term in terms)
        case And(terms):
            return all(matches(term, read) for term in terms)


def evaluate(expression: Expression, job: Job) -> bool:
    """Whether a job satisfies an expression over JOB_FIELDS."""

    def read(field: Field, key: str) -> Scalar | None:
        match field.name:
            case "labels":
                return job.labels.get(key)
            case "metrics":
                return _metric(job, key)
            case name:
                return _JOB[name](job)

    return matches(expression, read)


def evaluate_artifact(expression: Expression, artifact: Artifact) -> bool:
    """Whether an artifact satisfies an expression over ARTIFACT_FIELDS."""

    def read(field: Field, key: str) -> Scalar | None:
        return artifact.labels.get(key) if field.is_map else _ARTIFACT[field.name](artifact)

    return matches(expression, read)


def evaluate_dataset(expression: Expression, dataset: Dataset) -> bool:
    """Whether a version of a data set satisfies an expression over DATASET_FIELDS."""

    def read(field: Field, key: str) -> Scalar | None:
        return dataset.labels.get(key) if field.is_map else _DATASET[field.name](dataset)

    return matches(expression, read)


def _metric(job: Job, key: str) -> float | None:
    value = job.result.metrics.get(key) if job.result else None
    # The store keeps no row for NaN: SQLite has none, PostgreSQL sorts it above infinity.
    return None if value is None or isnan(value) else value


def _compare(comparison: Comparison, actual: Scalar | None) -> bool:
    wanted = comparison.value
    if actual is None:
        return comparison.operator is Operator.NE
    if comparison.is_prefix:
        starts = str(actual).startswith(str(wanted))
        return starts is (comparison.operator is Operator.EQ)
    if comparison.operator is Operator.HAS:
        return fold(str(wanted)) in fold(str(actual))
    return _COMPARE[comparison.operator](actual, wanted)
