"""How well a sentence answers a question: which words it covers, and what sort of thing it says."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from jobplane.engine.kinds.answer_run.chunking import Chunk, Unit
from jobplane.engine.kinds.answer_run.language import Word, content_words, meanings, stem, stems
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.retrieval import Found, Retriever
from jobplane.engine.kinds.answer_run.vocabulary import LIGHT_WORDS
from jobplane.engine.kinds.answer_run.wanted import Wanted, counts, holds, says_plainly

# A single sentence must cover this much of what the question's words tell.
THRESHOLD = 0.6
# Share of the question's words that may be strange to the whole passage.
_MOST_STRANGE = 0.2
# A name that so many passages bear is the topic of all of them and tells nothing.
_TOPIC_SHARE = 0.25
_NAMELESS, _NAMELESS_TERMS = 0.8, 2
# Letters that kin words share at least, and that may differ at the end.
_KIN_LETTERS, _KIN_ENDING = 5, 2
_LIGHT = 0.35
_VERB = 0.6
_OWN, _OWN_MEANING = 1.0, 0.8
_HEAD, _HEAD_MEANING = 0.8, 0.6
_BEFORE, _BEFORE_POINTED = 0.55, 0.75
_KIN = 0.7
_PASSAGE = 0.3
_SORT_BONUS = 0.15
_PLAIN_BONUS = 0.2
_NEAR_BONUS = 0.05
_DIRECT_BONUS = 0.1
_POINTING_MALUS = 0.05

_BY = re.compile(r"\b(?:by|belongs? to) (?!the (?:end|beginning|middle)\b)", re.IGNORECASE)
_THE = re.compile(r"the (\w+)", re.IGNORECASE)
_OF_DEEDS = frozenset({Wanted.NAME, Wanted.TIME})
_POINTS_BACK = re.compile(
    r"^(?:of th(?:is|ese|em)|it|its|they|their|these|this|those|that|he|his|she|her|both|most"
    r"|some|all|each|the (?:money|rest|same|latter|former))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may answer."""

    found: Found
    unit: Unit
    coverage: float
    score: float
    # Stems of the question that the sentence itself holds.
    own: frozenset[str]
    # Words of the question that are nowhere in the passage.
    strange: tuple[str, ...]
    accepted: bool

    @property
    def chunk(self) -> Chunk:
        """Passage that holds it."""
        return self.found.chunk


def candidates(question: SubQuestion, found: list[Found], index: Retriever) -> list[Candidate]:
    """Every sentence of the passages, best first."""
    best = max((entry.scores.bm25 for entry in found), default=0.0) or 1.0
    scored: list[Candidate] = []
    for entry in found:
        around = _Around.of(entry.chunk)
        closeness = entry.scores.bm25 / best
        scored.extend(
            _candidate(question, entry, around.view(unit), index, closeness)
            for unit in entry.chunk.units
        )
    return sorted(scored, key=lambda item: (-item.score, item.found.index, item.unit.start))


def _candidate(
    question: SubQuestion, found: Found, view: "_View", index: Retriever, closeness: float
) -> Candidate:
    unit = view.unit
    weights = _weights(question, index)
    worth = {term.stem: view.credit(term.stem) for term in weights}
    total = sum(weights.values())
    coverage = sum(weight * worth[term.stem] for term, weight in weights.items()) / (total or 1.0)
    own = frozenset(stemmed for stemmed, credit in worth.items() if credit >= _OWN_MEANING)
    # Who did it, and when: there the verb is what it is all about.
    spared = question.classes
    if question.wanted is not Wanted.TIME and not question.deed:
        spared = spared | question.verbs
    strange = {
        term.surface: weight
        for term, weight in weights.items()
        if worth[term.stem] == 0
        and not is_light(term)
        and term.stem not in spared
        and index.share(term.stem) < _TOPIC_SHARE
    }
    sort = says_wanted(question, unit)
    # "Who pays the rent?" is answered by "tenants pay the rent" too: all the rest is there.
    asks_who = question.wanted is Wanted.NAME and not question.classes
    nameless = asks_who and len(weights) >= _NAMELESS_TERMS and _names_a_doer(question, unit)
    fits = sort or (nameless and coverage >= _NAMELESS)
    asked = frozenset(term.stem for term in question.terms)
    accepted = (
        coverage >= THRESHOLD
        and fits
        # Headings alone make no sentence an answer.
        and any(view.says(term.stem) for term in weights)
        and (question.wanted not in _OF_DEEDS or _tells_most(worth))
        and sum(strange.values()) <= _MOST_STRANGE * total
        and all(view.holds(stemmed) for stemmed in _required(question, index))
        and (not question.deed or _is_the_deed(question, view))
        and not any(_is_another(pair, view, asked) for pair in question.pairs)
        # Not only what an earlier question handed down.
        and any(worth[term.stem] >= _BEFORE for term in question.terms if term in weights)
    )
    direct = sum(credit >= _OWN for credit in worth.values()) / (len(worth) or 1)
    score = coverage + _NEAR_BONUS * closeness + _DIRECT_BONUS * direct
    score += _SORT_BONUS if sort else 0.0
    score -= _POINTING_MALUS if _POINTS_BACK.search(unit.text) else 0.0
    if says_plainly(question.wanted, unit.text, question.text):
        held = sum(weight for term, weight in weights.items() if term.stem in own)
        score += _PLAIN_BONUS * held / (total or 1.0)
    return Candidate(found, unit, coverage, score, own, tuple(strange), accepted)


def _names_a_doer(question: SubQuestion, unit: Unit) -> bool:
    """Whether somebody new does it: "tenants pay the rent", "decided by the board"."""
    asked = {term.stem for term in question.terms}
    found = content_words(unit.text)
    behind = _BY.search(unit.text)
    doer = content_words(unit.text[behind.end() :])[:1] if behind else found[:1]
    return any(word.stem not in asked and not word.is_number for word in doer)


