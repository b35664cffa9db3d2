"""Dates in texts, and the date and standing that a document claims for itself."""

import re
from datetime import date

from jobplane.engine.kinds.answer_run.vocabulary import MONTHS, ORIGIN_STATUS

_MONTH = "|".join(MONTHS)
_ISO = re.compile(r"\b((?:19|20)\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")
_DAY_FIRST = re.compile(
    rf"\b([0-3]?\d)(?:st|[nr]d|th)? ({_MONTH}),? ((?:19|20)\d\d)\b", re.IGNORECASE
)
_MONTH_FIRST = re.compile(
    rf"\b({_MONTH}) ([0-3]?\d)(?:st|[nr]d|th)?, ((?:19|20)\d\d)\b", re.IGNORECASE
)
_YEAR = re.compile(r"\b(?:19|20|21)\d\d\b")
_ANY = re.compile(
    rf"\b(?:(?:[0-3]?\d(?:st|[nr]d|th)? )?(?:{_MONTH})\b|(?:19|20|21)\d\d\b"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|spring|summer|autumn|winter|noon|midnight|(?:next|same|previous) (?:day|week|month|year)"
    r"|[0-2]?\d:[0-5]\d)",
    re.IGNORECASE,
)
_CLAIM = re.compile(
    r"(?:updated|last updated|date|as of|valid from|in force since|published(?: by [^,\n]+,)?"
    r"|issued|effective)\b",
    re.IGNORECASE,
)
# How far into a document it may say its own date.
_HEAD = 600
_HEAD_LINES, _HEAD_LINE = 12, 100


def mentions_time(text: str) -> bool:
    """Whether the text names a point in time."""
    return bool(_ANY.search(text))


def years(text: str) -> set[str]:
    """All years in the text."""
    return set(_YEAR.findall(text))


def first_date(text: str) -> date | None:
    """Earliest-standing full date in the text."""
    found: list[tuple[int, date]] = []
    for pattern, order in ((_ISO, (1, 2, 3)), (_DAY_FIRST, (3, 2, 1)), (_MONTH_FIRST, (3, 1, 2))):
        match = pattern.search(text)
        made = match and _date(*(match.group(index) for index in order))
        if match and made:
            found.append((match.start(), made))
    return min(found)[1] if found else None


def document_date(fields: dict[str, str], path: str, body: str) -> date | None:
    """Date that a document claims: in its front matter, its head, or its name."""
    for key in ("updated", "date", "valid_from", "published"):
        if key in fields and (claimed := first_date(fields[key])):
            return claimed
    head = body[:_HEAD]
    for line in head.split("\n")[:_HEAD_LINES]:
        stripped = line.strip("#*_ |")
        claims = _CLAIM.match(stripped) or (
            len(stripped) < _HEAD_LINE and not stripped.endswith(".")
        )
        if claims and (claimed := first_date(stripped)):
            return claimed
    return first_date(path)


def standing(fields: dict[str, str]) -> int:
    """Rank by what the document says of its own status."""
    return ORIGIN_STATUS.get(fields.get("status", "").casefold(), 0)


def _date(year: str, month: str, day: str) -> date | None:
    number = int(month) if month.isdigit() else MONTHS.index(month.casefold()) + 1
    try:
        return date(int(year), number, int(day))
    except ValueError:
        return None
