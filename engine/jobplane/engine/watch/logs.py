"""The tail of a job's log: lines from any place on, then live, to the end of the last attempt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from jobplane.engine.domain.errors import DrainingError, InvalidSpecError, Violation
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.log_line import LogFrame
from jobplane.engine.watch.hub import Hub
from jobplane.engine.watch.log_file import LogPage

# A lost wake-up costs at most this.
LOOK_S = 1.0
# After so much silence a frame without lines says that the server is alive.
HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class LogInterest:
    """Which lines a reader wants."""

    # 0 is the current attempt, and with `follow` the ones after it.
    attempt: int = 0
    after_line: int = 0
    tail_lines: int = 0
    follow: bool = False


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where a tail reads."""

    read_job: Callable[[], Awaitable[Job]]
    # Of an attempt: lines after a line, from where the last page ended.
    read_page: Callable[[int, int | None, int], Awaitable[LogPage]]
    last_line: Callable[[int], Awaitable[int]]
    is_live: Callable[[int], bool]


class LogStream:
    """One reader of one job's log."""

    def __init__(
        self, *, hub: Hub, line_hub: Hub, source: LogSource, interest: LogInterest
    ) -> None:
        self._hub = hub
        self._line_hub = line_hub
        self._source = source
        self._interest = interest
        self._heard_at = _now()
        self._attempt = 1
        self._after = 0
        # Where in the file the next line begins, once that is known.
        self._offset: int | None = None

    async def frames(self, key: tuple[str, str]) -> AsyncIterator[LogFrame]:
        """Frames until the last line there will be; the last of them says so."""
        with (
            self._hub.subscribed(key) as subscription,
            self._line_hub.subscribed(key, subscription),
        ):
            await self._begin(await self._source.read_job())
            while True:
                subscription.take(0)
                # First whether more may come, then what there is: so the last line is not missed.
                job = None
                if not self._source.is_live(self._attempt):
                    job = await self._source.read_job()
                async for frame in self._news():
                    yield frame
                if not self._interest.follow or (job is not None and self._is_over(job)):
                    yield LogFrame(self._attempt, end=True)
                    return
                if job is not None and job.attempt > self._attempt:
                    self._attempt, self._after, self._offset = self._attempt + 1, 0, None
                    continue
                if self._hub.is_draining:
                    raise DrainingError
                if sign := self._sign_of_life():
                    yield sign
                await subscription.wait(LOOK_S)

    async def _begin(self, job: Job) -> None:
        """Find the line to start after."""
        interest = self._interest
        if interest.attempt > job.attempt and not interest.follow:
            text = f"has not begun: the job is at attempt {job.attempt}"
            raise InvalidSpecError([Violation("attempt", text)])
        self._attempt = max(interest.attempt or job.attempt, 1)
        self._after = interest.after_line
        if interest.tail_lines:
            last = await self._source.last_line(self._attempt)
            self._after = max(last - interest.tail_lines, 0)

    async def _news(self) -> AsyncIterator[LogFrame]:
        """Every line that is there and was not told."""
        while True:
            page = await self._source.read_page(self._attempt, self._offset, self._after)
            self._offset = page.offset
            if not page.lines:
                return
            self._after = page.lines[-1].line
            self._heard_at = _now()
            yield LogFrame(self._attempt, page.lines)

    def _is_over(self, job: Job) -> bool:
        """Whether no line will come after those that are there."""
        if job.status.is_terminal and job.attempt <= self._attempt:
            return True
        is_at_it = job.attempt == self._attempt and job.status.is_active
        return bool(self._interest.attempt) and job.attempt >= self._attempt and not is_at_it

    def _sign_of_life(self) -> LogFrame | None:
        if _now() - self._heard_at < HEARTBEAT_S:
            return None
        self._heard_at = _now()
        return LogFrame(self._attempt)


def _now() -> float:
    return asyncio.get_running_loop().time()
