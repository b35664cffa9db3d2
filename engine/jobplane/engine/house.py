"""Builds an engine and everything it stands on, and starts and stops it in order."""

import asyncio
import secrets
from collections.abc import Sequence

from jobplane.engine.api import Engine
from jobplane.engine.batch import Batches
from jobplane.engine.clock import Clock, Randomness, SystemClock, SystemRandomness
from jobplane.engine.content.landing import Landing
from jobplane.engine.content.opening import open_content
from jobplane.engine.crossing import Crossing
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import UnknownKindError
from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job, JobSpec, Progress
from jobplane.engine.domain.policy import bounds_of
from jobplane.engine.executors.port import Executor
from jobplane.engine.intake import Intake
from jobplane.engine.janitor import Janitor
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.library import open_library
from jobplane.engine.logbook import LogBook
from jobplane.engine.query.token import PageTokens
from jobplane.engine.scheduler.budget import Budget
from jobplane.engine.scheduler.dependencies import Dependencies
from jobplane.engine.scheduler.dispatcher import Dispatcher
from jobplane.engine.scheduler.fair_share import Turns
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.loop import Loop
from jobplane.engine.scheduler.packing import Capacity, nodes_of
from jobplane.engine.scheduler.queues import Planning
from jobplane.engine.scheduler.reaper import Reaper
from jobplane.engine.scheduler.steering import Steering
from jobplane.engine.schedules.book import ScheduleBook
from jobplane.engine.schedules.firing import Firing
from jobplane.engine.schedules.ticker import Ticker
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import loads, shared
from jobplane.engine.store.database import Database, Transaction, sqlite_url
from jobplane.engine.store.migrate import migrate
from jobplane.engine.streams import Streams
from jobplane.engine.watch.board import Board
from jobplane.engine.watch.feed import Feed
from jobplane.engine.watch.hub import Hub

TOKEN_SECRET_BYTES = 32
CHECKPOINT_INTERVAL_S = 0.25
# What one server leaves behind another finds by itself.
DEPENDENCY_INTERVAL_S = 1.0
# A budget is overdrawn by at most this and the grace of a pause.
BUDGET_INTERVAL_S = 1.0
# A schedule fires this late at most, where nothing else is in its way.
SCHEDULE_INTERVAL_S = 0.5


