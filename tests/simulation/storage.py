"""The store in memory: the real writer and statements, one thread, and faults on demand."""

import hashlib
import shutil
import sqlite3
import tempfile
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from jobplane.engine.content.port import Content, Found
from jobplane.engine.domain.errors import BackendUnavailableError
from jobplane.engine.store import database, migrate
from tests.simulation.virtual import BEGINNING


class Crash(BaseException):
    """The server is gone, at this very place."""


@cache
def empty_database():
    """Bytes of a database with our schema and nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="jobplane-simulation-"))
    try:
        path = folder / "empty.db"
        migrate.migrate(database.sqlite_url(path), now=BEGINNING)
        source, target = sqlite3.connect(path), sqlite3.connect(":memory:")
        source.backup(target)
        image = bytearray(target.serialize())
        source.close()
        target.close()
    finally:
        shutil.rmtree(folder)
    # A database in memory has no write-ahead log: bytes 18 and 19 say which journal it needs.
    image[18] = image[19] = 1
    return bytes(image)


class Disk:
    """What outlives every server: the rows and the content."""

    def __init__(self):
        self.raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.engine = create_engine("sqlite://", creator=lambda: self.raw, poolclass=StaticPool)
        event.listen(
            self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
        )
        self.content = {}

    def wipe(self):
        self.raw.deserialize(empty_database())
        self.raw.execute("PRAGMA foreign_keys = ON")
        self.content = {}


@cache
def disk():
    """The one disk of this process, wiped for each schedule: opening one costs milliseconds."""
    return Disk()


def disk_error(what):
    return OperationalError(what, {}, sqlite3.OperationalError(f"simulated fault at {what}"))


class SimulatedFuture(Future):
    """A future whose waiter has the store do its work; callbacks may not fail in silence."""

    def __init__(self, wait):
        super().__init__()
        self._wait = wait

    def result(self, timeout=None):  # noqa: ARG002  virtual: it does not pass here
        if not self.done():
            self._wait(self)
        return super().result(0)

    def add_done_callback(self, fn):
        if self.done():
            fn(self)
        else:
            self._done_callbacks.append(fn)

    def _invoke_callbacks(self):
        for callback in self._done_callbacks:
            callback(self)


class SimulatedDatabase(database.Database):
    """`Database` without threads: orders wait until the simulation has a group committed."""

    def __init__(self, world, server, url, *, on_commit, on_end, join):
        self._url = make_url(url)
        self._on_commit = on_commit
        self._on_end = on_end
        self._join = join
        self._world = world
        self._server = server
        self._waiting = deque()
        self._closed = False

    @property
    def dialect(self):
        # With two servers, none may take all that runs for its own leftovers.
        return "postgresql" if self._world.plan.servers > 1 else "sqlite"

    @property
    def has_work(self):
        return bool(self._waiting)

    def start(self):
        pass

    def close(self):
        while self._waiting:
            self.commit_some()
        self._closed = True

    def _order(self, operation, item):
        self._server.must_live()
        future = SimulatedFuture(self._wait_for)
        if self._closed:
            future.set_exception(BackendUnavailableError("the store is closed"))
        else:
            self._waiting.append(database._Order(operation, item, future))
        return future

    def read(self, operation):
        future = SimulatedFuture(self._wait_for)
        try:
            future.set_result(self.read_now(operation))
        except Exception as error:  # noqa: BLE001  the reader's to hear of
            future.set_exception(error)
        return future

    def read_now(self, operation):
        self._server.must_live()
        with database._said_plainly():
            self._world.faults.visit("read")
            with disk().engine.begin() as connection:
                return operation(connection)

    @contextmanager
    def exclusive(self):
        with disk().engine.connect() as connection:
            yield connection

    def checkpoint(self):
        pass

    @contextmanager
    def _writing(self):
        faults = self._world.faults
        faults.visit("begin")
        with disk().engine.begin() as connection:
            yield connection
            faults.visit("commit")
        faults.visit("committed")

    def commit_some(self):
        """Commit one group: one order, or all that wait, or some."""
        self._server.must_live()
        size = self._world.rng.choice((1, len(self._waiting), len(self._waiting)))
        group = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
        self._world.note(f"{self._server.name} commits {len(group)}")
        live = [order for order in group if order.future.set_running_or_notify_cancel()]
        self._world.faults.group_size = len(live)
        try:
            self._commit_group(live)
        except Exception as error:  # noqa: BLE001  the writer's own loop catches as much
            self._world.broken("writer_failed", repr(error))
            for order in live:
                if not order.future.done():
                    order.future.set_exception(BackendUnavailableError("the writer failed"))

    def _wait_for(self, future):
        while not future.done():
            self.commit_some()
        # Others go on while the thread that waited wakes up.
        self._world.meanwhile(self._server)


class SimulatedContent:
    """Content in memory, with the time at which it was last handed in."""

    def __init__(self, server):
        self._server = server

    def start(self):
        pass

    def put(self, data):
        self._server.must_live()
        digest = hashlib.sha256(data).hexdigest()
        disk().content[digest] = (bytes(data), self._server.clock.now())
        return Content(digest, len(data))

    def take(self, path, *, inside):  # noqa: ARG002
        return self.put(path.name.encode())

    def touch(self, sha256):
        if sha256 not in disk().content:
            return None
        data, _ = disk().content[sha256]
        disk().content[sha256] = (data, self._server.clock.now())
        return len(data)

    def remove(self, found):
        _, touched_at = disk().content.get(found.sha256, (b"", None))
        if touched_at not in {None, found.touched_at}:
            return False
        disk().content.pop(found.sha256, None)
        return True

    def walk(self):
        return iter(
            [Found(key, len(data), at) for key, (data, at) in sorted(disk().content.items())]
        )

    def path_of(self, sha256):
        return Path("content") / sha256

    def read(self, sha256):
        if sha256 not in disk().content:
            raise FileNotFoundError(sha256)
        return disk().content[sha256][0]
