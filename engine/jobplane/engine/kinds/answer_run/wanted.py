"""What sort of thing a question wants, and whether a sentence holds a thing of that sort."""

import re
from collections.abc import Callable, Collection
from enum import StrEnum
from itertools import pairwise

from jobplane.engine.kinds.answer_run.dating import mentions_time, years
from jobplane.engine.kinds.answer_run.language import Word, content_words, stem, words
from jobplane.engine.kinds.answer_run.vocabulary import MONTHS


class Wanted(StrEnum):
    """Sort of thing that answers a question."""

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


_BE = r"(?:is|was|are|were|will\ be)"
_MONEY_WORDS = (
    r"(?:costs?|pay|paid|earns?|owes?|worth|value|spend|spent|contributed?|donated?|price|fee"
    r"|grant|deposit|salary|wage|budget|money|loan|subsidy|tax|rent"
    r"|premium|fine(?=\ for|\ of|\ if|\?))\b"
)
_FIGURE_WORDS = (
    r"(?:share|percentage|number|amount|rate|level|average|total|discount|capacity|mean|limit"
    r"|output|population|length|height|width|size|range|sum)\b"
)
_DEGREES = (
    r"(?:many|much|high|large|big|far|tall|deep|wide|heavy|fast|punctual|expensive|low|hot|cold"
    r"|loud|strong)\b"
)
# In this order where two match at the same place.
_PATTERNS: dict[Wanted, str] = {
    Wanted.TIME: r"""
        ^(?:(?:since|until|till|by|from|and|so|but)\ )?when\b
        | ,\ when\ (?:did|do|does|was|were|is|are|will)\b
        | (?:until|since|by)\ when\b
        | (?:(?:by|since|until|in|from|on)\ )?
          (?:what|which)\ (?:year|date|day|month|time|season)s?\b
        | how\ soon\b
    """,
    Wanted.AGE: r"how\ old\b | what\ age\b | what\ is\ the\ (?:minimum\ )?age\b",
    Wanted.FREQUENCY: r"how\ (?:often|frequently)\b | how\ many\ times\b",
    Wanted.SPAN: r"how\ long\b | for\ how\ (?:many|long)\b",
    Wanted.MONEY: rf"""
        how\ (?:much|high|large|big|expensive)\b.{{0,80}}?\b{_MONEY_WORDS}
        | what\ {_BE}\ (?:the\ |a\ )?(?:\w+\ ){{0,3}}?{_MONEY_WORDS}
        | what\ (?:do|does|did|will|would)\ .{{1,60}}\bcosts?\b
        | how\ expensive\b
        | what\ premium\b
    """,
    Wanted.NUMBER: rf"""
        how\ {_DEGREES}
        | what\ {_BE}\ (?:the\ )?(?:\w+\ ){{0,3}}?{_FIGURE_WORDS}
        | what\ (?:share|percentage|proportion|discount)\b
    """,
    Wanted.NAME: r"""
        who\b | whom\b | whose\b | what\ (?:is|was)\ the\ name\b
        | which\ (?:person|company|firm|organi[sz]ation|shipyard|maker|supplier|bank
          |agency|team)\b
    """,
    Wanted.PLACE: r"""
        where\b
        | what\ is\ the\ (?:\w+\ )?(?:address|location)\b
        | in\ (?:which|what)\ (?:city|town|street|place)\b
    """,
    Wanted.REASON: rf"""
        why\b
        | what\ {_BE}\ the\ (?:causes?|reasons?)\b
        | what\ caused\b
        | for\ what\ reason\b
    """,
    Wanted.LIST: r"""
        (?:what|which)\ (?:are|were)\ | list\b | name\ (?:all|the)\b
        | which\ \w+s\ (?:are|were|do|did|can)\b
    """,
    Wanted.YES_NO: r"^(?:does|do|did|is|are|was|were|can|could|has|have|will|may|must|should)\b",
}
_COMPILED = tuple(
    (wanted, re.compile(rf"(?:^|\b)(?:{pattern})", re.IGNORECASE | re.VERBOSE))
    for wanted, pattern in _PATTERNS.items()
)