def _is_the_deed(question: SubQuestion, view: "_View") -> bool:
    """Whether the sentence says the deed, and what it was done to is near."""
    return view.says(question.deed) and all(
        view.credit(which) > _PASSAGE for which, _ in question.pairs
    )


def _is_another(pair: tuple[str, str], view: "_View", asked: frozenset[str]) -> bool:
    """Whether the sentence speaks of another one: of the managing, not the supervisory board."""
    which, what = pair
    if view.says(which):
        return False
    # "Ticket: Adult" in a table of tickets is no season ticket, whatever stands above it.
    if view.unit.kind == "row" and what in stems(view.unit.lead):
        return True
    text = view.unit.text
    return any(
        other.stem == what
        and not (one.is_number or one.stem in asked or is_light(one))
        and text[_end(one) : other.start] in {" ", "-"}
        for one, other in pairwise(content_words(text))
    )


def _end(word: Word) -> int:
    return word.start + len(word.surface)


def _tells_most(worth: dict[str, float]) -> bool:
    """Whether more than half of the question's words, the plain ones too, are met."""
    return 2 * sum(credit > 0 for credit in worth.values()) > len(worth)


def _weights(question: SubQuestion, index: Retriever) -> dict[Word, float]:
    """What each word of the question tells; grammar that no passage uses tells nothing."""
    weights: dict[Word, float] = {}
    for term in (*question.terms, *question.inherited):
        light = is_light(term) or term.stem in question.classes
        if light and not index.means(term.stem):
            continue
        factor = _LIGHT if light else _VERB if term.stem in question.verbs else 1.0
        weights[term] = factor * index.idf(term.stem)
    return weights


def _required(question: SubQuestion, index: Retriever) -> tuple[str, ...]:
    """Required words, without names that the whole collection is about."""
    return tuple(
        stemmed
        for stemmed in question.required
        if stemmed[0].isdigit() or index.share(stemmed) < _TOPIC_SHARE
    )


@dataclass(frozen=True, slots=True)
class _View:
    """Stems around a sentence, nearest first, each set with what a match in it is worth."""

    unit: Unit
    own: frozenset[str]
    head: frozenset[str]
    before: frozenset[str]
    passage: frozenset[str]
    before_credit: float

    def credit(self, stemmed: str) -> float:
        groups = meanings(stemmed)
        return max(
            _OWN if stemmed in self.own else 0.0,
            _OWN_MEANING if _shares(groups, self.own) else 0.0,
            _KIN if any(_akin(stemmed, other) for other in self.own) else 0.0,
            _HEAD if stemmed in self.head else 0.0,
            _HEAD_MEANING if _shares(groups, self.head) else 0.0,
            self.before_credit if stemmed in self.before or _shares(groups, self.before) else 0.0,
            _PASSAGE if stemmed in self.passage else 0.0,
        )

    def says(self, stemmed: str) -> bool:
        """Whether the sentence itself holds the word, or one of its meaning or kin."""
        kin = any(_akin(stemmed, other) for other in self.own)
        return stemmed in self.own or kin or _shares(meanings(stemmed), self.own)

    def holds(self, stemmed: str) -> bool:
        return stemmed in self.own | self.head | self.passage


@dataclass(frozen=True, slots=True)
class _Around:
    """What all sentences of a passage share."""

    head: frozenset[str]
    passage: frozenset[str]

    @staticmethod
    def of(chunk: Chunk) -> "_Around":
        head = stems(" ".join((chunk.doc.title, *chunk.headings)))
        return _Around(head, stems(chunk.text))

    def view(self, unit: Unit) -> _View:
        before = stems(unit.previous)
        points = _POINTS_BACK.search(unit.text) is not None or _resumes(unit.text, before)
        return _View(
            unit=unit,
            own=stems(unit.text),
            head=self.head | stems(unit.lead),
            before=before,
            passage=self.passage,
            before_credit=_BEFORE_POINTED if points else _BEFORE,
        )


def _resumes(text: str, before: frozenset[str]) -> bool:
    """Whether the text goes on about "the" thing that was named just before."""
    match = _THE.match(text)
    return match is not None and stem(match.group(1)) in before


def _akin(one: str, other: str) -> bool:
    """Whether two stems look like forms of one word, as "extens" and "extend" do."""
    shortest = min(len(one), len(other))
    if shortest < _KIN_LETTERS or abs(len(one) - len(other)) > _KIN_ENDING:
        return False
    common = next((at for at in range(shortest) if one[at] != other[at]), shortest)
    return common >= max(_KIN_LETTERS, max(len(one), len(other)) - _KIN_ENDING)


def _shares(groups: frozenset[str], stems: Iterable[str]) -> bool:
    return bool(groups) and any(groups & meanings(stemmed) for stemmed in stems)


@lru_cache(maxsize=1)
def _lightstems() -> frozenset[str]:
    return frozenset(stem(word) for word in LIGHT_WORDS)


def is_light(term: Word) -> bool:
    """Whether the word tells more of grammar than of matter."""
    return term.stem in _lightstems()


def points_back(unit: Unit) -> bool:
    """Whether the sentence can't be read without the one before."""
    return bool(unit.previous) and _POINTS_BACK.search(unit.text) is not None


def says_wanted(question: SubQuestion, unit: Unit) -> bool:
    """Whether the sentence holds the sort of thing that is asked for."""
    if unit.kind == "row" and question.wanted is Wanted.PLACE:
        return True
    asked = {term.stem for term in question.terms}
    if question.wanted is Wanted.NUMBER and not counts(question.text, unit.text, asked):
        return False
    return holds(question.wanted, unit.text, asked)
