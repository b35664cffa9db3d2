"""Seed 000 through a real server: upload, audit, summary, pages, states."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from jobplane.client import Client, errors, specs
from jobplane.v1 import artifact_service_pb2, artifact_service_pb2_grpc

ROOT = Path(__file__).parents[2]
JOURNAL = ROOT / "examples/journals/sample.csv"
SEED_ARTIFACTS = {
    "input.csv": "text/csv",
    "job.json": "application/json",
    "normalized.csv": "text/csv",
    "flagged.csv": "text/csv",
    "counterfactual.csv": "text/csv",
    "review.json": "application/json",
    "policy_report.txt": "text/plain",
    "data_quality.json": "application/json",
    "runtime_metrics.json": "application/json",
}


@pytest.fixture(scope="module")
def client(server):
    with Client(server) as client:
        yield client


@pytest.fixture(scope="module")
def audited(client):
    job = client.submit(specs.TradeAudit(user_id="u1"), inputs={"journal": JOURNAL})
    job.result(timeout=120)
    return job.refresh()


def test_all_artifacts_of_the_seed_are_there_with_their_types(audited):
    found = {item.id: item.media_type.split(";")[0] for item in audited.artifacts()}
    assert {name: found.get(name) for name in SEED_ARTIFACTS} == SEED_ARTIFACTS


def test_the_result_is_compact_and_whole(audited):
    result = audited.wire.result
    assert audited.wire.ByteSize() > 0
    assert result.ByteSize() <= 25 * 1024
    assert result.trade_audit.outcome in {"WINNER", "DRAW", "RESIGN", "CHECKMATED"}
    assert set(result.trade_audit.bias_rates) == {
        "revenge_rate",
        "overtrading_rate",
        "loss_aversion_rate",
        "any_bias_rate",
    }
    assert len(result.trade_audit.top_moments) <= 3


def test_no_artifact_names_a_path_of_the_server(audited):
    for name in ("job.json", "review.json", "runtime_metrics.json"):
        assert not re.search(r"(?<![\w.])/(home|tmp|root|var|data)/", audited.artifact(name).text())


def test_the_counterfactual_is_paged_deterministically(client, audited):
    stub = artifact_service_pb2_grpc.ArtifactServiceStub(client.channel)
    name = audited.artifact("counterfactual.csv").name
    request = artifact_service_pb2.ReadTableRequest(name=name, offset=10, limit=5)
    page = stub.ReadTable(request, timeout=30)
    assert page == stub.ReadTable(request, timeout=30)
    rows = list(csv.DictReader(io.StringIO(audited.artifact("counterfactual.csv").text())))
    assert page.table.row_count == len(rows)
    assert len(page.rows) == 5
    columns = [column.name for column in page.table.columns]
    assert columns == list(rows[0])


def test_a_users_jobs_come_newest_first(client, audited):
    second = client.submit(specs.TradeAudit(user_id="u1"), inputs={"journal": JOURNAL})
    second.result(timeout=120)
    ids = [job.id for job in client.list('labels.user_id = "u1"')]
    assert ids == [second.id, audited.id]


def test_bad_content_fails_the_job_with_its_reason(client):
    job = client.submit(specs.TradeAudit(), inputs={"journal": b"nonsense without a header\n"})
    with pytest.raises(errors.JobFailed) as failed:
        job.result(timeout=120)
    assert failed.value.reason in {"MISSING_COLUMN", "NO_ROWS", "UNSUPPORTED_FORMAT"}


def test_a_missing_journal_is_refused_at_submit(client):
    with pytest.raises(errors.InvalidArgument) as refusal:
        client.submit(specs.TradeAudit(user_id="u1"))
    assert "spec.inputs[journal]" in str(refusal.value)


def test_two_audits_of_one_journal_are_byte_identical(client, audited):
    again = client.submit(specs.TradeAudit(user_id="u1"), inputs={"journal": JOURNAL})
    again.result(timeout=120)
    for name in ("normalized.csv", "flagged.csv", "counterfactual.csv", "review.json"):
        first, second = audited.artifact(name).read(), again.artifact(name).read()
        if name == "review.json":
            first, second = (json.loads(text) for text in (first, second))
        assert first == second


def test_an_audit_past_its_seconds_is_timed_out_and_says_so(client):
    spec = specs.TradeAudit(k_repeat=1000, max_seconds=0.5)
    job = client.submit(spec, inputs={"journal": JOURNAL})
    with pytest.raises(errors.JobTimedOut) as late:
        job.result(timeout=120)
    assert late.value.reason == "ATTEMPT_TIMEOUT"
    assert job.refresh().status == "TIMED_OUT"
