"""answer_run: answers a question from documents, with citations, and says what it can't.

See `settings` for what the operator configures, and `docs/kinds/answer_run.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import RunPolicy
from jobplane.engine.kinds.answer_run.references import missing_references
from jobplane.engine.kinds.answer_run.rules import DOCUMENTS, check, fill_defaults
from jobplane.engine.kinds.answer_run.settings import read_settings
from jobplane.engine.kinds.base import Kind
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire


def _missing(spec: wire.AnswerRunSpec, raw: Mapping[str, Any]) -> Iterable[Violation]:
    return missing_references(spec, read_settings(raw))


STAGES = ("load", "chunk", "retrieve", "sql", "synthesize", "verify", "write")

KIND = Kind(
    name="answer_run",
    description="Answers a question from documents, with citations, and names every gap.",
    work="jobplane.engine.kinds.answer_run.work:run",
    spec=wire.AnswerRunSpec,
    result=wire.AnswerRunResult,
    stages=STAGES,
    checkpointing=True,
    optional_inputs=(DOCUMENTS,),
    requires=("bm25s", "duckdb", "httpx2", "pypdf", "snowballstemmer"),
    extra="answers",
    policy=RunPolicy(attempt_timeout_s=3600.0, max_attempts=3),
    stall_timeout_s=120.0,
    fill_defaults=fill_defaults,
    check=check,
    missing=_missing,
)
