"""The last look at an answer: every sentence cites what it rests on, every number stands there."""

from collections.abc import Sequence
from dataclasses import replace

from jobplane.engine.kinds.answer_run.answer import (
    Draft,
    GapReason,
    MissingPart,
    Source,
    Statement,
)
from jobplane.engine.kinds.answer_run.language import content_words, digits, words

# Share of a sentence's words that its sources must hold.
_LEAST_SHARED = 0.4


def verified(draft: Draft, query_texts: Sequence[str]) -> Draft:
    """The draft without the sentences that nothing bears out; each of them is a gap."""
    kept: list[Statement] = []
    dropped: list[str] = []
    for statement in draft.statements:
        fault = _fault(statement, query_texts)
        if fault:
            dropped.append(f"{fault}: {statement.text!r}")
        else:
            kept.append(statement)
    if not dropped:
        return draft
    gaps = (
        *draft.gaps,
        *(MissingPart(draft.question, GapReason.UNSUPPORTED, message) for message in dropped),
    )
    return replace(draft, statements=tuple(kept), gaps=gaps)


def _fault(statement: Statement, query_texts: Sequence[str]) -> str:
    """Why the sentence can't stand, or nothing."""
    if not statement.sources:
        return "a sentence without a citation was left out"
    borne = " ".join(_borne(source, query_texts) for source in statement.sources)
    strange = digits(statement.text) - digits(borne) - {word.stem for word in words(borne)}
    if strange:
        return f"a sentence with numbers that its source lacks ({', '.join(sorted(strange))})"
    said = {word.stem for word in content_words(statement.text)}
    shared = said & {word.stem for word in words(borne)}
    if said and len(shared) / len(said) < _LEAST_SHARED:
        return "a sentence that its source does not bear out was left out"
    return ""


def _borne(source: Source, query_texts: Sequence[str]) -> str:
    """All that the source says, its title and date included."""
    if source.query is not None:
        return query_texts[source.query]
    chunk = source.chunk
    if chunk is None:
        return ""
    dated = chunk.doc.dated.isoformat() if chunk.doc.dated else ""
    day = chunk.doc.dated.strftime("%d %m %Y") if chunk.doc.dated else ""
    introductions = "as of an earlier source a source of lesser standing says"
    return f"{chunk.doc.title} {chunk.heading} {chunk.text} {dated} {day} {introductions}"
