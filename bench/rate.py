"""Rates: how many calls are done in a second, and how long one takes."""

import asyncio
import statistics
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

Handle = TypeVar("Handle")


class Rate:
    """Calls in a second, and how long one took."""

    def __init__(self, spans_s: list[float], wall_s: float) -> None:
        self.per_s = len(spans_s) / wall_s
        self.p50_s = statistics.median(spans_s)


async def rate(call: Callable[[], Awaitable[object]], width: int, seconds: float) -> Rate:
    """Call from `width` places at once for a while."""
    spans: list[float] = []
    began = time.perf_counter()
    ends_at = began + seconds

    async def place() -> None:
        while (called := time.perf_counter()) < ends_at:
            await call()
            spans.append(time.perf_counter() - called)

    await asyncio.gather(*(place() for _ in range(width)))
    return Rate(spans, time.perf_counter() - began)


def threads_rate(call: Callable[[], object], width: int, seconds: float) -> Rate:
    """Call from `width` threads at once for a while: for a client that has no other way."""
    spans: list[float] = []
    began = time.perf_counter()
    ends_at = began + seconds

    def place() -> None:
        while (called := time.perf_counter()) < ends_at:
            call()
            spans.append(time.perf_counter() - called)

    threads = [threading.Thread(target=place) for _ in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Rate(spans, time.perf_counter() - began)


def window_rate(
    submit: Callable[[], Handle], finish: Callable[[Handle], object], width: int, seconds: float
) -> Rate:
    """Keep `width` calls outstanding from one thread, and wait for the oldest of them."""
    spans: list[float] = []
    waiting: deque[tuple[float, Handle]] = deque()
    began = time.perf_counter()
    ends_at = began + seconds
    while waiting or not spans:
        while len(waiting) < width and time.perf_counter() < ends_at:
            waiting.append((time.perf_counter(), submit()))
        called, handle = waiting.popleft()
        finish(handle)
        spans.append(time.perf_counter() - called)
    return Rate(spans, time.perf_counter() - began)
