"""Sources that contradict each other, and what settles it: standing, then date."""

from datetime import date
from itertools import pairwise

from jobplane.engine.kinds.answer_run.answer import (
    Draft,
    GapReason,
    MissingPart,
    Source,
    Statement,
)
from jobplane.engine.kinds.answer_run.dating import years
from jobplane.engine.kinds.answer_run.language import content_words, words
from jobplane.engine.kinds.answer_run.matching import Candidate
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.vocabulary import MONTHS
from jobplane.engine.kinds.answer_run.wanted import Wanted

_COUNTED = frozenset({Wanted.NUMBER, Wanted.MONEY, Wanted.SPAN, Wanted.FREQUENCY})
# Sentences further apart than this speak of different things.
_NEAR = 0.1
_YEAR = "year"


def disagreement(question: SubQuestion, accepted: list[Candidate]) -> Draft | None:
    """Both sides, where two documents answer the question with different values."""
    best = accepted[0]
    rival = next((other for other in accepted[1:] if _contradicts(question, best, other)), None)
    if rival is None:
        return None
    newer, older = _ordered(best, rival)
    if newer is None or older is None:
        statements = (_statement("", best), _statement("", rival))
        gap = MissingPart(
            question,
            GapReason.CONFLICT,
            f"{best.chunk.doc.path} and {rival.chunk.doc.path} contradict each other, "
            "and no date or standing settles it",
        )
        return Draft(question, statements, (gap,))
    by_date = newer.chunk.doc.standing == older.chunk.doc.standing
    return Draft(
        question,
        (
            _statement(_as_of(newer.chunk.doc.dated), newer),
            _statement(_earlier(older.chunk.doc.dated, by_date=by_date), older),
        ),
    )


def _ordered(one: Candidate, two: Candidate) -> tuple[Candidate | None, Candidate | None]:
    """The one that counts, and the one that yields; nothing where they are equal."""
    first, second = one.chunk.doc, two.chunk.doc
    if first.standing != second.standing:
        return (one, two) if first.standing > second.standing else (two, one)
    if first.dated and second.dated and first.dated != second.dated:
        return (one, two) if first.dated > second.dated else (two, one)
    return None, None


def _contradicts(question: SubQuestion, best: Candidate, other: Candidate) -> bool:
    if other.chunk.doc.doc_id == best.chunk.doc.doc_id:
        return False
    if best.coverage - other.coverage > _NEAR or not best.own <= other.own:
        return False
    asked = {term.stem for term in question.terms}
    ours, theirs = _values(question, best, asked), _values(question, other, asked)
    shared = ours.keys() & theirs.keys()
    return any(not ours[unit] & theirs[unit] for unit in shared)


def _values(question: SubQuestion, side: Candidate, asked: set[str]) -> dict[str, set[str]]:
    """Numbers or names that the sentence gives, by what they count or say."""
    text = side.unit.text
    if question.wanted is Wanted.TIME:
        found = years(text) - asked
        return {_YEAR: found} if len(found) == 1 else {}
    if question.wanted is Wanted.NAME:
        return _named(text, asked)
    if question.wanted not in _COUNTED:
        return {}
    values: dict[str, set[str]] = {}
    listed = words(text)
    for word, following in pairwise(listed):
        dated = following.surface.casefold() in MONTHS
        if word.is_number and word.stem not in asked and not dated and not following.is_number:
            values.setdefault(following.stem, set()).add(word.stem)
    return values


def _named(text: str, asked: set[str]) -> dict[str, set[str]]:
    """Names that the sentence gives, by all else that it says: only a like sentence disagrees."""
    new = [word for word in content_words(text) if word.stem not in asked]
    names = {word.stem for word in new if word.is_name and word.start > 0}
    rest = " ".join(sorted({word.stem for word in new} - names))
    return {rest: names} if names else {}


def _statement(introduction: str, side: Candidate) -> Statement:
    text = side.unit.text.rstrip(" ;,:")
    text = text if text.endswith((".", "!", "?")) else text + "."
    lead = f"{introduction}: " if introduction else ""
    return Statement(lead + text, (Source(chunk=side.chunk, quote=side.unit),))


def _as_of(dated: date | None) -> str:
    return f"As of {dated.isoformat()}" if dated else ""


def _earlier(dated: date | None, *, by_date: bool) -> str:
    source = "An earlier source" if by_date else "A source of lesser standing"
    return f"{source}, of {dated.isoformat()}, says" if dated else f"{source} says"
