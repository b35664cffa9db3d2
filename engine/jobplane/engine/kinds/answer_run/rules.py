"""Defaults of an answer run's spec, and what is refused at submit."""

from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

from google.protobuf.duration_pb2 import Duration

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import JobSpec
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire

DOCUMENTS = "documents"
DEFAULT_K = 8
DEFAULT_CHUNK_CHARS = 900
DEFAULT_ENDPOINT = "default"
DEFAULT_TIMEOUT_S = 60
DEFAULT_MAX_TOKENS = 1024
DEFAULT_TOKEN_BUDGET = 50_000

_Retrieval = wire.AnswerRunSpec.Retrieval
_Llm = wire.AnswerRunSpec.Llm


def fill_defaults(spec: wire.AnswerRunSpec) -> None:
    """Write every default into the spec, so that what ran can be read from it."""
    retrieval = spec.retrieval
    if retrieval.mode == _Retrieval.MODE_UNSPECIFIED:
        retrieval.mode = _Retrieval.MODE_BM25
    if not retrieval.HasField("k"):
        retrieval.k = DEFAULT_K
    if not retrieval.HasField("chunk_chars"):
        retrieval.chunk_chars = DEFAULT_CHUNK_CHARS
    llm = spec.llm
    if llm.mode == _Llm.MODE_UNSPECIFIED:
        llm.mode = _Llm.MODE_EXTRACTIVE
    if llm.mode == _Llm.MODE_OPENAI_COMPATIBLE:
        _fill_model_defaults(llm)


def _fill_model_defaults(llm: wire.AnswerRunSpec.Llm) -> None:
    llm.endpoint = llm.endpoint or DEFAULT_ENDPOINT
    if not llm.HasField("timeout"):
        llm.timeout.CopyFrom(Duration(seconds=DEFAULT_TIMEOUT_S))
    if not llm.HasField("max_tokens"):
        llm.max_tokens = DEFAULT_MAX_TOKENS
    if not llm.HasField("temperature"):
        llm.temperature = 0.0
    if not llm.HasField("seed"):
        llm.seed = 0
    if not llm.HasField("token_budget"):
        llm.token_budget = DEFAULT_TOKEN_BUDGET


def check(spec: wire.AnswerRunSpec, job: JobSpec) -> Iterable[Violation]:
    """Find what the contract's own rules can't see."""
    if not spec.question.strip():
        yield Violation("question", "must hold more than white space")
    if (DOCUMENTS in job.inputs) == bool(spec.markdown_path):
        yield Violation(
            "markdown_path",
            'exactly one of the input "documents" and markdown_path must be given',
        )
    if spec.markdown_path:
        yield from _path_violations(spec.markdown_path)
    yield from _model_violations(spec.llm)


def _path_violations(path: str) -> Iterable[Violation]:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).anchor:
        yield Violation("markdown_path", "must be relative to a document root of the server")
    elif ".." in PureWindowsPath(path).parts:
        yield Violation("markdown_path", 'must not contain ".."')
    elif any(ord(sign) < ord(" ") for sign in path):
        yield Violation("markdown_path", "must not contain control characters")


def _model_violations(llm: wire.AnswerRunSpec.Llm) -> Iterable[Violation]:
    if llm.mode == _Llm.MODE_OPENAI_COMPATIBLE:
        return
    given = {descriptor.name for descriptor, _ in llm.ListFields()} - {"mode"}
    for field in sorted(given):
        yield Violation(f"llm.{field}", "only with llm.mode OPENAI_COMPATIBLE")
