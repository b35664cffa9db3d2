"""final.md and run.json: the answer as people and as programs read it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobplane.engine.kinds.answer_run.answer import Draft, Statement
from jobplane.engine.kinds.answer_run.bundle import Citations, Evidence, line_range
from jobplane.engine.kinds.answer_run.queries import Query

_ENDS = (".", "!", "?")
# Letters of a path or a quote that would mean something to a reader of markdown.
_ACTIVE = re.compile(r"([\\`\[\]<>*])")


def final_markdown(drafts: Sequence[Draft], citations: Citations, queries: Sequence[Query]) -> str:
    """The answer in paragraphs with marks of citation, its gaps, and its sources."""
    body = [_paragraph(draft, citations) for draft in drafts]
    gaps = [gap for draft in drafts for gap in draft.gaps]
    parts = ["\n\n".join(paragraph for paragraph in body if paragraph)]
    if gaps:
        lines = [
            f"- **{gap.reason.value}**: {escaped(gap.question.text)} ({escaped(gap.message)})"
            for gap in gaps
        ]
        parts.append("## Gaps\n\n" + "\n".join(lines))
    used = [entry for entry in citations.all() if entry.used]
    if used:
        parts.append("## Sources\n\n" + "\n\n".join(_source(entry, queries) for entry in used))
    return "\n\n".join(part for part in parts if part) + "\n"


def pretty(value: Mapping[str, Any]) -> str:
    """JSON that is the same for the same value, and readable."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def line(value: Mapping[str, Any]) -> str:
    """JSON on one line."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def escaped(text: str) -> str:
    """Text that no reader of markdown takes for markup, on one line."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return _ACTIVE.sub(r"\\\1", plain).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _paragraph(draft: Draft, citations: Citations) -> str:
    if not draft.statements:
        return f"The documents do not answer: {escaped(draft.question.text)}"
    return " ".join(_sentence(statement, draft, citations) for statement in draft.statements)


def _sentence(statement: Statement, draft: Draft, citations: Citations) -> str:
    refs = [citations.cite(source, draft.question).ref for source in statement.sources]
    marks = "".join(f"[{ref}]" for ref in dict.fromkeys(refs))
    text = statement.text.rstrip()
    end = text[-1] if text.endswith(_ENDS) else "."
    return f"{escaped(text.rstrip('.!?'))} {marks}{end}"


def _source(entry: Evidence, queries: Sequence[Query]) -> str:
    if entry.chunk is None:
        query = queries[entry.query or 0]
        told = [f"> {escaped(query.told())}", ">", f"> `{query.sql.replace('`', ' ')}`"]
        return "\n".join([f"[{entry.ref}] {escaped(', '.join(query.paths))} (query)", *told])
    unit, first, last = line_range(entry)
    place = f"L{first}-L{last}" if unit == "line" else f"P{first}-P{last}"
    quotes = [f"> {escaped(quote.text)}" for quote in entry.quotes]
    return "\n".join([f"[{entry.ref}] {escaped(entry.chunk.doc.path)}:{place}", *quotes])
