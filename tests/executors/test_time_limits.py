"""Built-in kinds at their time limit: ended in the middle of their work, and nothing left."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobplane.engine.domain.attempt import Assignment, InputContent
from jobplane.engine.domain.job import FailureCategory, JobSpec
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.kinds.registry import Registry
from jobplane.kinds.answer_run.v1.answer_run_pb2 import AnswerRunSpec
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditSpec
from tests.executors.processes_of_machine import eventually, marked
from tests.executors.rig import ROOT, Rig, settings_of_test

Launch = Callable[[Rig, Path], Assignment]
MARKER = "TIME_LIMIT_TEST"
LIMIT_S = 3.0
# A copy of the journal for each of these: no machine audits so much within the limit.
COPIES = 1000
JOURNAL = ROOT / "examples/journals/sample.csv"
PAPER = "# Harbour\n\nThe ferry crosses the bay at dawn and comes back at dusk.\n\n" * 200_000


@pytest.fixture
def real_kinds(tmp_path: Path) -> Iterator[Rig]:
    settings = settings_of_test(environment={MARKER: str(tmp_path)})
    rig = Rig(ProcessExecutor(Registry.discover(), settings), tmp_path / "rig")
    yield rig
    rig.executor.stop(0.0)


def given(path: Path) -> InputContent:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return InputContent(path, path.name, "text/plain", len(content), digest)


def audit(rig: Rig, tmp_path: Path) -> Assignment:
    spec = TradeAuditSpec(k_repeat=COPIES)
    return assignment(rig, tmp_path, "trade_audit", spec.SerializeToString(), "journal", JOURNAL)


def answer(rig: Rig, tmp_path: Path) -> Assignment:
    paper = tmp_path / "harbour.md"
    paper.write_text(PAPER)
    spec = AnswerRunSpec(question="When does the ferry come back?")
    return assignment(rig, tmp_path, "answer_run", spec.SerializeToString(), "documents", paper)


def assignment(
    rig: Rig, tmp_path: Path, kind: str, spec: bytes, role: str, content: Path
) -> Assignment:
    made = Assignment(
        project="p",
        job_id="late",
        attempt=1,
        spec=JobSpec(kind, spec),
        folder=tmp_path / "attempt",
        inputs={role: given(content)},
        attempt_timeout_s=LIMIT_S,
    )
    rig.executor.launch(made)
    return made


@pytest.mark.parametrize("launch", [audit, answer])
def test_a_run_past_its_limit_is_ended_and_its_process_is_gone(
    real_kinds: Rig, tmp_path: Path, launch: Launch
) -> None:
    late = launch(real_kinds, tmp_path)
    eventually(lambda: bool(marked(f"{MARKER}={tmp_path}")))
    told = real_kinds.reports.ended(late)
    assert told.failure.reason == "ATTEMPT_TIMEOUT"
    assert told.failure.category is FailureCategory.DEADLINE
    assert f"{LIMIT_S:g}" in told.failure.message
    eventually(lambda: not marked(f"{MARKER}={tmp_path}"))
