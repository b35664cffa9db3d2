import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from jobplane.engine.domain.job import InputRef, JobSpec
from jobplane.engine.kinds.answer_run import KIND
from jobplane.engine.kinds.answer_run.references import missing_references
from jobplane.engine.kinds.answer_run.settings import read_settings
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire
from tests.kinds.answer_run.rig import LLM

UPLOADED = JobSpec("answer_run", b"", inputs={"documents": InputRef(artifact="a")})
BARE = JobSpec("answer_run", b"")


def fields(spec: wire.AnswerRunSpec, job: JobSpec = BARE) -> Any:
    return [violation.field for violation in KIND.check(spec, job)]


def test_the_description_imports_nothing_heavy() -> None:
    code = (
        "import sys; import jobplane.engine.kinds.answer_run;"
        "heavy = {'bm25s', 'duckdb', 'httpx2', 'numpy', 'pypdf', 'snowballstemmer'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_defaults_are_written_into_the_spec() -> None:
    spec = wire.AnswerRunSpec(question="q")
    KIND.fill_defaults(spec)
    assert spec.retrieval.mode == wire.AnswerRunSpec.Retrieval.MODE_BM25
    assert (spec.retrieval.k, spec.retrieval.chunk_chars) == (8, 900)
    assert spec.llm.mode == LLM.MODE_EXTRACTIVE


def test_defaults_of_a_model_are_only_written_for_a_model() -> None:
    spec = wire.AnswerRunSpec(question="q", llm=LLM(mode=LLM.MODE_OPENAI_COMPATIBLE))
    KIND.fill_defaults(spec)
    assert spec.llm.endpoint == "default"
    assert spec.llm.timeout == Duration(seconds=60)
    assert (spec.llm.max_tokens, spec.llm.token_budget) == (1024, 50_000)


def test_a_set_zero_is_no_default() -> None:
    spec = wire.AnswerRunSpec(
        question="q", llm=LLM(mode=LLM.MODE_OPENAI_COMPATIBLE, temperature=0.0, seed=0)
    )
    KIND.fill_defaults(spec)
    assert spec.llm.HasField("temperature")


def test_filling_defaults_twice_changes_nothing() -> None:
    spec = wire.AnswerRunSpec(question="q", llm=LLM(mode=LLM.MODE_OPENAI_COMPATIBLE))
    KIND.fill_defaults(spec)
    once = spec.SerializeToString()
    KIND.fill_defaults(spec)
    assert spec.SerializeToString() == once


def test_a_filled_spec_passes_its_own_rules() -> None:
    spec = wire.AnswerRunSpec(question="q", markdown_path="a")
    KIND.fill_defaults(spec)
    assert fields(spec) == []


def test_a_folder_alone_is_fine() -> None:
    assert fields(wire.AnswerRunSpec(question="q", markdown_path="papers/2025")) == []


def test_an_upload_alone_is_fine() -> None:
    assert fields(wire.AnswerRunSpec(question="q"), UPLOADED) == []


def test_neither_folder_nor_upload_is_refused() -> None:
    assert fields(wire.AnswerRunSpec(question="q")) == ["markdown_path"]


def test_folder_and_upload_together_are_refused() -> None:
    assert fields(wire.AnswerRunSpec(question="q", markdown_path="a"), UPLOADED) == [
        "markdown_path"
    ]


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "a\\..\\x", "/etc", "C:\\x", "\\\\host\\x", "a\x00b", "a\nb", ".."],
)
def test_a_path_that_may_leave_its_root_is_refused(path: str) -> None:
    assert fields(wire.AnswerRunSpec(question="q", markdown_path=path)) == ["markdown_path"]


def test_a_question_of_white_space_is_refused() -> None:
    assert fields(wire.AnswerRunSpec(question=" \n\t", markdown_path="a")) == ["question"]


@pytest.mark.parametrize(
    "llm",
    [LLM(endpoint="x"), LLM(max_tokens=1), LLM(token_budget=300), LLM(allow_fallback=True)],
)
def test_fields_of_a_model_are_refused_without_one(llm: Any) -> None:
    found = fields(wire.AnswerRunSpec(question="q", markdown_path="a", llm=llm))
    assert len(found) == 1
    assert found[0].startswith("llm.")


def test_a_folder_that_is_not_there_is_a_missing_reference(tmp_path: Path) -> None:
    settings = read_settings({"document_roots": [str(tmp_path)]})
    spec = wire.AnswerRunSpec(question="q", markdown_path="nowhere")
    assert [violation.field for violation in missing_references(spec, settings)] == [
        "markdown_path"
    ]


def test_an_endpoint_that_is_not_configured_is_a_missing_reference() -> None:
    spec = wire.AnswerRunSpec(
        question="q", llm=LLM(mode=LLM.MODE_OPENAI_COMPATIBLE, endpoint="big")
    )
    settings = read_settings({"endpoints": {"small": {"base_url": "http://h/v1", "model": "m"}}})
    [violation] = missing_references(spec, settings)
    assert violation.field == "llm.endpoint"
    assert "known: small" in violation.description
