"""The world of one schedule: servers, callers, workers, a disk, and a clock for all."""

import asyncio
import hashlib
import logging
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import jobplane.engine.house
import jobplane.engine.scheduler.ledger
from jobplane.engine import failpoint
from jobplane.engine.domain.errors import BackendUnavailableError
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from tests.simulation.callers import Callers
from tests.simulation.faults import Faults
from tests.simulation.model import BrokenPromiseError, Model
from tests.simulation.storage import Crash, SimulatedContent, SimulatedDatabase, disk
from tests.simulation.virtual import Rng, SeededRandomness, ServerClock, Time, VirtualLoop
from tests.simulation.work import KINDS, LANES, Attempt, SimulatedExecutor

SLOTS = 2
SHOWN_LINES = 60


@dataclass(frozen=True)
class Plan:
    """What a schedule is made of: everything else follows from the seed."""

    seed: int
    steps: int = 120
    jobs: int = 6
    servers: int = 1
    faults: bool = True


class BackgroundStep:
    """Stands for `Loop`: a step that the simulation runs when it is woken, or its time has come."""

    def __init__(self, server, step, *, name, every_s):
        self._server = server
        self._step = step
        self.name = name
        self._every_s = every_s
        self._is_started = self._is_running = False
        self._woken = False
        self._due_at = 0.0
        server.background.append(self)

    def start(self):
        self._is_started = self._woken = True

    def wake(self):
        self._woken = True

    def stop(self):
        self._is_started = False

    @property
    def is_due(self):
        due = self._woken or self._server.world.time.elapsed >= self._due_at
        return self._is_started and not self._is_running and due

    def run(self):
        self._woken = False
        world = self._server.world
        self._due_at = world.time.elapsed + self._every_s
        self._is_running = True
        now = self._server.clock.now()
        overdue = world.model.overdue(now, world) if self.name == "reaper" else set()
        try:
            self._step()
        except BackendUnavailableError:
            return
        except Exception as error:
            world.broken("step_failed", f"{self.name}: {error!r}")
            raise
        finally:
            self._is_running = False
        if overdue:
            world.check()
            world.model.stayed_overdue(overdue, now, world)


class Timers:
    """Stands for `threading` where timers are made: they go off in virtual time."""

    def __init__(self, world):
        self._world = world

    def __getattr__(self, name):
        return getattr(threading, name)

    def Timer(self, delay_s, function):  # noqa: N802  the name of the real one
        return _Timer(self._world.server, delay_s, function)

    def Condition(self, lock=None):  # noqa: N802
        return _Condition(self._world.server, lock)


class _Timer:
    def __init__(self, server, delay_s, function):
        self._server, self.function = server, function
        self.at = server.world.time.elapsed + delay_s
        self.daemon = True

    def start(self):
        self._server.timers.append(self)

    def cancel(self):
        if self in self._server.timers:
            self._server.timers.remove(self)


class _Condition(threading.Condition):
    """A condition whose waiter lets the server work on instead."""

    def __init__(self, server, lock):
        super().__init__(lock)
        self._server = server

    def wait_for(self, predicate, timeout=None):
        ends_at = self._server.world.time.elapsed + (timeout or 0.0)
        self.release()
        try:
            while not predicate() and self._server.world.time.elapsed < ends_at:
                if self._server.database.has_work:
                    self._server.database.commit_some()
                else:
                    self._server.world.time.advance(0.1)
                    self._server.fire_timers()
        finally:
            self.acquire()
        return predicate()


