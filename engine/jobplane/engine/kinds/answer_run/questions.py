"""Questions: taken apart, and what an answer to each must hold."""

import re
from dataclasses import dataclass
from itertools import pairwise

from jobplane.engine.kinds.answer_run.dating import years
from jobplane.engine.kinds.answer_run.language import Word, content_words, stem, words
from jobplane.engine.kinds.answer_run.vocabulary import EMPTY_VERBS, FUNCTION_WORDS, LIGHT_WORDS
from jobplane.engine.kinds.answer_run.wanted import Wanted, wanted_by

_SPLIT = re.compile(r"(?<=[?!])\s+|\n+\s*|\s*;\s*")
_ASKING = (
    r"(?:who|whom|whose|what|when|where|why|which|how|does|do|did|is|are|was|were|can|has|have)"
)
_TAKE_PLACE = re.compile(r"\b(?:take|takes|took|taken|taking) place\b", re.IGNORECASE)
_DEGREE = re.compile(r"\b(?:how|what|which) (\w+)", re.IGNORECASE)
_CLASS = re.compile(
    r"\bwhich (?!is\b|are\b|was\b|were\b|will\b|do\b|does\b|did\b)(\w+)", re.IGNORECASE
)
_NUMERAL = re.compile(r"^(?:[-*+]|\(?\d{1,2}[.)])\s+")
_JOINED = re.compile(rf",?\s+and\s+(?={_ASKING}\b)", re.IGNORECASE)
_POINTING = re.compile(
    r"\b(?:it|its|they|their|them|he|his|she|her|this|these|that|one)\b", re.IGNORECASE
)
_QUOTED = re.compile(r"[\"“]([^\"”]{2,80})[\"”]")
_PRONOUNS = ("you", "i", "we", "they", "he", "she", "it")
_BEFORE_VERBS = frozenset((*_PRONOUNS, "must", "can", "may", "should", "will", "would", "not"))
_SUPPORT = re.compile(
    r"\b(?:do|does|did|can|could|may|might|must|should|will|would)\b", re.IGNORECASE
)
_PREPOSITIONS = frozenset(
    ("about", "at", "between", "by", "during", "for", "from", "in", "of", "on", "per", "to", "with")
)
_WHO_DID = re.compile(
    r"\bwho (?:(has|have|had|is|are|was|were|will|would|can|may|must|should|did) )?"
    r"(?:(?:also|first|now|currently|originally|usually|once|never|not|been) )*([a-z]+)\b",
    re.IGNORECASE,
)
_EMPTY_VERBS = frozenset(stem(verb) for verb in EMPTY_VERBS)
_BEING = frozenset(("is", "are", "was", "were"))
MAX_SUB_QUESTIONS = 12
# A part with fewer words asks nothing of its own.
_LEAST_WORDS = 3


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
    # Stems of what an answer is one of: "which company".
    classes: frozenset[str] = frozenset()
    # Stems that stand as verbs do: a text may well say them otherwise.
    verbs: frozenset[str] = frozenset()
    # Stem of what somebody did, where the question is who did it.
    deed: str = ""
    # Stems of neighbours, as in "managing board": the first tells which of the second is meant.
    pairs: tuple[tuple[str, str], ...] = ()


def sub_questions(question: str) -> list[SubQuestion]:
    """The things asked, each once and in order; at least one, maybe more than are answered."""
    parts = [part for piece in _SPLIT.split(question.strip()) for part in _parts(piece)]
    found: list[SubQuestion] = []
    asked: set[str] = set()
    for part in parts:
        if part in asked:
            continue
        if not _POINTING.search(part):
            # "When did it open?" may be asked again, of something else.
            asked.add(part)
        if content_words(part) or not found:
            found.append(_sub_question(len(found) + 1, part, found[-1] if found else None))
    return found or [_sub_question(1, question.strip(), None)]


