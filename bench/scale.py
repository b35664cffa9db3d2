"""What a submit, a claim, a get and a page of a list cost with many jobs in the store.

The same engine over two stores, one with a thousand jobs and one with a million, is asked in
turns, call by call; medians. A tenth of the jobs waits to be claimed, the others are over.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.filled import LANE, PROJECT, NoSlots, fill, house_on, noop
from bench.record import keep, missed
from jobplane.engine.api import Engine
from jobplane.engine.domain.job import RunPolicy
from jobplane.engine.house import House
from jobplane.engine.query.page import JobQuery

BOUND = 1.5
_PAGE = 100
_LATER = RunPolicy(start_at=datetime(2096, 1, 1, tzinfo=UTC))
TARGETS = {
    name: ("<=", BOUND, f"{text}, many jobs over few")
    for name, text in {
        "submit": "a durable submit",
        "claim": "a claim of one job, durable",
        "get": "a get of a job that is over",
        "get_waiting": "a get of a job that waits, somewhere in its queue",
        "first_page": "a first page of 100 jobs",
        "later_page": "a page of 100 jobs from the middle",
        "status_page": "a page of 100 jobs of a status",
        "label_page": "a page of 100 jobs with a label",
        "no_match": "a page of a label that no job has",
    }.items()
}


@dataclass(frozen=True, slots=True)
class Stand:
    """An engine over a store, with names of jobs that are in it."""

    house: House
    engine: Engine
    over: Sequence[str]
    waiting: Sequence[str]
    token: str
    chance: random.Random

    async def submit(self) -> None:
        """Submit a job that starts far in the future."""
        key = f"{self.chance.getrandbits(64):x}"
        await self.engine.submit(noop(key=key, policy=_LATER))

    async def claim(self) -> None:
        """Claim a job, as the dispatcher does for a free slot."""
        fill = self.house.dispatcher._fill  # noqa: SLF001  the claim without the launch
        claim = self.house.database.write(lambda transaction: fill(transaction, LANE, 1))
        assert await asyncio.wrap_future(claim) == 1

    async def get(self) -> None:
        """Get a job that is over."""
        await self.engine.get(PROJECT, self.chance.choice(self.over))

    async def get_waiting(self) -> None:
        """Get a job that waits."""
        await self.engine.get(PROJECT, self.chance.choice(self.waiting))

    async def first_page(self) -> None:
        """List from the start."""
        assert await self._page() == _PAGE

    async def later_page(self) -> None:
        """List from the middle."""
        assert await self._page(page_token=self.token) == _PAGE

    async def status_page(self) -> None:
        """List those that wait."""
        assert await self._page(filter="status = QUEUED") > 0

    async def label_page(self) -> None:
        """List those that have a label."""
        assert await self._page(filter='labels.team = "bench"') == _PAGE

    async def no_match(self) -> None:
        """List those that have a label that none has."""
        assert await self._page(filter='labels.team = "nobody"') == 0

    async def _page(self, **query: str) -> int:
        page = await self.engine.list(JobQuery(PROJECT, page_size=_PAGE, **query))
        return len(page.items)


def main() -> int:
    """Measure, print a table, write JSON and a plot; 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--few", type=int, default=1_000)
    options.add_argument("--many", type=int, default=1_000_000)
    options.add_argument("--calls", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="jobplane-bench-") as name:
        folders = [Path(name) / size for size in ("few", "many")]
        for folder, count in zip(folders, (given.few, given.many), strict=True):
            folder.mkdir()
            began = time.perf_counter()
            fill(folder, count)
            print(f"{count} jobs made in {time.perf_counter() - began:.0f} s")
        few, many = asyncio.run(_measured(folders, given.calls))
    return _report(few, many)


async def _measured(folders: Sequence[Path], calls: int) -> list[dict[str, float]]:
    stands = [await _stand(folder) for folder in folders]
    try:
        found: list[dict[str, float]] = [{} for _ in stands]
        for name in TARGETS:
            steps = [getattr(stand, name) for stand in stands]
            for figures, value in zip(found, await _in_turns(steps, calls), strict=True):
                figures[name] = value
        return found
    finally:
        for stand in stands:
            await stand.house.stop(5)


async def _in_turns(steps: Sequence[Callable[[], Awaitable[None]]], calls: int) -> list[float]:
    """Median microseconds of each step."""
    spans: list[list[float]] = [[] for _ in steps]
    for turn in range(calls + 1):
        for step, taken in zip(steps, spans, strict=True):
            began = time.perf_counter()
            await step()
            # The first call compiles and fills caches.
            if turn:
                taken.append((time.perf_counter() - began) * 1e6)
    return [statistics.median(taken) for taken in spans]


async def _stand(folder: Path) -> Stand:
    house = house_on(folder, NoSlots())
    engine = await house.start()
    over, waiting = [
        house.database.read_now(
            lambda connection, done=done: [
                row[0]
                for row in connection.exec_driver_sql(
                    "SELECT job_id FROM jobs WHERE done = ? ORDER BY pk", (done,)
                )
            ]
        )
        for done in (1, 0)
    ]
    token = await _token(engine, over[len(over) // 2])
    chance = random.Random(len(over))  # noqa: S311  which rows are asked for, no secret
    return Stand(house, engine, over, waiting, token, chance)


async def _token(engine: Engine, job_id: str) -> str:
    """The token of the page behind a job; to page there would take as long as the bench."""
    query = JobQuery(PROJECT)
    key = query.order.key_of(await engine.get(PROJECT, job_id))
    return engine._tokens.encode(key, query.bound)  # noqa: SLF001  as the engine does


def _report(few: Mapping[str, float], many: Mapping[str, float]) -> int:
    ratios = {name: many[name] / few[name] for name in few}
    for name in few:
        print(f"     {name:<20} {few[name]:10.0f} us {many[name]:10.0f} us")
    short = missed(TARGETS, ratios)
    result = {"few_us": few, "many_us": many, "ratios": ratios, "targets": TARGETS}
    keep("scale", result, "Microseconds of a call, many jobs in the store", many)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
