"""The stage "synthesize": who answers each sub-question, and what happens when that fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.answer_run.answer import (
    Draft,
    GapReason,
    MissingPart,
    Source,
    Statement,
)
from jobplane.engine.kinds.answer_run.chunking import Chunk, Unit
from jobplane.engine.kinds.answer_run.completion import EndpointDownError
from jobplane.engine.kinds.answer_run.extractive import answer_from_sentences
from jobplane.engine.kinds.answer_run.generated import answer_from_model
from jobplane.engine.kinds.answer_run.language import content_words
from jobplane.engine.kinds.answer_run.model import Model
from jobplane.engine.kinds.answer_run.planning import asks_for_figures
from jobplane.engine.kinds.answer_run.queries import Query
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.retrieval import Found, Retriever
from jobplane.engine.kinds.answer_run.sandbox import LoadedTable
from jobplane.engine.kinds.base import WorkError


@dataclass(frozen=True, slots=True)
class Material:
    """All that may be drawn on for one sub-question."""

    question: SubQuestion
    found: tuple[Found, ...]
    # Index of its query among the run's queries.
    query: int | None = None


class Synthesizer:
    """Answers sub-questions: from tables, by the model, or of sentences."""

    def __init__(
        self,
        index: Retriever,
        queries: Sequence[Query],
        tables: tuple[LoadedTable, ...],
        model: Model | None,
        *,
        allow_fallback: bool,
    ) -> None:
        self._index = index
        self._queries = queries
        self._tables = tables
        self._model = model
        self._allow_fallback = allow_fallback
        self._down = ""

    @property
    def fell_back(self) -> bool:
        """Whether the endpoint was given up."""
        return bool(self._down)

    def answer(self, material: Material) -> Draft:
        """The draft for one sub-question."""
        if self._model is None:
            return self._extractive(material)
        if not self._down:
            try:
                return self._generated(material, self._model)
            except EndpointDownError as error:
                if not self._allow_fallback:
                    raise unavailable(error) from error
                self._down = str(error)
        draft = self._extractive(material)
        message = f"the endpoint was not to be had ({self._down}); answered from sentences alone"
        gap = MissingPart(material.question, GapReason.LLM_UNAVAILABLE, message)
        return replace(draft, gaps=(*draft.gaps, gap))

    def give_up(self, error: EndpointDownError) -> None:
        """Ask the endpoint no more; WorkError where the spec allows no fallback."""
        if not self._allow_fallback:
            raise unavailable(error) from error
        self._down = str(error)

    def _generated(self, material: Material, model: Model) -> Draft:
        sources = [Source(chunk=found.chunk) for found in material.found]
        texts = [_shown(found.chunk) for found in material.found]
        query = self._usable(material)
        if query is not None:
            sources.append(Source(query=material.query))
            texts.append(query.text())
        draft = answer_from_model(material.question, sources, texts, model)
        return replace(draft, statements=tuple(_quoted(entry) for entry in draft.statements))

    def _extractive(self, material: Material) -> Draft:
        query = self._usable(material)
        if query is not None:
            statement = Statement(_capitalised(query.told()) + ".", (Source(query=material.query),))
            return Draft(material.question, (statement,))
        draft = answer_from_sentences(material.question, list(material.found), self._index)
        if draft.is_answered or not asks_for_figures(material.question, self._tables):
            return draft
        message = "no query over the tables expresses the whole question"
        if material.query is not None:
            message = self._queries[material.query].error or "the query gave no value"
        terms = tuple(term for gap in draft.gaps for term in gap.terms)
        gap = MissingPart(material.question, GapReason.SQL_NOT_PLANNABLE, message, terms)
        return Draft(material.question, gaps=(gap,))

    def _usable(self, material: Material) -> Query | None:
        query = None if material.query is None else self._queries[material.query]
        return query if query is not None and query.answers else None


def unavailable(error: EndpointDownError) -> WorkError:
    """Failure of a run whose endpoint can't be had."""
    return WorkError(
        "LLM_UNAVAILABLE",
        f"the endpoint gave no answer: {error}",
        category=FailureCategory.DEPENDENCY,
        retryable=error.transient,
    )


def _shown(chunk: Chunk) -> str:
    dated = f" ({chunk.doc.dated.isoformat()})" if chunk.doc.dated else ""
    return f"{chunk.doc.title}{dated} | {chunk.heading}\n{chunk.text}"


def _quoted(statement: Statement) -> Statement:
    """The statement with the sentence of each passage that bears it out best."""
    said = {word.stem for word in content_words(statement.text)}
    return replace(
        statement,
        sources=tuple(
            replace(source, quote=_nearest(source.chunk, said)) if source.chunk else source
            for source in statement.sources
        ),
    )


def _nearest(chunk: Chunk, said: set[str]) -> Unit:
    return max(
        chunk.units,
        key=lambda unit: (
            len(said & {word.stem for word in content_words(unit.text)}),
            -unit.start,
        ),
    )


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
