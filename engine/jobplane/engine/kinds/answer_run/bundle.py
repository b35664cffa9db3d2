"""context_bundle.json: all that an answer rests on, in a versioned shape."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from jobplane.engine.kinds.answer_run.answer import Draft, MissingPart, Source
from jobplane.engine.kinds.answer_run.chunking import Chunk, Unit
from jobplane.engine.kinds.answer_run.queries import Query
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.retrieval import Found, Scores
from jobplane.engine.kinds.answer_run.source import Library

SCHEMA_VERSION = "1.1"
PACKAGE = "jobplane.engine.kinds.answer_run"
SCHEMA_FILE = "context_bundle.schema.json"


@dataclass
class Evidence:
    """One thing that can be cited, under its number."""

    ref: int
    chunk: Chunk | None
    query: int | None
    scores: Scores | None
    used: bool = False
    questions: list[int] = field(default_factory=list[int])
    quotes: list[Unit] = field(default_factory=list[Unit])


class Citations:
    """Gives each source its number: in order of first citation, then of retrieval."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, int, int], Evidence] = {}

    def cite(self, source: Source, question: SubQuestion) -> Evidence:
        """Evidence of a cited source."""
        evidence = self._entry(source.chunk, source.query, None)
        evidence.used = True
        if source.quote is not None and source.quote not in evidence.quotes:
            evidence.quotes.append(source.quote)
        _note(evidence, question)
        return evidence

    def offer(self, found: Found, question: SubQuestion) -> None:
        """Note a passage that was retrieved, cited or not."""
        evidence = self._entry(found.chunk, None, found.scores)
        evidence.scores = evidence.scores or found.scores
        _note(evidence, question)

    def all(self) -> list[Evidence]:
        """Everything numbered, in order."""
        return list(self._by_key.values())

    def _entry(self, chunk: Chunk | None, query: int | None, scores: Scores | None) -> Evidence:
        key = (chunk.doc.doc_id, chunk.start, chunk.end) if chunk else ("", query or 0, -1)
        if key not in self._by_key:
            self._by_key[key] = Evidence(len(self._by_key) + 1, chunk, query, scores)
        return self._by_key[key]


def _note(evidence: Evidence, question: SubQuestion) -> None:
    if question.index not in evidence.questions:
        evidence.questions.append(question.index)


def build(
    *,
    run_id: str,
    question: str,
    engine_version: str,
    library: Library,
    drafts: Sequence[Draft],
    evidence: Sequence[Evidence],
    queries: Sequence[Query],
    llm: Mapping[str, Any],
    embedding: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The bundle, checked against its schema."""
    bundle: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "engine_version": engine_version,
        "run_id": run_id,
        "question": question,
        "sub_questions": [_sub_question(draft) for draft in drafts],
        "documents": _documents(library),
        "evidence": [_evidence(entry, queries) for entry in evidence],
        "sql": [_query(query) for query in queries],
        "gaps": [gap_entry(gap) for draft in drafts for gap in draft.gaps],
        "llm": dict(llm),
        "embedding": embedding and dict(embedding),
    }
    validate(bundle)
    return bundle


def gap_entry(gap: MissingPart) -> dict[str, Any]:
    """A gap as the bundle tells it."""
    return {
        "sub_question": gap.question.text,
        "reason": gap.reason.value,
        "message": gap.message,
        "terms": list(gap.terms),
    }


def validate(bundle: Mapping[str, Any]) -> None:
    """Raise jsonschema.ValidationError where the bundle breaks its schema."""
    _validator().validate(bundle)


def schema() -> dict[str, Any]:
    """JSON Schema of the bundle."""
    text = resources.files(PACKAGE).joinpath(SCHEMA_FILE).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  heavy, and only needed here

    return Draft202012Validator(schema())


def line_range(entry: Evidence) -> tuple[str, int, int]:
    """Unit ("line", "page" or "row"), first and last of what is quoted, or of the passage."""
    if entry.chunk is None:
        return "row", 0, 0
    spans = [(unit.start, unit.end) for unit in entry.quotes] or [
        (entry.chunk.start, entry.chunk.end)
    ]
    marks = entry.chunk.doc.marks
    starts = [marks.at(start) for start, _ in spans]
    return marks.unit, min(starts), max(marks.at(max(0, end - 1)) for _, end in spans)


def _sub_question(draft: Draft) -> dict[str, Any]:
    return {
        "index": draft.question.index,
        "text": draft.question.text,
        "wanted": draft.question.wanted.value,
        "answered": draft.is_answered,
    }


def _documents(library: Library) -> list[dict[str, Any]]:
    read = [
        {
            "doc_id": entry.doc_id,
            "path": entry.path,
            "sha256": entry.sha256,
            "bytes": entry.size_bytes,
            "title": entry.title,
            "date": entry.dated.isoformat() if entry.dated else None,
            "kind": "text",
        }
        for entry in library.documents
    ]
    tables = [
        {
            "doc_id": entry.doc_id,
            "path": entry.path,
            "sha256": entry.sha256,
            "bytes": entry.size_bytes,
            "title": entry.name,
            "date": None,
            "kind": "table",
        }
        for entry in library.tables
    ]
    return sorted([*read, *tables], key=lambda entry: str(entry["path"]))


def _evidence(entry: Evidence, queries: Sequence[Query]) -> dict[str, Any]:
    common = {"ref": entry.ref, "used": entry.used, "sub_questions": sorted(entry.questions)}
    if entry.chunk is None:
        query = queries[entry.query or 0]
        tables = [table.table for table in query.tables]
        return common | {
            "kind": "query",
            "doc_id": tables[0].doc_id if tables else "",
            "path": tables[0].path if tables else "",
            "heading": "",
            "text": query.told(),
            "start": None,
            "end": None,
            "unit": "row",
            "line_start": None,
            "line_end": None,
            "scores": None,
            "quotes": [],
            "query": entry.query,
        }
    return common | _passage(entry, entry.chunk)


def _passage(entry: Evidence, chunk: Chunk) -> dict[str, Any]:
    marks = chunk.doc.marks
    scores = entry.scores
    return {
        "kind": "passage",
        "doc_id": chunk.doc.doc_id,
        "path": chunk.doc.path,
        "heading": chunk.heading,
        "text": chunk.text,
        "start": chunk.start,
        "end": chunk.end,
        "unit": marks.unit,
        "line_start": marks.at(chunk.start),
        "line_end": marks.at(max(0, chunk.end - 1)),
        "scores": scores and {"bm25": scores.bm25, "dense": scores.dense, "fused": scores.fused},
        "quotes": [
            {
                "text": unit.text,
                "start": unit.start,
                "end": unit.end,
                "line_start": marks.at(unit.start),
                "line_end": marks.at(max(0, unit.end - 1)),
            }
            for unit in entry.quotes
        ],
        "query": None,
    }


def _query(query: Query) -> dict[str, Any]:
    result = query.result
    return {
        "sub_question": query.question.index,
        "query": query.sql,
        "tables": list(query.paths),
        "columns": list(result.columns) if result else [],
        "rows": [list(row) for row in result.rows] if result else [],
        "truncated": bool(result and result.truncated),
        "error": query.error or None,
    }
