"""The work of an answer run: load, chunk, retrieve, sql, synthesize, verify, write."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import FailureCategory, Gap
from jobplane.engine.kinds.answer_run import STAGES, bundle, writing
from jobplane.engine.kinds.answer_run.answer import Draft, beyond_the_most
from jobplane.engine.kinds.answer_run.chunking import Chunk, chunk_document
from jobplane.engine.kinds.answer_run.completion import ChatClient, EndpointDownError, redacted
from jobplane.engine.kinds.answer_run.embedding import embedding_record, load_embedder
from jobplane.engine.kinds.answer_run.library import load
from jobplane.engine.kinds.answer_run.model import Model, Style
from jobplane.engine.kinds.answer_run.patience import watched
from jobplane.engine.kinds.answer_run.queries import Query, run_queries
from jobplane.engine.kinds.answer_run.questions import MAX_SUB_QUESTIONS, SubQuestion, sub_questions
from jobplane.engine.kinds.answer_run.retrieval import Retriever
from jobplane.engine.kinds.answer_run.rules import fill_defaults
from jobplane.engine.kinds.answer_run.sandbox import LoadedTable, Sandbox
from jobplane.engine.kinds.answer_run.settings import (
    AnswerSettings,
    Endpoint,
    SettingsError,
    read_settings,
)
from jobplane.engine.kinds.answer_run.source import Library
from jobplane.engine.kinds.answer_run.synthesis import Material, Synthesizer
from jobplane.engine.kinds.answer_run.verify import verified
from jobplane.engine.kinds.base import JobContext, Outcome, WorkError
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire

ANSWER = "final.md"
CONTEXT = "context_bundle.json"
RUN = "run.json"
METRICS = "runtime_metrics.json"
PAYLOAD = "llm_payload.jsonl"
ANSWERED = "ANSWERED"
WITH_GAPS = "ANSWERED_WITH_GAPS"
NOT_ANSWERED = "NOT_ANSWERED"

_Spec = wire.AnswerRunSpec


def run(spec: wire.AnswerRunSpec, context: JobContext) -> Outcome:
    """Answer the question; what it could not answer are the gaps of the outcome."""
    fill_defaults(spec)
    try:
        settings = read_settings(context.settings)
    except SettingsError as error:
        raise WorkError(
            "BAD_SETTINGS", f"answers.{error}", category=FailureCategory.INFRASTRUCTURE
        ) from error
    return _Run(spec, context, settings).all_stages()


@dataclass
class _Run:
    """One run: what each stage leaves for the next."""

    spec: wire.AnswerRunSpec
    context: JobContext
    settings: AnswerSettings
    key: str = ""
    timings: dict[str, float] = field(default_factory=dict[str, float])
    tables: tuple[LoadedTable, ...] = ()
    queries: list[Query] = field(default_factory=list[Query])
    # Asked beyond what one run answers.
    beyond: list[SubQuestion] = field(default_factory=list[SubQuestion])

    def all_stages(self) -> Outcome:
        """Run every stage in order."""
        model = self._model()
        with self._stage("load"):
            library = load(self.spec, self.context, self.settings)
        with self._stage("chunk"):
            chunks = self._chunks(library)
        with self._stage("retrieve"):
            index, materials = self._retrieve(chunks)
        refusal = None
        if self.spec.enable_sql:
            with self._stage("sql"):
                refusal = self._ask_tables(library, materials, model)
        materials = self._with_queries(materials)
        with self._stage("synthesize"):
            writer = Synthesizer(
                index, self.queries, self.tables, model, allow_fallback=self.spec.llm.allow_fallback
            )
            if refusal is not None:
                writer.give_up(refusal)
            drafts = self._synthesize(writer, materials)
        with self._stage("verify"):
            texts = [query.text() for query in self.queries]
            drafts = [verified(draft, texts) for draft in drafts]
            drafts += [beyond_the_most(question, MAX_SUB_QUESTIONS) for question in self.beyond]
        with self._stage("write"):
            return self._write(library, chunks, materials, drafts, model)

    @contextmanager
    def _stage(self, name: str) -> Generator[None]:
        self.context.safe_point()
        started = monotonic()
        with self.context.stage(name):
            self.context.progress(fraction=STAGES.index(name) / len(STAGES), message=name)
            yield
        self.timings[name] = round(monotonic() - started, 4)

    def _advance(self, stage: str, done: int, total: int, unit: str) -> None:
        self.context.safe_point()
        share = done / total if total else 1.0
        self.context.progress(
            done, total, unit=unit, fraction=(STAGES.index(stage) + share) / len(STAGES)
        )

    def _chunks(self, library: Library) -> list[Chunk]:
        chunks: list[Chunk] = []
        for number, doc in enumerate(library.documents, start=1):
            size = self.spec.retrieval.chunk_chars
            chunks.extend(watched(partial(chunk_document, doc, size), self.context.safe_point))
            self._advance("chunk", number, len(library.documents), "document")
        return chunks

    def _retrieve(self, chunks: list[Chunk]) -> tuple[Retriever, list[Material]]:
        index = watched(lambda: Retriever(chunks), self.context.safe_point)
        questions = sub_questions(self.spec.question)
        self.beyond, questions = questions[MAX_SUB_QUESTIONS:], questions[:MAX_SUB_QUESTIONS]
        learnt = 0
        if self._by_meaning:
            learnt = len(chunks)
            self._learn_meaning(index, learnt, learnt + len(questions))
        materials: list[Material] = []
        for number, question in enumerate(questions, start=1):
            found = tuple(index.find(question, self.spec.retrieval.k))
            materials.append(Material(question, found))
            self._advance("retrieve", learnt + number, learnt + len(questions), "text")
        return index, materials

    @property
    def _by_meaning(self) -> bool:
        return self.spec.retrieval.mode == _Spec.Retrieval.MODE_HYBRID

    def _learn_meaning(self, index: Retriever, passages: int, steps: int) -> None:
        most = self.settings.limits.embedded_passages
        if passages > most:
            raise WorkError(
                "TOO_MANY_PASSAGES",
                f"retrieval.mode HYBRID takes {most} passages and the documents make {passages}: "
                "raise retrieval.chunk_chars, send fewer documents, or use BM25",
                category=FailureCategory.INPUT,
            )
        embedder = watched(load_embedder, self.context.safe_point)
        index.learn_meaning(embedder, lambda done: self._advance("retrieve", done, steps, "text"))

    def _ask_tables(
        self, library: Library, materials: Sequence[Material], model: Model | None
    ) -> EndpointDownError | None:
        """Run the queries; an endpoint that can't be had is handed on to the synthesis."""
        sandbox = Sandbox(self.settings.limits, self.context.safe_point)
        questions = [material.question for material in materials]
        try:
            sandbox.load(library.tables, self.context.folder, self.context.warn)
            self.tables = sandbox.tables
            try:
                self.queries = run_queries(questions, sandbox, model)
            except EndpointDownError as error:
                self.queries = run_queries(questions, sandbox, None)
                return error
        finally:
            sandbox.close()
        return None

    def _with_queries(self, materials: Sequence[Material]) -> list[Material]:
        at = {query.question.index: number for number, query in enumerate(self.queries)}
        return [
            Material(entry.question, entry.found, at.get(entry.question.index))
            for entry in materials
        ]

    def _synthesize(self, writer: Synthesizer, materials: Sequence[Material]) -> list[Draft]:
        drafts: list[Draft] = []
        for number, material in enumerate(materials, start=1):
            drafts.append(writer.answer(material))
            self._advance("synthesize", number, len(materials), "question")
        return drafts

    def _write(
        self,
        library: Library,
        chunks: Sequence[Chunk],
        materials: Sequence[Material],
        drafts: Sequence[Draft],
        model: Model | None,
    ) -> Outcome:
        citations = bundle.Citations()
        answer = writing.final_markdown(drafts, citations, self.queries)
        for material in materials:
            for found in material.found:
                citations.offer(found, material.question)
        finish = _finish_reason(drafts)
        context_bundle = bundle.build(
            run_id=self.context.job_id,
            question=self.spec.question,
            engine_version=self.context.engine_version,
            library=library,
            drafts=drafts,
            evidence=citations.all(),
            queries=self.queries,
            llm=self._llm_entry(model),
            embedding=embedding_record() if self._by_meaning else None,
        )
        result = self._result(library, drafts, citations, finish, model)
        self._save(ANSWER, answer, "text/markdown", ArtifactType.REPORT)
        self._save(CONTEXT, writing.pretty(context_bundle), "application/json", ArtifactType.JSON)
        self._save(
            RUN, writing.pretty(self._run_record(result, context_bundle)), "application/json"
        )
        self._save_payloads(model)
        timings: dict[str, Any] = {"stage_seconds": self.timings}
        if model is not None:
            timings |= {"llm_calls": model.usage.calls, "llm_remembered": model.usage.remembered}
        self._save(METRICS, writing.pretty(timings), "application/json")
        return _outcome(result, drafts, passages=len(chunks))

    def _result(
        self,
        library: Library,
        drafts: Sequence[Draft],
        citations: bundle.Citations,
        finish: str,
        model: Model | None,
    ) -> wire.AnswerRunResult:
        return wire.AnswerRunResult(
            answer_artifact=ANSWER,
            context_artifact=CONTEXT,
            finish_reason=finish,
            sub_questions=len(drafts),
            answered_sub_questions=sum(draft.is_answered for draft in drafts),
            documents=len(library.documents) + len(library.tables),
            citations=sum(entry.used for entry in citations.all()),
            model=model.name if model else "extractive",
            prompt_tokens=model.usage.prompt_tokens if model else 0,
            completion_tokens=model.usage.completion_tokens if model else 0,
        )

    def _run_record(
        self, result: wire.AnswerRunResult, context_bundle: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "schema_version": bundle.SCHEMA_VERSION,
            "run_id": self.context.job_id,
            "question": self.spec.question,
            "finish_reason": result.finish_reason,
            "options": {
                "enable_sql": self.spec.enable_sql,
                "markdown_path": self.spec.markdown_path,
                "log_llm_payload": self.spec.log_llm_payload,
                "retrieval_mode": _Spec.Retrieval.Mode.Name(self.spec.retrieval.mode),
                "k": self.spec.retrieval.k,
                "chunk_chars": self.spec.retrieval.chunk_chars,
                "llm_mode": _Spec.Llm.Mode.Name(self.spec.llm.mode),
                "endpoint": self.spec.llm.endpoint,
            },
            "counts": {
                "documents": result.documents,
                "sub_questions": result.sub_questions,
                "answered_sub_questions": result.answered_sub_questions,
                "citations": result.citations,
            },
            "gaps": context_bundle["gaps"],
            "artifacts": [ANSWER, CONTEXT],
            "engine_version": self.context.engine_version,
        }

    def _llm_entry(self, model: Model | None) -> dict[str, Any]:
        usage = model.usage if model else None
        cut = usage is not None and "length" in usage.finish_reasons
        last = usage.finish_reasons[-1] if usage and usage.finish_reasons else ""
        return {
            "mode": "OPENAI_COMPATIBLE" if model else "EXTRACTIVE",
            "endpoint": self.spec.llm.endpoint,
            "model": model.name if model else "",
            "prompt_tokens": usage.prompt_tokens if usage else 0,
            "completion_tokens": usage.completion_tokens if usage else 0,
            "finish_reason": "length" if cut else last,
        }

    def _save_payloads(self, model: Model | None) -> None:
        if model is None or not self.spec.log_llm_payload:
            return
        lines = [writing.line(payload) for payload in model.payloads]
        self._save(PAYLOAD, "".join(lines), "application/x-ndjson", ArtifactType.LOG)

    def _save(
        self, name: str, content: str, media_type: str, kind: ArtifactType = ArtifactType.JSON
    ) -> None:
        # A model can echo what the endpoint was sent; the key must reach no artifact.
        safe = redacted(content, self.key)
        self.context.save_artifact(name, safe, media_type=media_type, type=kind)

    def _model(self) -> Model | None:
        llm = self.spec.llm
        if llm.mode != _Spec.Llm.MODE_OPENAI_COMPATIBLE:
            return None
        endpoint = self._endpoint()
        self.key = _key(endpoint)
        client = ChatClient(
            endpoint,
            key=self.key,
            timeout_s=llm.timeout.seconds + llm.timeout.nanos / 1e9,
            safe_point=self.context.safe_point,
        )
        return Model(
            client,
            Style(endpoint.model, llm.max_tokens, llm.temperature, llm.seed),
            token_budget=llm.token_budget,
            key=self.key,
            remembered=self.context.checkpoint_data,
            remember=self.context.save_checkpoint,
        )

    def _endpoint(self) -> Endpoint:
        name = self.spec.llm.endpoint
        if name not in self.settings.endpoints:
            known = ", ".join(sorted(self.settings.endpoints)) or "none"
            raise WorkError(
                "REFERENCE_NOT_FOUND",
                f"no endpoint {name!r} is configured; known: {known}",
                category=FailureCategory.INPUT,
            )
        return self.settings.endpoints[name]


