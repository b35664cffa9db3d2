"""Orders: how a list of jobs is sorted, and the key that its next page starts after."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from jobplane.engine.domain.errors import InvalidFilterError
from jobplane.engine.domain.job import Job
from jobplane.engine.query.instant import instant_of

# A job that has not finished sorts as if it had finished before all others: with
# `finish_time desc` it comes last, with `asc` first, on every database alike.
UNFINISHED = -1

_KEYS: Mapping[str, Callable[[Job], int]] = {
    "create_time": lambda job: instant_of(job.created_at),
    "update_time": lambda job: instant_of(job.updated_at),
    "finish_time": lambda job: instant_of(job.finished_at) if job.finished_at else UNFINISHED,
    "priority": lambda job: job.priority,
}
_DIRECTIONS = ("asc", "desc")


@dataclass(frozen=True, slots=True)
class Order:
    """One field and a direction; equal values are sorted by job id, the same way."""

    field: str = "create_time"
    descending: bool = True

    def __str__(self) -> str:
        return f"{self.field} {'desc' if self.descending else 'asc'}"

    def key_of(self, job: Job) -> tuple[int, str, str]:
        """Where the job stands in this order; no two jobs share a key."""
        return (_KEYS[self.field](job), job.job_id, job.project)


def parse_order(text: str) -> Order:
    """The order of `FIELD [asc|desc]`; the empty text is newest first."""
    if "," in text:
        _refuse(text.index(","), "one field only; equal values are sorted by job id")
    words = list(re.finditer(r"\S+", text))
    if not words:
        return Order()
    field, rest = words[0].group(), words[1:]
    if field not in _KEYS:
        close = get_close_matches(field, _KEYS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        _refuse(words[0].start(), f"can't sort by {field!r}; {hint}Fields: {', '.join(_KEYS)}")
    direction = rest[0].group() if rest else "asc"
    if direction not in _DIRECTIONS:
        _refuse(rest[0].start(), f"the direction is asc or desc, not {direction!r}")
    if len(rest) > 1:
        _refuse(rest[1].start(), "nothing comes after the direction")
    return Order(field, descending=direction == "desc")


def _refuse(at: int, description: str) -> NoReturn:
    raise InvalidFilterError(description, at + 1, field="order_by")
