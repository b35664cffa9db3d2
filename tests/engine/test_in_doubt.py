"""A commit that failed may have happened: what an attempt reported is told once all the same."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy.exc import OperationalError

from jobplane.engine.domain.status import JobStatus
from jobplane.engine.store.database import _InDoubtError
from tests.engine.conftest import finished, probe, running, until

STEPS = 12


class Doubt:
    """A database of which every second commit happens, but says that it did not."""

    def __init__(self, database) -> None:
        self._real = database._run
        self.is_armed = False
        self.commits = 0
        self.doubts = 0
        database._run = self._run

    def _run(self, group, **options):
        answer = self._real(group, **options)
        if self.is_armed:
            self.commits += 1
            if self.commits % 2:
                self.doubts += 1
                raise _InDoubtError(OperationalError("COMMIT", None, Exception("disk I/O error")))
        return answer


async def history(engine, job):
    page = await engine.events(
        "demo", job.job_id, after_sequence=0, page_size=500, page_token="", descending=False
    )
    return page.items


@pytest.mark.parametrize("fails", [False, True])
def test_reports_in_doubt_are_kept_once(settings, fails):
    async def scenario():
        async with running(settings) as (house, engine):
            doubt = Doubt(house.database)
            submission = probe(
                steps=STEPS,
                step_s=0.01,
                metrics=True,
                checkpoint_every=1,
                artifact_bytes=100,
                fail_at_step=STEPS if fails else 0,
            )
            job = (await engine.submit(submission)).job

            async def reports():
                return (await engine.get("demo", job.job_id)).checkpoint

            await until(reports)
            doubt.is_armed = True
            done = await finished(engine, job, within_s=60.0)
            doubt.is_armed = False
            assert doubt.doubts
            assert done.status is (JobStatus.FAILED if fails else JobStatus.SUCCEEDED)
            assert done.attempt == 1
            told = await history(engine, job)
            assert [event.sequence for event in told] == list(range(1, done.sequence + 1))
            payloads = [event.payload for event in told]
            steps = [one.step for one in payloads if type(one).__name__ == "MetricReported"]
            assert steps == list(range(1, STEPS + (not fails)))
            saved = Counter(
                one.completed_units for one in payloads if type(one).__name__ == "CheckpointSaved"
            )
            assert set(saved.values()) == {1}
            ready = [
                one.artifact.artifact_id
                for one in payloads
                if type(one).__name__ == "ArtifactReady"
            ]
            assert len(ready) == len(set(ready))

    asyncio.run(scenario())