def _parts(piece: str) -> list[str]:
    """Questions joined by "and"; kept whole where a part would say too little."""
    text = _NUMERAL.sub("", piece.strip())
    if not text:
        return []
    cut = [part.strip() for part in _JOINED.split(text)]
    if any(len(words(part)) < _LEAST_WORDS for part in cut):
        return [text]
    return cut


def _sub_question(index: int, text: str, before: SubQuestion | None) -> SubQuestion:
    plain = _TAKE_PLACE.sub("happen", text)
    terms = _distinct([word for word in content_words(plain) if word.start not in _degrees(plain)])
    inherited: tuple[Word, ...] = ()
    if before is not None and _POINTING.search(text):
        own = {term.stem for term in terms}
        carried = (*before.inherited, *before.terms)
        names = [term for term in carried if term.is_name or term.is_number]
        # "The one in Corrie" has a name of its own and takes the rest; "it" takes the name.
        rest = [term for term in carried if term not in names]
        wanted = rest if _required(text) else names or carried
        inherited = tuple(term for term in wanted if term.stem not in own)
    return SubQuestion(
        index=index,
        text=text,
        wanted=wanted_by(text),
        terms=terms,
        required=_required(text),
        inherited=inherited,
        classes=_classes(text),
        verbs=_verbs(text) | _supported_verb(text),
        deed=_deed(text),
        pairs=_pairs(text),
    )


def _degrees(text: str) -> set[int]:
    """Places of words as in "how many" or "how old": they say what is wanted, not of what."""
    return {
        match.start(1)
        for match in _DEGREE.finditer(text)
        if match.group(1).casefold() in LIGHT_WORDS
    }


def _classes(text: str) -> frozenset[str]:
    """Stems of nouns as in "which company": an answer is one of them and need not say so."""
    return frozenset(stem(match.group(1)) for match in _CLASS.finditer(text))


def _verbs(text: str) -> frozenset[str]:
    """Stems of words that stand where verbs stand, or end as verbs do."""
    found: set[str] = set()
    before = ""
    for word in words(text):
        plain = word.surface.casefold()
        lower = not word.is_name and not word.is_number
        infinitive = before == "to" and not plain.endswith("s") and plain not in FUNCTION_WORDS
        if lower and (infinitive or before in _BEFORE_VERBS or plain.endswith(("ed", "ing"))):
            found.add(word.stem)
        before = plain
    return frozenset(found)


def _supported_verb(text: str) -> frozenset[str]:
    """Stem of the verb that "does", "did", "can" and their like stand in front of."""
    match = _SUPPORT.search(text)
    if match is None:
        return frozenset()
    run: list[Word] = []
    for word in words(text[match.end() :]):
        if word.surface.casefold() not in FUNCTION_WORDS:
            run.append(word)
        elif len(run) > 1 or word.surface.casefold() in _PREPOSITIONS:
            # A subject may go on behind a preposition: "the course on the night sky".
            if len(run) > 1:
                break
            run = []
    last = run[-1] if run else None
    if last is None or last.is_name or last.is_number:
        return frozenset()
    return frozenset({last.stem})


def _deed(text: str) -> str:
    """Stem of the verb of "who built ...", "who has led ...", "who was elected ..."."""
    match = _WHO_DID.search(text)
    if match is None:
        return ""
    helper, verb = match.group(1), match.group(2)
    participle = helper is None or helper.casefold() not in _BEING or verb.endswith("ed")
    plain = verb.casefold()
    stemmed = stem(plain)
    tells = plain not in FUNCTION_WORDS and stemmed not in _EMPTY_VERBS
    return stemmed if participle and tells else ""


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Neighbours of which the first tells more about the second."""
    aside = _verbs(text) | _supported_verb(text) | _classes(text) | {_deed(text)}
    return tuple(
        (one.stem, other.stem)
        for one, other in pairwise(content_words(text))
        if text[one.start + len(one.surface) : other.start] == " "
        and one.stem not in aside
        and other.stem not in aside
        and not one.is_number
        and one.surface.casefold() not in LIGHT_WORDS
    )


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
