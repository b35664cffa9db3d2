"""What a filter says of one job."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain.artifact import Artifact, ArtifactType
from jobplane.engine.domain.job import Failure, FailureCategory, Job, JobResult, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.evaluate import evaluate, evaluate_artifact
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.schema import ARTIFACT_FIELDS

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
QUEUED = Job(
    project="p",
    job_id="0198",
    spec=JobSpec(kind="probe", params=b"", display_name="Nightly Büro"),
    status=JobStatus.QUEUED,
    sequence=1,
    created_at=NOON,
    updated_at=NOON,
    labels={"team": "Core"},
    creator="me@example.org",
)
FAILED = replace(
    QUEUED,
    status=JobStatus.FAILED,
    attempt=2,
    started_at=NOON,
    finished_at=NOON + timedelta(seconds=1),
    failure=Failure("OUT_OF_MEMORY", FailureCategory.RESOURCE, "no memory left"),
    result=JobResult(metrics={"loss": 0.5, "odd": float("nan")}),
)


@pytest.mark.parametrize(
    "filter_",
    [
        "",
        "kind = probe AND project = p AND queue = default AND priority = 500",
        "status = QUEUED AND phase = WAITING AND done = false AND attempt = 0",
        "status != RUNNING AND phase != ACTIVE AND done != true",
        "display_name = Night* AND display_name != night*",
        "display_name:NIGHT AND display_name:'y b' AND NOT display_name:BÜRO",
        "creator:EXAMPLE.org AND creator > me AND creator < mf",
        "labels.team = Core AND labels:team AND labels.team:co",
        "labels.gone != x AND NOT labels.gone = x AND NOT labels.gone:'' AND NOT labels:gone",
        "NOT labels.gone < x AND NOT labels.gone >= x",
        "NOT NOT labels.gone != x",
        "finish_time != 2026-01-31T12:00:01Z AND NOT finish_time > 1970-01-01T00:00:00Z",
        "NOT finish_time <= 9999-01-01T00:00:00Z",
        "metrics.loss != 0.5 AND NOT metrics.loss >= -1",
        "failure.reason = '' AND failure.category = '' AND failure.category != GATE",
        "create_time = 2026-01-31T12:00:00Z AND create_time >= 2026-01-31T13:00:00+01:00",
    ],
)
def test_a_waiting_job_matches(filter_: str) -> None:
    assert evaluate(parse_filter(filter_), QUEUED)
    assert not evaluate(parse_filter(f"NOT ({filter_})" if filter_ else "kind = x"), QUEUED)


@pytest.mark.parametrize(
    "filter_",
    [
        "phase = FINISHED AND done = true AND attempt > 1",
        "failure.reason = OUT_OF_MEMORY AND failure.reason:memory",
        "failure.category = RESOURCE",
        "metrics.loss = 0.5 AND metrics:loss AND metrics.loss:*",
        "start_time = 2026-01-31T12:00:00Z AND finish_time > 2026-01-31T12:00:00.999999Z",
    ],
)
def test_a_failed_job_matches(filter_: str) -> None:
    assert evaluate(parse_filter(filter_), FAILED)


def test_a_metric_that_is_not_a_number_is_missing() -> None:
    assert evaluate(parse_filter("NOT metrics:odd AND metrics.odd != 1"), FAILED)


def test_or_binds_tighter_than_and() -> None:
    assert not evaluate(parse_filter("kind = probe OR kind = x AND kind = y"), QUEUED)
    assert evaluate(parse_filter("kind = probe OR (kind = x AND kind = y)"), QUEUED)


def test_an_artifact_is_asked_by_its_own_fields() -> None:
    artifact = Artifact(
        project="p",
        artifact_id="review.json",
        type=ArtifactType.JSON,
        media_type="application/json",
        size_bytes=1,
        sha256="00",
        created_at=NOON,
        attempt=1,
        stage="review",
        labels={"split": "test"},
    )
    asked = "artifact_id:REVIEW AND type = JSON AND stage = review AND attempt = 1"
    expression = parse_filter(f"{asked} AND labels.split = test", ARTIFACT_FIELDS)
    assert evaluate_artifact(expression, artifact)
    assert not evaluate_artifact(expression, replace(artifact, labels={}))
