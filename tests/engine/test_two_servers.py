"""Two servers on one PostgreSQL keep the limits of a project as one would."""

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from jobplane.engine.domain.errors import QuotaExceededError
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import quotas
from tests.engine.conftest import finished, postgres_schema, probe, running, until

WAIT_S = 20.0
ACTIVE = {"RUNNING", "PAUSING", "CANCELLING"}


@pytest.fixture
def settings(tmp_path):
    return EngineSettings(tmp_path / "one", database_url=postgres_schema(), thread_slots=8)


@asynccontextmanager
async def two(settings):
    other = replace(settings, data_dir=settings.data_dir.with_name("two"))
    async with running(settings) as one, running(other) as another:
        yield one, another


async def limit(engine, **limits):
    by_metric = {name.replace("__", "."): value for name, value in limits.items()}
    await engine.planning.update_quota("demo", limits=by_metric, metrics=None, etag="")


def most_at_once(house):
    """The most jobs that were live after any commit, by the order of the feed."""
    query = text(
        "SELECT j.job_id, e.status FROM job_events e JOIN jobs j ON j.pk = e.job_pk"
        " ORDER BY e.revision"
    )
    live: set[str] = set()
    most = 0
    for job_id, status in house.database.read_now(lambda connection: connection.execute(query)):
        live.discard(job_id)
        if status in ACTIVE:
            live.add(job_id)
        most = max(most, len(live))
    return most


def is_held_up(house):
    """Whether a transaction waits for another one."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return house.database.read_now(lambda connection: connection.execute(query).scalar()) > 0


class Held:
    """A write of one server that is kept from its commit until it is let go."""

    def __init__(self, house, operation) -> None:
        self._entered, self._go = threading.Event(), threading.Event()

        def write(transaction):
            answer = operation(transaction)
            self._entered.set()
            assert self._go.wait(WAIT_S)
            return answer

        self._future = house.database.write(write)

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, WAIT_S)

    def release(self):
        self._go.set()
        return self._future.result(WAIT_S)


@pytest.mark.parametrize("metric", ["running", "running__probe"])
def test_a_claim_that_comes_between_another_and_its_commit_sees_it(settings, metric):
    async def scenario():
        async with two(settings) as ((one, engine), (another, _)):
            for house in (one, another):
                house.dispatcher.paused = True
            await limit(engine, **{metric: 1})
            for _ in range(4):
                await engine.submit(probe(steps=1))
            first = Held(one, lambda transaction: one.dispatcher._fill(transaction, "THREAD", 4))
            await first.entered()
            second = another.database.write(
                lambda transaction: another.dispatcher._fill(transaction, "THREAD", 4)
            )
            await until(lambda: asyncio.to_thread(is_held_up, one), WAIT_S)
            assert (first.release(), second.result(WAIT_S)) == (1, 0)

    asyncio.run(scenario())


def test_reads_do_not_wait_for_a_claim(settings):
    async def scenario():
        async with two(settings) as ((one, engine), (another, other)):
            for house in (one, another):
                house.dispatcher.paused = True
            await limit(engine, running=1)
            job = (await engine.submit(probe(queue="night"))).job
            claim = Held(one, lambda transaction: one.dispatcher._fill(transaction, "THREAD", 4))
            await claim.entered()
            # The wait of a job is told from the limits.
            async with asyncio.timeout(WAIT_S / 2):
                await other.get("demo", job.job_id)
            claim.release()

    asyncio.run(scenario())


def test_two_servers_at_work_never_run_more_than_the_limit(settings):
    async def scenario():
        async with two(settings) as ((one, engine), (_, other)):
            await limit(engine, running=3)
            doors = [engine, other] * 15
            accepted = [await door.submit(probe(steps=2, step_s=0.005)) for door in doors]
            for job in [one.job for one in accepted]:
                await finished(other, job, within_s=60.0)
            assert 1 <= most_at_once(one) <= 3

    asyncio.run(scenario())


def test_submits_through_two_servers_never_pass_the_limit(settings):
    async def scenario():
        async with two(settings) as ((one, engine), (another, other)):
            for house in (one, another):
                house.dispatcher.paused = True
            await limit(engine, queued=7)
            answers = await asyncio.gather(
                *(door.submit(probe()) for _ in range(15) for door in (engine, other)),
                return_exceptions=True,
            )
            refused = [one for one in answers if isinstance(one, QuotaExceededError)]
            assert len(answers) - len(refused) == 7

    asyncio.run(scenario())


def test_outputs_of_two_servers_never_pass_the_limit(settings):
    async def scenario():
        async with two(settings) as ((one, engine), (another, other)):
            for house in (one, another):
                house.ledger._misfit = lambda *_: None
            await limit(engine, artifact_bytes=5500)
            jobs = [
                (await door.submit(probe(artifact_bytes=1000))).job
                for _ in range(6)
                for door in (engine, other)
            ]
            ends = [await finished(other, job, within_s=60.0) for job in jobs]
            stored = one.database.read_now(
                lambda connection: quotas.artifact_bytes(connection, "demo")
            )
            assert stored == 5000
            assert sum(job.failure is None for job in ends) == 5

    asyncio.run(scenario())
