"""The answerer that needs no network: an answer is made of sentences of the documents."""

from jobplane.engine.kinds.answer_run.answer import (
    Draft,
    GapReason,
    MissingPart,
    Source,
    Statement,
)
from jobplane.engine.kinds.answer_run.chunking import Chunk, Unit
from jobplane.engine.kinds.answer_run.conflict import disagreement
from jobplane.engine.kinds.answer_run.matching import (
    Candidate,
    candidates,
    is_light,
    points_back,
)
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.retrieval import Found, Retriever
from jobplane.engine.kinds.answer_run.wanted import Wanted

_MOST_SENTENCES = 3
_MOST_ITEMS = 12
# A further sentence must come this near to the best one.
_NEAR = 0.8
_BROAD = frozenset({Wanted.LIST, Wanted.OPEN, Wanted.REASON})


def answer_from_sentences(question: SubQuestion, found: list[Found], index: Retriever) -> Draft:
    """Sentences that answer, each with its source; a gap, and no sentence, where none does."""
    ranked = candidates(question, found, index)
    accepted = [candidate for candidate in ranked if candidate.accepted]
    if not accepted:
        return Draft(question, gaps=(_gap(question, ranked, index),))
    split = disagreement(question, accepted)
    if split is not None:
        return split
    best = accepted[0]
    units = _units(question, best, accepted)
    return Draft(question, tuple(statement(best.chunk, unit) for unit in units))


def statement(chunk: Chunk, unit: Unit) -> Statement:
    """The unit as a sentence of the answer."""
    return Statement(as_sentence(unit), (Source(chunk=chunk, quote=unit),))


def as_sentence(unit: Unit) -> str:
    """Text of the unit, ended as a sentence is."""
    text = unit.text.rstrip(" ;,:")
    return text if text.endswith((".", "!", "?")) else text + "."


def _units(question: SubQuestion, best: Candidate, accepted: list[Candidate]) -> list[Unit]:
    """Best unit, and those that belong to it, in the order of the document."""
    siblings = best.chunk.units
    at = siblings.index(best.unit)
    items = _items(siblings, at, best.unit)
    wants_all = question.wanted in _BROAD
    if items and (best.unit.text.endswith(":") or (wants_all and best.unit.kind == "item")):
        return items[:_MOST_ITEMS]
    chosen = [best.unit]
    if points_back(best.unit) and at > 0 and siblings[at - 1].kind == best.unit.kind:
        chosen.insert(0, siblings[at - 1])
    if wants_all:
        for candidate in accepted[1:]:
            near = candidate.coverage >= _NEAR * best.coverage
            if near and candidate.chunk is best.chunk and candidate.unit not in chosen:
                chosen.append(candidate.unit)
    return sorted(chosen[:_MOST_SENTENCES], key=lambda unit: unit.start)


def _items(siblings: tuple[Unit, ...], at: int, unit: Unit) -> list[Unit]:
    """Items of the list that the unit leads in, or is part of."""
    lead = unit.text if unit.text.endswith(":") else unit.lead
    if unit.kind == "item":
        return [other for other in siblings if other.kind == "item" and other.lead == lead]
    if not unit.text.endswith(":"):
        return []
    return [other for other in siblings[at + 1 :] if other.kind == "item" and other.lead == lead]


def _gap(question: SubQuestion, ranked: list[Candidate], index: Retriever) -> MissingPart:
    unknown = tuple(
        term.surface for term in question.terms if not is_light(term) and not index.means(term.stem)
    )
    if not ranked:
        return MissingPart(
            question, GapReason.NO_EVIDENCE, "no passage shares a word with the question", unknown
        )
    terms = unknown or ranked[0].strange
    if terms:
        listed = ", ".join(terms)
        message = f"no passage that fits says anything of: {listed}"
        return MissingPart(question, GapReason.NO_EVIDENCE, message, terms)
    message = "passages touch the question, but no sentence answers it well enough to be quoted"
    return MissingPart(question, GapReason.LOW_SCORE, message)