def _key(endpoint: Endpoint) -> str:
    """Key from the environment variable that the settings name."""
    if not endpoint.key_env:
        return ""
    key = os.environ.get(endpoint.key_env, "")
    if not key:
        raise WorkError(
            "LLM_KEY_MISSING",
            f"the environment variable {endpoint.key_env} of endpoint {endpoint.name!r} is not set",
            category=FailureCategory.DEPENDENCY,
        )
    return key


def _finish_reason(drafts: Sequence[Draft]) -> str:
    if not any(draft.is_answered for draft in drafts):
        return NOT_ANSWERED
    return WITH_GAPS if any(draft.gaps for draft in drafts) else ANSWERED


def _outcome(result: wire.AnswerRunResult, drafts: Sequence[Draft], *, passages: int) -> Outcome:
    gaps = tuple(
        Gap(gap.reason.value, gap.message, gap.question.text)
        for draft in drafts
        for gap in draft.gaps
    )
    return Outcome(
        headline=(
            f"Answered {result.answered_sub_questions} of {result.sub_questions} questions "
            f"with {result.citations} citations from {result.documents} documents"
        ),
        details=result,
        metrics={
            "documents": result.documents,
            "passages": passages,
            "sub_questions": result.sub_questions,
            "answered_sub_questions": result.answered_sub_questions,
            "citations": result.citations,
            "gaps": len(gaps),
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
        },
        gaps=gaps,
    )
