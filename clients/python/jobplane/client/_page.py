"""Lists, page by page: what to ask for next, and when all was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

PAGE_SIZE = 200
EVENT_PAGE_SIZE = 500

Item = TypeVar("Item")
Told_co = TypeVar("Told_co", covariant=True)


class Pages(Protocol[Told_co]):
    """Something that is read in pages."""

    @property
    def complete(self) -> bool:
        """Whether all was told."""
        ...

    def request(self) -> Message:
        """Request for the next page."""
        ...

    def take(self, page: Any, /) -> Iterable[Told_co]:
        """What a page holds for the caller."""
        ...


class Listing(Generic[Item]):
    """Items of one member of the answers, up to a limit."""

    def __init__(
        self,
        first: Any,
        items: Callable[[Any], Sequence[Item]],
        *,
        limit: int | None = None,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._request = first
        self._items = items
        self._left = limit
        self._page_size = page_size
        self._is_at_end = False

    @property
    def complete(self) -> bool:
        """Whether all was told, or as many as were wanted."""
        return self._is_at_end or self._left == 0

    def request(self) -> Message:
        """Request for the next page, with no more items than are wanted."""
        size = self._page_size if self._left is None else min(self._page_size, self._left)
        self._request.page_size = size
        request: Message = self._request
        return request

    def take(self, page: Any) -> Sequence[Item]:
        """Items of a page that are still wanted."""
        self._request.page_token = page.next_page_token
        self._is_at_end = not page.next_page_token
        items = self._items(page)[: self._left]
        if self._left is not None:
            self._left -= len(items)
        return items
