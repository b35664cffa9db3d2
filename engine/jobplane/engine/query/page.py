"""Pages: how much of a list one answer carries, and how to ask for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.domain.job import Job
from jobplane.engine.query.expression import Expression
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.order import Order, parse_order

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
MAX_PAGE_BYTES = 3 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; the token is empty exactly at the end."""

    items: tuple[T, ...]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class JobQuery:
    """One request for a page of jobs, as the caller wrote it."""

    project: str
    filter: str = ""
    order_by: str = ""
    page_size: int = 0
    page_token: str = ""
    max_bytes: int = MAX_PAGE_BYTES

    @property
    def expression(self) -> Expression:
        """What the filter means."""
        return parse_filter(self.filter)

    @property
    def order(self) -> Order:
        """How the page is sorted."""
        return parse_order(self.order_by)

    @property
    def limit(self) -> int:
        """How many jobs the page has at most."""
        return page_limit(self.page_size)

    @property
    def bound(self) -> tuple[str, ...]:
        """What a page token of this query is bound to; the page size may change."""
        return ("jobs", self.project, self.filter, self.order_by)


def page_limit(page_size: int, *, default: int = DEFAULT_PAGE_SIZE) -> int:
    """How many items a page has at most: 0 is the default, too many is the maximum."""
    if page_size < 0:
        raise InvalidSpecError([Violation("page_size", "must not be negative")])
    return min(page_size or default, MAX_PAGE_SIZE)


def cut_page(
    rows: Iterable[T], *, limit: int, max_bytes: int, size_of: Callable[[T], int]
) -> tuple[tuple[T, ...], bool]:
    """The rows that fit, at least one, and whether more follow; ask for limit + 1 rows."""
    items: list[T] = []
    used = 0
    for row in rows:
        used += size_of(row)
        if items and (len(items) == limit or used > max_bytes):
            return tuple(items), True
        items.append(row)
    return tuple(items), False


def size_of(job: Job) -> int:
    """About how many bytes a job takes on the wire, at most."""
    return (
        600
        + len(job.spec.params)
        + len(job.spec.display_name)
        + (len(job.result.details) if job.result else 0)
        + 2 * sum(len(key) + len(value) for key, value in job.labels.items())
    )
