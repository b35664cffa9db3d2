"""Questions: taken apart, and what an answer to each must hold."""

import re
from dataclasses import dataclass
from enum import StrEnum

from jobplane.engine.kinds.answer_run.dating import years
from jobplane.engine.kinds.answer_run.language import Word, content_words, words
from jobplane.engine.kinds.answer_run.vocabulary import FUNCTION_WORDS

_SPLIT = re.compile(r"(?<=[?!])\s+|\n+\s*|\s*;\s*")
_ASKING = r"(?:who|whom|whose|what|when|where|why|which|how|does|do|did|is|are|was|were|can|has|have)"
_NUMERAL = re.compile(r"^(?:[-*+]|\(?\d{1,2}[.)])\s+")
_JOINED = re.compile(rf",?\s+and\s+(?={_ASKING}\b)", re.IGNORECASE)
_POINTING = re.compile(r"\b(?:it|its|they|their|them|he|his|she|her|this|these|that|one)\b", re.I)
_QUOTED = re.compile(r"[\"“]([^\"”]{2,80})[\"”]")
_BEFORE_VERBS = frozenset("you i we they he she it must can may should will would not".split())
_MAX_SUB_QUESTIONS = 12


class Wanted(StrEnum):
    """What sort of thing answers the question."""

    TIME = "TIME"
    NUMBER = "NUMBER"
    MONEY = "MONEY"
    SPAN = "SPAN"
    AGE = "AGE"
    FREQUENCY = "FREQUENCY"
    NAME = "NAME"
    PLACE = "PLACE"
    REASON = "REASON"
    LIST = "LIST"
    YES_NO = "YES_NO"
    OPEN = "OPEN"


_WANTED: tuple[tuple[Wanted, re.Pattern[str]], ...] = tuple(
    (wanted, re.compile(rf"(?:^|\b)(?:{pattern})", re.IGNORECASE))
    for wanted, pattern in (
        (
            Wanted.TIME,
            r"^(?:(?:since|until|till|by|from|and|so|but) )?when\b|, when (?:did|do|does|was|were|is|are|will)\b"
            r"|until when\b|since when\b|(?:by|since|until|in|from|on)? ?(?:what|which) (?:year|date|day|month|time|season)s?\b|how soon\b",
        ),
        (Wanted.AGE, r"how old\b|what age\b|what is the (?:minimum )?age\b"),
        (Wanted.FREQUENCY, r"how (?:often|frequently)\b|how many times\b"),
        (Wanted.SPAN, r"how long\b|for how (?:many|long)\b"),
        (
            Wanted.MONEY,
            r"how (?:much|high|large|big|expensive)\b.{0,80}?\b(?:costs?|pay|paid|price|fee|grant|deposit|salary|wage|fine|budget|money|loan|subsidy|tax|rent|premium)\b"
            r"|what (?:is|was|are|were|will be) (?:the |a )?(?:\w+ ){0,3}?(?:price|cost|fee|salary|wage|fine(?= for| of| if|\?)|deposit|premium|rent)\b"
            r"|what (?:do|does|did|will|would) .{1,60}\bcosts?\b|how expensive\b|what premium\b",
        ),
        (
            Wanted.NUMBER,
            r"how (?:many|much|high|large|big|far|tall|deep|wide|heavy|fast|punctual|expensive|low|hot|cold|loud|strong)\b"
            r"|what (?:is|was|are|were|will be) (?:the )?(?:\w+ ){0,3}?(?:share|percentage|number|amount|rate|level|average|total|discount|capacity|mean|limit|output|population|length|height|width|size|budget|range|sum)\b"
            r"|what (?:do|does|did|will) .{1,60}\bcosts?\b|what (?:share|percentage|proportion|discount)\b",
        ),
        (Wanted.NAME, r"who\b|whom\b|whose\b|which (?:person|company|firm|organi[sz]ation|shipyard|maker|supplier)\b"),
        (Wanted.PLACE, r"where\b|what is the (?:\w+ )?(?:address|location)\b|in (?:which|what) (?:city|town|street|place)\b"),
        (Wanted.REASON, r"why\b|what (?:is|was|were|are) the (?:causes?|reasons?)\b|what caused\b|for what reason\b"),
        (Wanted.LIST, r"(?:what|which) (?:are|were) |list\b|name (?:all|the)\b|which \w+s (?:are|were|do|did|can)\b"),
        (Wanted.YES_NO, r"^(?:does|do|did|is|are|was|were|can|could|has|have|will|may|must|should)\b"),
    )
)


