"""What a spec names and only the server's settings can tell to be there."""

from collections.abc import Iterable

from jobplane.engine.domain.errors import Violation
from jobplane.engine.kinds.answer_run import minilm
from jobplane.engine.kinds.answer_run.folder import find_folder
from jobplane.engine.kinds.answer_run.rules import DEFAULT_ENDPOINT
from jobplane.engine.kinds.answer_run.settings import AnswerSettings
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire


def missing_references(spec: wire.AnswerRunSpec, settings: AnswerSettings) -> Iterable[Violation]:
    """Folder, endpoint and packages that the spec names but this server doesn't have."""
    if spec.markdown_path and find_folder(spec.markdown_path, settings) is None:
        yield Violation("markdown_path", f"no folder {spec.markdown_path!r} under a document root")
    if spec.llm.mode == wire.AnswerRunSpec.Llm.MODE_OPENAI_COMPATIBLE:
        name = spec.llm.endpoint or DEFAULT_ENDPOINT
        if name not in settings.endpoints:
            known = ", ".join(sorted(settings.endpoints)) or "none"
            yield Violation("llm.endpoint", f"no endpoint {name!r} is configured; known: {known}")
    hybrid = spec.retrieval.mode == wire.AnswerRunSpec.Retrieval.MODE_HYBRID
    if hybrid and (lacking := minilm.missing_packages()):
        yield Violation("retrieval.mode", f"HYBRID needs {' and '.join(lacking)}: {minilm.INSTALL}")
