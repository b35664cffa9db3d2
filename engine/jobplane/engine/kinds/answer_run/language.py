"""English as the answerer sees it: words, stems, meanings, sentences."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import snowballstemmer  # type: ignore[import-untyped]  # it ships no types

from jobplane.engine.kinds.answer_run.vocabulary import (
    ABBREVIATIONS,
    FUNCTION_WORDS,
    IRREGULAR,
    MEANINGS,
    NUMBER_WORDS,
)

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[^\W_]+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_SENTENCE_END = re.compile(r"[.!?]+[\"'\u201d\u2019)\]*_]*(?=\s|$)")
_NEXT = re.compile(r"\s*(\S)")
_WORD_CHARS = 40
# "must not be used" forbids, and says so in words that carry no meaning of their own.
_FORBIDDING = re.compile(
    r"\b(?:(?:must|may|can|should) (?:not|never)|cannot|not (?:allowed|permitted|admitted)"
    r"|no \w+ (?:is|are) allowed)\b",
    re.IGNORECASE,
)
_FORBID = "forbid"
_LAST_WORD = re.compile(r"[^\s(\[\"'\u201c\u2018*_]+$")


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: how it looks, where it stands, what it is compared by."""

    surface: str
    start: int
    stem: str

    @property
    def is_number(self) -> bool:
        """Whether it says a number, in digits or as a word."""
        return self.stem[0].isdigit()

    @property
    def is_name(self) -> bool:
        """Whether it is written as a name is."""
        return self.surface[:1].isupper()


def words(text: str) -> list[Word]:
    """Words of the text, in order."""
    return [
        Word(match.group(), match.start(), stem(match.group())) for match in _WORD.finditer(text)
    ]


def content_words(text: str) -> list[Word]:
    """Words that carry meaning of their own."""
    return [word for word in words(text) if word.surface.casefold() not in FUNCTION_WORDS]


@cache
def stem(surface: str) -> str:
    """What a word is compared by: numbers as plain digits, other words without endings."""
    if surface[0].isdigit():
        return plain_number(surface)
    word = surface.casefold().replace("\u2019", "'").removesuffix("'s").removesuffix("'")
    word = IRREGULAR.get(word, word)
    number = NUMBER_WORDS.get(word)
    return number or str(_stemmer().stemWord(word)) or word


@cache
def meanings(stemmed: str) -> frozenset[str]:
    """Names of the groups of words that mean much the same."""
    return _meanings().get(stemmed, frozenset())


def stems(text: str) -> frozenset[str]:
    """Stems of all words of the text, and of what it says in other words."""
    found = {word.stem for word in words(text)}
    if _FORBIDDING.search(text):
        found.add(stem(_FORBID))
    return frozenset(found)


def plain_number(text: str) -> str:
    """A number without marks of thousands."""
    return text.replace(",", "") if _THOUSANDS.fullmatch(text) else text


def numbers(text: str) -> set[str]:
    """All numbers in the text, written in digits or as words."""
    return {word.stem for word in words(text) if word.is_number}


def digits(text: str) -> set[str]:
    """All numbers written in digits."""
    return {plain_number(found) for found in re.findall(r"\d+(?:[.,:]\d+)*", text)}


def index_tokens(text: str) -> list[str]:
    """What an index holds of a text: stems, and the meanings behind them."""
    tokens: list[str] = []
    for word in content_words(text):
        tokens.append(word.stem)
        tokens.extend(sorted(meanings(word.stem)))
    return tokens


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, without the white space around it."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if _ends_sentence(text, start, match):
            yield from _trimmed(text, start, match.end())
            start = match.end()
    yield from _trimmed(text, start, len(text))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    following = _NEXT.match(text, match.end())
    if following and following.group(1).islower():
        return False
    if match.group()[0] != ".":
        return True
    before = text[max(start, match.start() - _WORD_CHARS) : match.start()]
    found = _LAST_WORD.search(before)
    last = found.group().casefold() if found else ""
    # "Dr. Finch", "e.g. Oslo", "J. Smith", and "1. Item" at the start.
    initial = len(last) == 1 and last.isalpha()
    numeral = last.isdigit() and before.strip() == last
    return not (last in ABBREVIATIONS or initial or numeral)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    if right > left:
        yield start + left, start + right


@cache
def _stemmer() -> Any:
    library: Any = snowballstemmer
    return library.stemmer("english")


@cache
def _meanings() -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for group in MEANINGS:
        members: Sequence[str] = group.split()
        for member in members:
            groups.setdefault(stem(member), set()).add("~" + members[0])
    return {word: frozenset(names) for word, names in groups.items()}