@dataclass(frozen=True, slots=True)
class SubQuestion:
    """One thing that is asked."""

    index: int
    text: str
    wanted: Wanted
    terms: tuple[Word, ...]
    # Numbers and names that the passage of an answer must hold.
    required: tuple[str, ...]
    # Terms of the question before it, where this one points back.
    inherited: tuple[Word, ...] = ()
    # Stems that stand as verbs do: a text may well say them otherwise.
    verbs: frozenset[str] = frozenset()


def sub_questions(question: str) -> list[SubQuestion]:
    """The things asked, in order; at least one."""
    parts = [part for piece in _SPLIT.split(question.strip()) for part in _parts(piece)]
    found: list[SubQuestion] = []
    for part in parts[:_MAX_SUB_QUESTIONS]:
        if content_words(part) or not found:
            found.append(_sub_question(len(found) + 1, part, found[-1] if found else None))
    return found or [_sub_question(1, question.strip(), None)]


def _parts(piece: str) -> list[str]:
    """Questions joined by "and"; kept whole where a part would say too little."""
    text = _NUMERAL.sub("", piece.strip())
    if not text:
        return []
    cut = [part.strip() for part in _JOINED.split(text)]
    if any(len(words(part)) < 3 for part in cut):
        return [text]
    return cut


def _sub_question(index: int, text: str, before: SubQuestion | None) -> SubQuestion:
    terms = _distinct(content_words(text))
    inherited: tuple[Word, ...] = ()
    if before is not None and _POINTING.search(text):
        own = {term.stem for term in terms}
        carried = (*before.inherited, *before.terms)
        names = [term for term in carried if term.is_name or term.is_number]
        inherited = tuple(term for term in names or carried if term.stem not in own)
    return SubQuestion(index, text, _wanted(text), terms, _required(text), inherited, _verbs(text))


def _verbs(text: str) -> frozenset[str]:
    """Stems of words that stand where verbs stand, or end as verbs do."""
    found: set[str] = set()
    before = ""
    for word in words(text):
        plain = word.surface.casefold()
        lower = not word.is_name and not word.is_number
        infinitive = before == "to" and not plain.endswith("s")
        if lower and (infinitive or before in _BEFORE_VERBS or plain.endswith(("ed", "ing"))):
            found.add(word.stem)
        before = plain
    return frozenset(found)


def _wanted(text: str) -> Wanted:
    best = min(
        (
            (match.start(), order, wanted)
            for order, (wanted, pattern) in enumerate(_WANTED)
            if (match := pattern.search(text))
        ),
        default=None,
    )
    return best[2] if best else Wanted.OPEN


def _distinct(found: list[Word]) -> tuple[Word, ...]:
    seen: dict[str, Word] = {}
    for word in found:
        seen.setdefault(word.stem, word)
    return tuple(seen.values())


def _required(text: str) -> tuple[str, ...]:
    """Stems of numbers, of quoted words, and of names other than at a sentence's start."""
    required: dict[str, None] = dict.fromkeys(years(text))
    for quoted in _QUOTED.findall(text):
        required |= dict.fromkeys(word.stem for word in content_words(quoted))
    for position, word in enumerate(words(text)):
        plain = word.surface.casefold() not in FUNCTION_WORDS
        named = word.is_name and position > 0 and plain
        if named or word.surface[0].isdigit():
            required[word.stem] = None
    return tuple(required)