_YEAR_DIGITS = 4
_PREPOSITIONS = ("in", "by", "since", "until", "of", "from", "to", "before", "after", "during")
_BEFORE_YEARS = frozenset((*_PREPOSITIONS, "and", "year", "spring", "summer", "autumn", "winter"))
_SPAN = re.compile(
    r"\b(?:second|minute|hour|day|night|morning|afternoon|evening|weekend|week|fortnight|month"
    r"|season|semester|lesson|harvest|summer|winter|year|decade|century|metre|meter|kilomet|km|mile|foot"
    r"|feet|inch|centimet)",
    re.IGNORECASE,
)
_ORDINAL = re.compile(
    r"\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last"
    r"|\d+(?:st|[nr]d|th)) (?:hour|day|week|month|quarter|year)\b",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"\b(?:aged?\b|years? old|year-old|born\b|(?:be|under|over|from|turned|is|are|at least) "
    r"(?:\d{1,2}|eighteen|sixteen|fourteen|twelve|sixty)\b)",
    re.IGNORECASE,
)
_DISTANCE = re.compile(
    r"\b(?:minutes?|hours?|days?|weeks?|months?|years?)'? "
    r"(?:before|after|from|ahead|later|ago|of)\b"
    r"|\bwithin ",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\bonly (?:if|when|after|once|on)\b", re.IGNORECASE)
_FREE = re.compile(r"\bfree\b|\bno charge\b", re.IGNORECASE)
_CURRENCIES = (
    "euros? cents? dollars? pounds? pence penny francs? crowns? kron(?:a|or|er?|e) koruna yen"
    " yuan won rupees? rupiah roubles? rubles? zlotys? forints? lei lev lira pesos? rand reais"
    " real dirhams? riyals? dinars? shekels? baht ringgit hryvnia shillings? marks? guilders?"
    " eur usd gbp chf jpy"
)
_MONEY = re.compile(
    rf"[€$£¥₹%]|\b(?:{'|'.join(_CURRENCIES.split())}|percent|per cent)\b"
    r"|\b(?:costs?|price|fee|rate|pays?|charged?)\b[^.;]{0,30}?\d",
    re.IGNORECASE,
)
_FREQUENCY = re.compile(
    r"\b(?:once|twice|times|every|daily|weekly|monthly|yearly|annually|hourly|per|each)\b"
    r"|\b(?:a|per) (?:day|week|month|year)(?! [a-z]{4})\b",
    re.IGNORECASE,
)
_TIMES = r"(?:morning|afternoon|evening|night|day|week|month|year|end|beginning|first|last|same)\b"
_PLACE = re.compile(
    r"\b(?:in|at|on|near|under|behind|opposite|to|into|onto|beside|between|along|above|below"
    r"|inside|outside|off) "
    rf"(?:(?:the|a|an|our|its|your|each|every) (?!{_TIMES})|(?-i:[A-Z])|\d{{1,3}}\b)"
    r"|\bfrom (?:(?:a|an|the) )?(?-i:[A-Z])|\b(?:lies|lie|located|situated|address|next to)\b",
    re.IGNORECASE,
)
_PAST = re.compile(r"\b(?:did|was|were)\b", re.IGNORECASE)
_SITE = re.compile(
    r"\b(?:lies|lie|located|situated|stands|stand|hang|hangs|address)\b", re.IGNORECASE
)
_DAYS_AND_MONTHS = frozenset(
    (*MONTHS, "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
)
_DEGREE = re.compile(
    r"\bhow (long|high|tall|deep|wide|heavy|old) (?:is|are|was|were)\b", re.IGNORECASE
)
_MEASURES = {
    "long": re.compile(r"\d[^.]{0,25} long\b|\blength\b|\blasts?\b"),
    "high": re.compile(r"\d[^.]{0,25} (?:high|tall)\b|\bheight\b"),
    "tall": re.compile(r"\d[^.]{0,25} (?:high|tall)\b|\bheight\b"),
    "deep": re.compile(r"\d[^.]{0,25} deep\b|\bdepth\b"),
    "wide": re.compile(r"\d[^.]{0,25} wide\b|\bwidth\b"),
    "heavy": re.compile(r"\bweigh"),
    "old": re.compile(r"\d[^.]{0,25} old\b|\bborn\b|\baged\b"),
}
_COUNTED = re.compile(r"\bhow many (?:\w+ )??(\w+s|people|children)\b", re.IGNORECASE)
_REASON = re.compile(
    r"\b(?:because|since|due to|as a result|therefore|so that|in order to|caused|cause was|reason"
    r"|owing to|thanks to|for this reason|after a)\b",
    re.IGNORECASE,
)
# What may give a reason, and does where something new follows: "after the fire" tells not
# why there was a fire.
_GROUNDS = re.compile(
    r"\b(?:because(?: of)?|due to|owing to|thanks to|as a result of|for (?:fear|lack|want) of"
    rf"|since(?! (?:\d|{'|'.join(MONTHS)}|spring|summer|autumn|winter|then))"
    r"|as (?:the|it|its|they|their|there|he|she|his|her|this|that|we|our|no|most|many|all)"
    r"|so that|in order (?:not )?to|therefore|hence|after(?! \d)|following|when an?"
    r"|to (?:avoid|prevent|protect|keep|save|reduce|allow|ensure|stop|spare)"
    r"|caused? by|(?:was|were|is|are) the (?:cause|reason))\b",
    re.IGNORECASE,
)
_SAYS_WHY = re.compile(
    r"\b(?:(?:cause|reason)s? (?:\w+ ){0,6}?(?:is|was|were|are|lies|lay)"
    r"|(?:caused|which caused|led to|leads to|for this reason|that is why|which is why)|, so)\b"
    r"|: ",
    re.IGNORECASE,
)
# How long or how often, which is not how many or how large.
_TIMED = re.compile(
    r"\b(?:once|twice)\b|\b[\w.,-]+ (?:times|(?:second|minute|hour|day|week|month|year)s?)\b"
    r"(?!'? (?:old|rent|salar|wage))",
    re.IGNORECASE,
)
_TIME_UNIT = re.compile(r"\b(?:times?|second|minute|hour|day|week|month|year)s?\b", re.IGNORECASE)
_HOW_FAR = re.compile(r"\bhow far\b", re.IGNORECASE)
_BUILT = re.compile(
    r"\b(?:built|made|dates?|dating|from|founded|opened|since|erected|put up|born|planted)\b"
    r"[^.;]{0,40}\b(?:1[0-9]|20)\d\d\b",
    re.IGNORECASE,
)
_TO_A_PLACE = re.compile(
    r"\b(?:in|at|near|(?:town|city|village|island) of"
    r"|(?:mov|go|went|travel|com|came|drove|r[au]n|return)[a-z]* (?:to|from)) $",
    re.IGNORECASE,
)


def wanted_by(question: str) -> Wanted:
    """Sort that the question asks for; the earliest sign of one decides."""
    found = [
        (match.start(), order, wanted)
        for order, (wanted, pattern) in enumerate(_COMPILED)
        if (match := pattern.search(question))
    ]
    return min(found)[2] if found else Wanted.OPEN


def holds(wanted: Wanted, text: str, asked: Collection[str]) -> bool:
    """Whether the text says something of the sort beyond what was asked with (stems)."""
    check = _CHECKS.get(wanted)
    return check is None or check(text, asked)


def counts(question: str, text: str, asked: Collection[str]) -> bool:
    """Whether the text has a number of the sort asked for: no span of time, no "twice"."""
    if _TIME_UNIT.search(question) or _HOW_FAR.search(question):
        return True
    return _holds_number(_TIMED.sub(" ", text), asked)


def says_plainly(wanted: Wanted, text: str, question: str) -> bool:
    """Whether the text says it in the very form of an answer: "12 boats", "lies on Pier 6"."""
    if wanted is Wanted.REASON:
        return _REASON.search(text) is not None
    if wanted is Wanted.TIME and _PAST.search(question):
        return bool(years(text))
    if wanted is Wanted.PLACE:
        return _SITE.search(text) is not None
    degree = _DEGREE.search(question)
    if degree is not None and _MEASURES[degree.group(1).casefold()].search(text):
        return True
    counted = _COUNTED.search(question)
    if wanted is not Wanted.NUMBER or counted is None:
        return False
    noun = stem(counted.group(1))
    listed = words(text)
    return any(
        word.is_number and any(near.stem == noun for near in listed[at + 1 : at + 4])
        for at, word in enumerate(listed)
    )


def _holds_time(text: str, asked: Collection[str]) -> bool:
    if mentions_time(text) or _ORDINAL.search(text):
        return True
    conditional = _CONDITION.search(text) is not None
    return conditional or bool(_DISTANCE.search(text) and _new_numbers(text, asked))


def _holds_number(text: str, asked: Collection[str]) -> bool:
    return bool(_new_numbers(text, asked)) or " as far as " in text


def _holds_money(text: str, asked: Collection[str]) -> bool:
    return bool(_FREE.search(text) or (_MONEY.search(text) and _new_numbers(text, asked)))


def _holds_span(text: str, asked: Collection[str]) -> bool:
    return bool(_SPAN.search(text) and _new_numbers(text, asked)) or " until " in text


def _holds_name(text: str, asked: Collection[str]) -> bool:
    found = [word for word in content_words(text) if word.is_name and not word.is_number]
    new = [
        word
        for word in found
        if word.stem not in asked
        and word.surface.casefold() not in _DAYS_AND_MONTHS
        and not _stands_for_a_place(word, text)
    ]
    return any(word.start > 0 for word in new) or (len(found) > 1 and bool(new))


def _stands_for_a_place(name: Word, text: str) -> bool:
    return _TO_A_PLACE.search(text[: name.start]) is not None


def _holds_reason(text: str, asked: Collection[str]) -> bool:
    if _SAYS_WHY.search(text):
        return True
    for match in _GROUNDS.finditer(text):
        following = content_words(text[match.end() :])
        if following and following[0].stem not in asked:
            return True
    return False


def _new_numbers(text: str, asked: Collection[str]) -> set[str]:
    """Numbers that the question did not bring along, and that are no part of a date."""
    found: set[str] = set()
    previous = Word("", 0, "-")
    for word, following in pairwise([*words(text), Word("", 0, "-")]):
        before = previous.surface.casefold()
        dated = before in _BEFORE_YEARS or before in MONTHS
        year = dated and word.surface.isdigit() and len(word.surface) == _YEAR_DIGITS
        day = following.surface.casefold() in MONTHS
        # "Pier 6" is a name and counts nothing.
        beside = word.start == previous.start + len(previous.surface) + 1
        named = beside and previous.is_name and previous.start > 0 and word.surface.isdigit()
        if word.is_number and not (year or day or named):
            found.add(word.stem)
        previous = word
    return found.difference(asked)


_CHECKS: dict[Wanted, Callable[[str, Collection[str]], bool]] = {
    Wanted.TIME: _holds_time,
    Wanted.NUMBER: _holds_number,
    Wanted.MONEY: _holds_money,
    Wanted.SPAN: _holds_span,
    Wanted.AGE: lambda text, _: _AGE.search(text) is not None or _BUILT.search(text) is not None,
    Wanted.REASON: _holds_reason,
    Wanted.FREQUENCY: lambda text, _: _FREQUENCY.search(text) is not None,
    Wanted.NAME: _holds_name,
    Wanted.PLACE: lambda text, _: _PLACE.search(text) is not None,
}