class Server:
    """One life of one server."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.is_dead = False
        self.is_up = False
        self.background = []
        self.timers = []
        self.tasks = []
        self.clock = ServerClock(world.time, world.rng.choice((0.0, 0.0, 2.5, -2.5)))
        self.loop = VirtualLoop(world.time)
        self.loop.set_exception_handler(self._failed)
        self.executors = {lane: SimulatedExecutor(world, self, SLOTS) for lane in LANES}
        self.house = House(
            EngineSettings(world.folder, watch_max_age_s=120.0),
            registry=world.registry,
            executors=self.executors,
            clock=self.clock,
            randomness=world.randomness,
        )
        self.database = self.house.database
        self.engine = None
        self._make_wakeups_unsure()

    def _make_wakeups_unsure(self):
        publish = self.house.hub.publish

        def unsure(changes):
            if self.world.is_stormy and self.world.rng.chance(0.1):
                self.world.sometimes("lost_wakeup")
            else:
                publish(changes)

        self.house.hub.publish = unsure

    def must_live(self):
        if self.is_dead:
            raise Crash

    def start(self):
        """Begin to start; the life may end before it has begun."""
        self.spawn(self._start())

    async def _start(self):
        try:
            self.engine = await self.house.start()
        except BackendUnavailableError:
            self.world.crash_server(self, "can't start without a store")
        else:
            self.is_up = True
            self.world.note(f"{self.name} is up")

    async def stop(self):
        """Drain and end, as on SIGTERM."""
        self.is_up = False
        self.world.sometimes("drained")
        await self.house.stop(5.0)
        self.world.note(f"{self.name} stopped")
        self.world.crash_server(self, "is stopped")

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        task.add_done_callback(self._ended)
        self.tasks.append(task)
        return task

    def _ended(self, task):
        if task in self.tasks:
            self.tasks.remove(task)
        if not self.is_dead and not task.cancelled() and (error := task.exception()):
            self.world.broken_by(error)
        elif not task.cancelled():
            task.exception()

    def _failed(self, _, context):
        error = context.get("exception")
        if not self.is_dead:
            self.world.broken_by(error or AssertionError(context["message"]))

    def fire_timers(self):
        due = [timer for timer in self.timers if timer.at <= self.world.time.elapsed]
        for timer in due:
            self.timers.remove(timer)
            timer.function()

    def bury(self):
        """Let go of everything that was in memory."""
        for task in list(self.tasks):
            task.cancel()
        for _ in range(20):
            if not self.loop.has_work and not self.tasks:
                break
            self.loop.round()
        self.loop.close()
        self.background.clear()
        self.timers.clear()


class World:
    """Everything, and what can be done to it."""

    def __init__(self, plan, folder):
        self.plan = plan
        self.folder = Path(folder)
        self.rng = Rng(plan.seed)
        self.time = Time()
        self.randomness = SeededRandomness(self.rng)
        self.registry = _registry()
        self.trace = []
        self.counts = Counter()
        self.faults = Faults(self)
        disk().wipe()
        self.model = Model(disk().raw)
        self.is_stormy = plan.faults
        self.server = None
        self.servers = []
        self.buried = []
        self.attempts = {}
        self.stale = []
        self._launches = 0
        self._lives = 0
        self._depth = 0
        self._violation = None
        self.callers = Callers(self)

    # What is told.

    def note(self, line):
        self.trace.append(f"{self.time.elapsed:10.3f} {line}")

    def sometimes(self, name):
        self.counts[name] += 1

    def broken(self, promise, evidence):
        self.broken_by(BrokenPromiseError(promise, evidence))

    def broken_by(self, error):
        self._violation = self._violation or error

    def check(self):
        """Raise what was found, by anybody, and compare the rows with the model."""
        if self._violation:
            raise self._violation
        self.model.check(self)

    def digest(self):
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    # Time, as the model asks for it.

    def is_past(self, text):
        return datetime.fromisoformat(text) <= self.time.latest

    @staticmethod
    def is_before(text, now):
        return bool(text) and datetime.fromisoformat(text) <= now

    # Servers.

    def boot(self):
        """Begin a life of a server."""
        self._lives += 1
        with self._on(None):
            self.server = Server.__new__(Server)
            server = self.server
            server.__init__(self, f"s{self._lives}")
        self.servers.append(server)
        self.note(f"{server.name} starts")
        with self._on(server):
            server.start()
        return server

    @contextmanager
    def _on(self, server):
        before, self.server = self.server, server
        try:
            yield
        except Crash:
            if server is not None and not server.is_dead:
                raise
        finally:
            self.server = before

    def must_live(self):
        if self.server is not None:
            self.server.must_live()

    def crash(self, where):
        """End the server that is at work now."""
        self.crash_server(self.server, where)

    def crash_server(self, server, where):
        if server.is_dead:
            return
        self.note(f"{server.name} {where}: gone")
        self.sometimes("crash")
        server.is_dead = True
        server.is_up = False
        for attempt in list(self.attempts.values()):
            if attempt.server is server:
                self.executor_forgets(attempt)

    def bury_the_dead(self):
        if asyncio._get_running_loop() is not None:
            return
        for server in [one for one in self.servers if one.is_dead]:
            self.servers.remove(server)
            with self._on(server):
                server.bury()

    # Attempts.

    def launched(self, assignment, *, reports, server):
        self._launches += 1
        # What was committed before the launch must be known before it is judged.
        self.model.check(self)
        attempt = Attempt(
            number=self._launches, assignment=assignment, reports=reports, server=server, world=self
        )
        self.note(f"attempt {attempt.number} is {assignment.job_id}/{assignment.attempt}")
        self.attempts[attempt.number] = attempt
        self.model.launched(attempt.number, assignment)
        if assignment.checkpoint is not None:
            self.sometimes("resumed")
        return attempt

    def executor_forgets(self, attempt):
        if self.attempts.pop(attempt.number, None):
            attempt.server.executors[self._lane(attempt)].forget(attempt)
            self.stale.append(attempt)

    @staticmethod
    def _lane(attempt):
        return attempt.params["lane"]

    # What can be done.

    def act_attempt(self, attempt):
        with self._on(attempt.server):
            attempt.step()

    def act_stale(self, attempt):
        """A report of an attempt that is over, to whichever server is up."""
        up = [server for server in self.servers if server.is_up]
        if up:
            server = self.rng.choice(up)
            with self._on(server):
                attempt.reports = server.house.ledger
                attempt.linger()

    def act_commit(self, server):
        with self._on(server):
            if server.database.has_work:
                server.database.commit_some()

    def act_round(self, server):
        with self._on(server):
            server.loop.round()

    def act_background(self, server, background):
        with self._on(server):
            background.run()

    def act_timers(self, server):
        with self._on(server):
            server.fire_timers()

    def meanwhile(self, server):
        """While a thread of a server wakes up, others of it may be faster."""
        if self._depth or not self.is_stormy or not self.rng.chance(0.3):
            return
        self._depth += 1
        try:
            for _ in range(self.rng.randint(1, 3)):
                server.must_live()
                self._one_of_the_others(server)
        finally:
            self._depth -= 1
        server.must_live()

    def _one_of_the_others(self, server):
        mine = [attempt for attempt in self.attempts.values() if attempt.server is server]
        match self.rng.randrange(3):
            case 0 if mine:
                self.act_attempt(self.rng.choice(mine))
            case 1 if asyncio._get_running_loop() is None:
                self.act_round(server)
            case _:
                self.act_commit(server)


@cache
def _registry():
    return Registry(KINDS)


_world = None


@contextmanager
def simulated():
    """Put the simulation under the engine: threads, time, disk and failpoints are ours."""
    house, ledger = jobplane.engine.house, jobplane.engine.scheduler.ledger
    stand_ins = [
        (house, "Database", _database),
        (house, "Loop", lambda step, **facts: BackgroundStep(_world.server, step, **facts)),
        (house, "migrate", lambda *_, **__: None),
        (house, "open_content", lambda *_, **__: SimulatedContent(_world.server)),
        (failpoint, "reach", lambda name: _world.faults.visit(name) if _world else None),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in stand_ins]
    threading_before = ledger.threading
    for module, name, stand_in in stand_ins:
        setattr(module, name, stand_in)
    level = logging.getLogger("jobplane").level
    logging.getLogger("jobplane").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for module, name, real in before:
            setattr(module, name, real)
        ledger.threading = threading_before
        logging.getLogger("jobplane").setLevel(level)


def _database(url, *, readers, **hooks):
    return SimulatedDatabase(_world, _world.server, url, **hooks)


@contextmanager
def inhabited(plan, folder):
    """A world, with the engine's eyes on it."""
    global _world  # noqa: PLW0603  module attributes of the engine can see no other way
    world = World(plan, folder)
    _world = world
    jobplane.engine.scheduler.ledger.threading = Timers(world)
    try:
        yield world
    finally:
        for server in world.servers:
            server.is_dead = True
        world.bury_the_dead()
        _world = None