class House:
    """Everything behind an engine: store, content, executors, loops, hub."""

    def __init__(
        self,
        settings: EngineSettings,
        *,
        registry: Registry,
        executors: dict[str, Executor],
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._executors = executors
        self._clock = clock or SystemClock()
        self._randomness = randomness or SystemRandomness()
        # Names this life of the server: what another life was running is lost.
        self._worker = self._randomness.new_id(self._clock.now())
        self._runnable: set[tuple[str, str]] = set()
        self.hub = Hub()
        self.line_hub = Hub()
        self.board = Board()
        self._steering = Steering(executors.values())
        # A start that failed half-way leaves less to stop.
        self._is_furnished = False
        self._build()

    def _build(self) -> None:
        settings, data = self._settings, self._settings.data_dir
        self._url = settings.database_url or sqlite_url(data / "jobplane.db")
        self._capacity = Capacity(
            nodes_of(settings.scheduler), patience_s=settings.scheduler.patience_s
        )
        self.dependencies = Dependencies(clock=self._clock)
        self.database = Database(
            self._url,
            on_commit=self._committed,
            on_end=self.dependencies.follow,
            join=self._join,
            readers=settings.readers,
        )
        self._intake = Intake(
            registry=self._registry,
            clock=self._clock,
            randomness=self._randomness,
            misfit=self._capacity.misfit,
            kind_settings=settings.kinds,
        )
        self._firing = Firing(intake=self._intake)
        self.ticker = Ticker(database=self.database, firing=self._firing, clock=self._clock)
        self.content = open_content(settings.content_url, folder=data / "content")
        self.landing = Landing(data / "content" / "landing")
        self.logs = LogBook(
            data / "logs",
            content=self.content,
            clock=self._clock,
            on_line=self.line_hub.nudge,
            limit_bytes=settings.max_log_bytes,
        )
        self.ledger = Ledger(
            database=self.database,
            content=self.content,
            logs=self.logs,
            steering=self._steering,
            clock=self._clock,
            randomness=self._randomness,
            on_progress=self._progressed,
        )
        self.dispatcher = Dispatcher(
            database=self.database,
            content=self.content,
            executors=self._executors,
            ledger=self.ledger,
            clock=self._clock,
            worker=self._worker,
            attempts_folder=data / "attempts",
            attempt_timeout_s=self._attempt_timeout_s,
            capacity=self._capacity,
            turns=Turns(settings.scheduler.weights),
            can_run=self._can_run,
        )
        self.reaper = Reaper(
            database=self.database,
            ledger=self.ledger,
            clock=self._clock,
            randomness=self._randomness,
            worker=self._worker,
            lease_s=settings.lease_s,
        )
        feed = Feed(database=self.database, hub=self.hub, board=self.board)
        self._feed = feed
        self._feed_loop = Loop(feed.step, name="feed", every_s=settings.feed_interval_s)
        self._dispatch_loop = Loop(self.dispatcher.step, name="dispatcher", every_s=0.5)
        self._launch_loop = Loop(self.dispatcher.launch, name="launcher", every_s=0.5)
        self._dependency_loop = Loop(
            self._tell_dependents, name="dependencies", every_s=DEPENDENCY_INTERVAL_S
        )
        self._schedule_loop = Loop(
            self._fire_schedules, name="schedules", every_s=SCHEDULE_INTERVAL_S
        )
        self._loops = (
            self._dispatch_loop,
            self._launch_loop,
            self._dependency_loop,
            self._schedule_loop,
            Loop(
                Budget(database=self.database, clock=self._clock).step,
                name="budget",
                every_s=BUDGET_INTERVAL_S,
            ),
            Loop(self.reaper.step, name="reaper", every_s=settings.reaper_interval_s),
            self._feed_loop,
            Loop(self.database.checkpoint, name="checkpointer", every_s=CHECKPOINT_INTERVAL_S),
        )

    async def start(self) -> Engine:
        """Open the store, take up what was left, and begin to run jobs."""
        await asyncio.to_thread(self._open)
        crossing = Crossing(asyncio.get_running_loop())
        self.hub.start(crossing)
        self.line_hub.start(crossing)
        self.board.start(asyncio.get_running_loop())
        secret = await asyncio.to_thread(self._page_token_secret)
        self.library = open_library(
            self._settings,
            database=self.database,
            content=self.content,
            landing=self.landing,
            tokens=PageTokens(secret),
            clock=self._clock,
            crossing=crossing,
        )
        self._janitor = Janitor(
            database=self.database,
            content=self.content,
            landing=self.landing,
            clock=self._clock,
            settings=self._settings,
            on_purge=lambda project, job_id: self.hub.forget((project, job_id)),
            forget=self.library.forget,
            rest=self.library.rest,
        )
        self._janitor_loop = Loop(
            self._janitor.step, name="janitor", every_s=self._settings.janitor_interval_s
        )
        self._is_furnished = True
        engine = Engine(
            database=self.database,
            registry=self._registry,
            intake=self._intake,
            ledger=self.ledger,
            hub=self.hub,
            clock=self._clock,
            tokens=PageTokens(secret),
            crossing=crossing,
            library=self.library,
            planning=Planning(
                database=self.database,
                clock=self._clock,
                tokens=PageTokens(secret),
                crossing=crossing,
                on_change=self._dispatch_loop.wake,
            ),
            schedules=ScheduleBook(
                database=self.database,
                intake=self._intake,
                firing=self._firing,
                clock=self._clock,
                randomness=self._randomness,
                tokens=PageTokens(secret),
                crossing=crossing,
                on_change=self._schedule_loop.wake,
            ),
            obstacle=self._obstacle,
            streams=Streams(
                database=self.database,
                board=self.board,
                hub=self.hub,
                line_hub=self.line_hub,
                logs=self.logs,
                content=self.content,
                clock=self._clock,
                tokens=PageTokens(secret),
                crossing=crossing,
                max_age_s=self._watch_max_age_s,
            ),
            batches=Batches(
                database=self.database,
                intake=self._intake,
                clock=self._clock,
                crossing=crossing,
            ),
            watch_max_age_s=self._watch_max_age_s,
        )
        for loop in (*self._loops, self._janitor_loop):
            loop.start()
        return engine

    def _open(self) -> None:
        self._settings.data_dir.mkdir(parents=True, exist_ok=True)
        migrate(self._url, now=self._clock.now())
        self.content.start()
        self.landing.start()
        self.database.start()
        self.database.write(lambda transaction: loads.drop_empty(transaction.connection)).result()
        self.ledger.take_up_logs()
        for executor in self._executors.values():
            executor.start(self.ledger)
        if self.database.dialect == "sqlite":
            # The file is ours alone, so whatever runs in it ran in an earlier life.
            self.reaper.recover()
        self._feed.start()

    def _page_token_secret(self) -> bytes:
        return self.database.write(
            lambda transaction: shared.get_or_make(
                transaction, "page_token_secret", lambda: secrets.token_bytes(TOKEN_SECRET_BYTES)
            )
        ).result()

    async def drain(self) -> None:
        """Start no more attempts, and have every watch end."""
        self.dispatcher.paused = True
        self.hub.drain()
        self.board.drain()

    async def stop(self, grace_s: float) -> None:
        """End live attempts so that they can be taken up again, then close the store."""
        await self.drain()
        await asyncio.to_thread(self._close, grace_s)

    def _close(self, grace_s: float) -> None:
        for loop in (self._dispatch_loop, self._launch_loop):
            loop.stop()
        # What a last commit claimed is launched to be told that the server stops.
        self.dispatcher.launch()
        for executor in self._executors.values():
            executor.stop(grace_s)
        self.ledger.wait_settled(grace_s)
        self.ledger.stop()
        for loop in self._loops:
            loop.stop()
        if self._is_furnished:
            self._janitor.stop()
            self._janitor_loop.stop()
            self.library.close()
        self.landing.close()
        self.database.close()

    def _join(self, transaction: Transaction) -> None:
        self.dispatcher.join(transaction)

    def _committed(self, changes: Sequence[Change]) -> None:
        """What follows a commit: attempts begin and are steered, watchers hear."""
        if self.dispatcher.follow(changes):
            self._launch_loop.wake()
        self.hub.publish(changes)
        if changes and self.board.watchers:
            self.board.note(changes)
            self._feed_loop.wake()
        self._steering.follow(changes)
        if self.dependencies.take_unblocked() or self.dispatcher.has_missed:
            self._dispatch_loop.wake()
        if self.dependencies.is_left_over:
            self._dependency_loop.wake()
        if self.ticker.follow(changes):
            self._schedule_loop.wake()

    def _fire_schedules(self) -> None:
        if self.ticker.step():
            self._schedule_loop.wake()

    def _can_run(self, lane: str, kind: str) -> bool:
        # What is installed stays so while the server runs, and to look is dear.
        if (lane, kind) not in self._runnable and not self._obstacle(lane, kind):
            self._runnable.add((lane, kind))
        return (lane, kind) in self._runnable

    def _obstacle(self, lane: str, kind: str) -> str:
        """Why no attempt of such a job can start on this server; empty when one can."""
        if lane not in self._executors:
            return f"this server runs nothing that needs {lane.lower()} slots"
        try:
            hint = self._registry.missing(self._registry.get(kind))
        except UnknownKindError:
            return f"no server runs jobs of kind {kind!r}"
        return f"kind {kind!r} is not installed: {hint}" if hint else ""

    def _tell_dependents(self) -> None:
        self.dependencies.step(self.database)
        if self.dependencies.take_unblocked():
            self._dispatch_loop.wake()

    def _progressed(self, job: Job, progress: Progress) -> None:
        event = JobEvent(
            project=job.project,
            job_id=job.job_id,
            sequence=0,
            occurred_at=progress.reported_at or self._clock.now(),
            status=job.status,
            payload=progress,
            attempt=job.attempt,
        )
        self.hub.show(event)

    def _attempt_timeout_s(self, spec: JobSpec) -> float | None:
        """The tighter of what the policy and what the spec itself ask for."""
        kind = self._registry.get(spec.kind)
        limits = [
            bounds_of(spec.policy).attempt_timeout_s,
            kind.attempt_timeout_s(self._registry.parse(kind, spec.params)),
        ]
        return min((limit for limit in limits if limit is not None), default=None)

    def _watch_max_age_s(self) -> float:
        # Spread, so that watches opened together do not come back together.
        return self._settings.watch_max_age_s * (1 - self._randomness.jitter() / 5)
