"""Seats: how many watches may be open at once."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from jobplane.engine.domain.errors import TooManyWatchesError


class Seats:
    """Counts open watches, by principal and in all. For one event loop."""

    def __init__(self, *, per_principal: int, total: int) -> None:
        self._per_principal = per_principal
        self._total = total
        self._taken: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def taken(self) -> int:
        """Watches open now."""
        return self._taken.total()

    @contextmanager
    def take(self, principal: str) -> Generator[None]:
        """Hold a seat; raises TooManyWatchesError when there is none."""
        if self._taken[principal] >= self._per_principal:
            raise TooManyWatchesError(limit=self._per_principal)
        if self.taken >= self._total:
            raise TooManyWatchesError(limit=self._total)
        self._taken[principal] += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._taken[principal] -= 1
            if not self._taken[principal]:
                del self._taken[principal]
            if not self._taken:
                self._empty.set()

    async def wait_empty(self) -> None:
        """Return when no watch is open."""
        await self._empty.wait()
