"""The crossing from the store's threads into the event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from jobplane.engine.domain.errors import BackendUnavailableError

T = TypeVar("T")


class Crossing:
    """Carries results and calls into one event loop, a batch at a time, in their order.

    A group commit settles many calls at once; waking the loop for each of them would cost
    more than the commit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._arrived: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._lock = threading.Lock()

    async def outcome(self, future: "Future[T]", *, timeout_s: float) -> T:
        """What the store answers; a store that does not answer is unavailable."""
        waiter: asyncio.Future[T] = self._loop.create_future()
        future.add_done_callback(lambda done: self.call(_settle, waiter, done))
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError:
            raise BackendUnavailableError("the store did not answer in time") from None
        finally:
            # Of no effect once the store has begun with it.
            future.cancel()

    def call(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Have something called in the loop; from any thread."""
        with self._lock:
            self._arrived.append((callback, arguments))
            is_first = len(self._arrived) == 1
        if is_first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for callback, arguments in arrived:
            callback(*arguments)


def _settle(waiter: "asyncio.Future[T]", done: "Future[T]") -> None:
    if waiter.done():
        return
    if done.cancelled():
        waiter.cancel()
    elif error := done.exception():
        waiter.set_exception(error)
    else:
        waiter.set_result(done.result())
