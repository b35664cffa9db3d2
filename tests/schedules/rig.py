"""Schedules on a store of their own, with a clock that a test moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from jobplane.engine.clock import SystemRandomness
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.attempt import Broke, Completed
from jobplane.engine.domain.job import Failure, FailureCategory, JobResult, JobSpec
from jobplane.engine.domain.schedule import Plan, Schedule, split_schedule_name
from jobplane.engine.domain.submission import Submission
from jobplane.engine.intake import Intake
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.schedules.firing import Firing
from jobplane.engine.schedules.ticker import Ticker
from jobplane.engine.schedules.timetable import started
from jobplane.engine.store import jobs, schedules
from jobplane.engine.store.database import Database
from jobplane.engine.store.migrate import migrate
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SPEC = JobSpec("probe", ProbeSpec(isolation=ProbeSpec.ISOLATION_THREAD).SerializeToString())


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, **span: float) -> None:
        self.at += timedelta(**span)


class Rig:
    """One server's ticker over a database that others may share."""

    def __init__(self, url: str, clock: HandClock) -> None:
        self.clock = clock
        self.database = Database(url, on_commit=self._committed, on_end=lambda _: None)
        self.intake = Intake(
            registry=Registry.discover(),
            clock=clock,
            randomness=SystemRandomness(),
            misfit=lambda _: "",
            kind_settings={},
        )
        self.firing = Firing(intake=self.intake)
        self.ticker = Ticker(database=self.database, firing=self.firing, clock=clock)
        self.database.start()

    def _committed(self, changes) -> None:
        self.ticker.follow(changes)

    def add(self, cron: str, schedule_id: str = "s", **plan) -> str:
        """Store a schedule of probes and give its name."""
        return self.add_many([(schedule_id, cron)], **plan)[0]

    def add_many(self, each, *, template: Submission | None = None, **plan) -> list[str]:
        now = self.clock.now()
        made = [
            started(
                Schedule(
                    project="demo",
                    schedule_id=schedule_id,
                    plan=Plan(cron=cron, template=template or Submission("demo", SPEC), **plan),
                    creator="owner",
                    created_at=now,
                    updated_at=now,
                    decided_at=now,
                    counting_since=now,
                ),
                now=now,
            )
            for schedule_id, cron in each
        ]

        def write(transaction) -> None:
            for schedule in made:
                schedules.create(transaction.connection, schedule)

        self.database.write(write).result(30)
        return [schedule.name for schedule in made]

    def get(self, name: str) -> Schedule:
        found = self.database.read_now(lambda c: schedules.find(c, *split_schedule_name(name)))
        assert found is not None
        return found

    def put(self, schedule: Schedule) -> None:
        """Store a schedule as it never came to be by itself."""
        self.database.write(lambda t: schedules.save(t.connection, schedule)).result(30)

    def step(self) -> bool:
        return self.ticker.step()

    def settle(self) -> None:
        """Steps until there is nothing more to do now."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("it never came to rest")

    def run(self, until: datetime, *, every: timedelta = timedelta(minutes=1)) -> None:
        """The clock goes on, with a step now and then."""
        while self.clock.at < until:
            self.clock.at = min(self.clock.at + every, until)
            self.settle()

    def jobs(self, name: str):
        """Jobs of a schedule, oldest first."""
        names = self.database.read_now(
            lambda c: schedules.recent_jobs(c, self.get(name), limit=100_000)
        )
        # Those of one instant have no order but that of their times.
        return sorted(map(self.job, names), key=lambda job: (job.created_at, job.idempotency_key))

    def job(self, name: str):
        _, project, _, job_id = name.split("/")
        return self.database.read_now(lambda c: jobs.get(c, project, job_id)).job

    def nominals(self, name: str) -> list[datetime]:
        """Nominal times that have a job, in the order of the jobs."""
        keys = [job.idempotency_key for job in self.jobs(name)]
        return [datetime.fromisoformat(key.removeprefix(f"{name}@")) for key in keys]

    def outcomes(self, name: str) -> list[str]:
        return [fire.outcome.value for fire in self.get(name).fires]

    def begin(self, job) -> None:
        self._steer(job, lambda one: lifecycle.begun(one, worker="w", now=self.clock.now()))

    def cancel(self, job) -> None:
        now = self.clock.now()
        self._steer(
            job,
            lambda one: lifecycle.cancelled(one, requester="me", reason="", force=False, now=now),
        )

    def end(self, job, *, failed: bool = False) -> None:
        """Run a job to its end."""
        if self.job(job.name).attempt == 0:
            self.begin(job)
        failure = Failure("BROKEN", FailureCategory.USER_CODE, "it broke")
        self._steer(job, lambda one: conclude(one, failure if failed else None, self.clock.now()))

    def _steer(self, job, step) -> None:
        def write(transaction) -> None:
            stored = jobs.get_to_change(transaction.connection, job.project, job.job_id)
            jobs.save(transaction, stored, step(stored.job), worker="w")

        self.database.write(write).result(30)


def conclude(job, failure, now):
    conclusion = Broke(failure) if failure else Completed(JobResult())
    return lifecycle.concluded(job, conclusion, now=now, jitter=0.0, input_id="")


@contextmanager
def rig_at(url: str, clock: HandClock | None = None) -> Iterator[Rig]:
    clock = clock or HandClock()
    migrate(url, now=clock.now())
    rig = Rig(url, clock)
    try:
        yield rig
    finally:
        rig.database.close()
