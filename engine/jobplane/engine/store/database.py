"""The database: one writer that commits in groups, and readers that never wait for it."""

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from jobplane.engine import failpoint
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.errors import BackendUnavailableError, EngineError
from jobplane.engine.domain.job import Job
from jobplane.engine.store.loads import Deltas

Item = TypeVar("Item")
T = TypeVar("T")
log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 5.0
JOURNAL_LIMIT_BYTES = 16 * 1024 * 1024
CHECKPOINT_BYTES = 2 * 1024 * 1024
AUTOCHECKPOINT_PAGES = 4000
# A group is bounded so that the first of it does not wait long for the last.
GROUP_LIMIT = 256


@dataclass(slots=True)
class Transaction:
    """What a write operation works with: the connection, and the changes it made.

    An operation reads, decides, and only then writes, so that a refusal (EngineError)
    leaves nothing behind and the others of its group stand.
    """

    connection: Connection
    changes: list[Change] = field(default_factory=list[Change])
    # Shared by the operations of a group, and stored with them.
    loads: Deltas = field(default_factory=Deltas)
    # Jobs that ended, by key: whoever waits for them is told in the same transaction.
    ended: list[tuple[int, Job]] = field(default_factory=list[tuple[int, Job]])

    @contextmanager
    def all_or_nothing(self) -> Generator[Callable[[], None]]:
        """Undo what was written here when a refusal comes, or when it is asked for."""
        changes, ended, loads = len(self.changes), len(self.ended), self.loads.copied()
        point = self.connection.begin_nested()
        wanted = [True]

        def undo() -> None:
            point.rollback()
            del self.changes[changes:], self.ended[ended:]
            self.loads.go_back(loads)

        # Anything else that is raised undoes the whole group.
        try:
            yield lambda: wanted.__setitem__(0, False)
        except EngineError:
            undo()
            raise
        if wanted[0]:
            point.commit()
        else:
            undo()


Write = Callable[[Transaction], T]
Read = Callable[[Connection], T]
# Does what many ask for at once; an answer, or a refusal, for each item in its order.
Gathering = Callable[[Transaction, Sequence[Item]], Sequence[T | EngineError]]


class _Order(NamedTuple):
    operation: Gathering[Any, Any]
    item: Any
    future: "Future[Any]"


class _InDoubtError(Exception):
    """The commit itself failed: it happened, or it did not."""

    def __init__(self, cause: SQLAlchemyError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _JoinFailedError(Exception):
    """What wanted to be part of a group failed; the group can do without it."""


class Database:
    """One SQLite file or one PostgreSQL database."""

    def __init__(
        self,
        url: str,
        *,
        on_commit: Callable[[Sequence[Change]], None],
        on_end: Callable[[Transaction], None],
        join: Callable[[Transaction], None] = lambda _: None,
        readers: int = 8,
    ) -> None:
        self._url = make_url(url)
        self._on_commit = on_commit
        self._on_end = on_end
        # Called last in every group, with all its changes: what it writes costs no commit.
        self._join = join
        self._writer_engine = open_engine(self._url, read_only=False, size=1)
        self._reader_engine = open_engine(self._url, read_only=True, size=readers)
        self._checkpointer = open_engine(self._url, read_only=False, size=1)
        self._connection: Connection | None = None
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")
        self._closed = False

    @property
    def dialect(self) -> str:
        """Sqlite or postgresql."""
        return self._url.get_backend_name()

    def start(self) -> None:
        """Begin to take writes."""
        self._writer.start()

    def close(self) -> None:
        """Finish what was handed in, then let the database go."""
        if self._closed:
            return
        self._closed = True
        if self._writer.is_alive():
            self._orders.put(None)
            self._writer.join()
        self._readers.shutdown()
        if self._connection is not None:
            self._connection.close()
        for engine in (self._reader_engine, self._checkpointer, self._writer_engine):
            engine.dispose()

    def write(self, operation: Write[T]) -> "Future[T]":
        """Run an operation in the next group; the result is durable when it is there."""
        return self._order(lambda transaction, _: [operation(transaction)], None)

    def gather(self, operation: Gathering[Item, T], item: Item) -> "Future[T]":
        """Run an operation over the items that the next group has for it, this one among them."""
        return self._order(operation, item)

    def _order(self, operation: Gathering[Item, T], item: Item) -> "Future[T]":
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(BackendUnavailableError("the store is closed"))
        else:
            self._orders.put(_Order(operation, item, future))
        return future

    def read(self, operation: Read[T]) -> "Future[T]":
        """Run a read on a connection of its own; no read outlives its operation."""
        return self._readers.submit(self.read_now, operation)

    def read_now(self, operation: Read[T]) -> T:
        """Run a read in this thread."""
        with _said_plainly(), self._reader_engine.begin() as connection:
            return operation(connection)

    @contextmanager
    def exclusive(self) -> Generator[Connection]:
        """Give a writing connection to work outside the writer: migrations, checks."""
        with _said_plainly(), self._writer_engine.connect() as connection:
            yield connection

    def checkpoint(self) -> None:
        """Move what is committed from the log into the file, beside the writer, not in it."""
        log_file = Path(f"{self._url.database}-wal")
        if self.dialect != "sqlite" or not log_file.is_file():
            return
        if log_file.stat().st_size >= CHECKPOINT_BYTES:
            with _said_plainly(), self._checkpointer.connect() as connection:
                cursor = connection.connection.cursor()
                try:
                    cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
                except sqlite3.Error as error:
                    # The cursor is the driver's own, and so are its errors.
                    raise BackendUnavailableError(str(error)) from error
                finally:
                    cursor.close()

    @contextmanager
    def _writing(self) -> Generator[Connection]:
        """A transaction on the writer's one connection; a broken connection is replaced."""
        if self._connection is None:
            self._connection = self._writer_engine.connect()
        try:
            with self._connection.begin():
                yield self._connection
        except Exception:
            connection, self._connection = self._connection, None
            connection.close()
            raise

    def _write_loop(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                self._commit_group(group)
            except Exception:
                log.exception("store.writer_failed", extra={"orders": len(group)})
                for order in group:
                    if not order.future.done():
                        order.future.set_exception(BackendUnavailableError("the writer failed"))

    def _next_group(self) -> list[_Order] | None:
        """All that waits, at least one; None when the writer shall end."""
        first = self._orders.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                break
            if order is None:
                # Come back to the end after this group.
                self._orders.put(None)
                break
            group.append(order)
        # From here on a caller that gives up can't undo what it asked for.
        return [order for order in group if order.future.set_running_or_notify_cancel()]

    def _commit_group(self, group: list[_Order], *, is_joined: bool = True) -> None:
        if not group:
            return
        try:
            changes, answers = self._run(group, is_joined=is_joined)
        except _JoinFailedError:
            log.exception("store.join_failed", extra={"orders": len(group)})
            self._commit_group(group, is_joined=False)
            return
        except _InDoubtError as error:
            # It may have happened: done again, a submit without a key would make two jobs.
            for order in group:
                order.future.set_exception(_unavailable(error.cause))
            return
        except Exception as error:  # noqa: BLE001  an operation's own bug is its caller's to hear of
            if len(group) == 1:
                group[0].future.set_exception(_told(error))
                return
            # One of them can't be done, and the others must not suffer for it.
            for order in group:
                self._commit_group([order], is_joined=is_joined)
            return
        if changes:
            self._tell(changes)
        for order, answer in zip(group, answers, strict=True):
            _resolve(order.future, answer)

    def _tell(self, changes: Sequence[Change]) -> None:
        """Pass on what is durable; a listener's failure can't make it undone."""
        try:
            self._on_commit(changes)
        except Exception:
            log.exception("store.listener_failed", extra={"changes": len(changes)})

    def _run(
        self, group: list[_Order], *, is_joined: bool = True
    ) -> tuple[list[Change], list[Any]]:
        """Run and commit a group; answers are results or refusals, in order."""
        changes: list[Change] = []
        answers: list[Any] = [None] * len(group)
        loads = Deltas()
        is_committing = False
        try:
            with self._writing() as connection:
                for operation, places in _gathered(group).items():
                    transaction = Transaction(connection, loads=loads)
                    try:
                        found = operation(transaction, [group[place].item for place in places])
                    except EngineError as refusal:
                        found = [refusal] * len(places)
                    else:
                        if transaction.ended:
                            self._on_end(transaction)
                        changes.extend(transaction.changes)
                    for place, answer in zip(places, found, strict=True):
                        answers[place] = answer
                if is_joined:
                    self._run_joined(Transaction(connection, changes, loads))
                loads.flush(connection)
                failpoint.reach("commit_before")
                is_committing = True
        except SQLAlchemyError as error:
            if is_committing:
                raise _InDoubtError(error) from error
            raise
        failpoint.reach("commit_after")
        return changes, answers

    def _run_joined(self, transaction: Transaction) -> None:
        try:
            self._join(transaction)
        except Exception as error:
            raise _JoinFailedError from error


def _gathered(group: Sequence[_Order]) -> dict[Gathering[Any, Any], list[int]]:
    """The places in a group that ask for the same, each with the first of its kind."""
    gathered: dict[Gathering[Any, Any], list[int]] = {}
    for place, order in enumerate(group):
        gathered.setdefault(order.operation, []).append(place)
    return gathered


def _resolve(future: "Future[Any]", answer: Any) -> None:
    if isinstance(answer, EngineError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


@contextmanager
def _said_plainly() -> Generator[None]:
    """Turn errors of the database into our own."""
    try:
        yield
    except DBAPIError as error:
        raise _unavailable(error) from error


def _told(error: Exception) -> Exception:
    return _unavailable(error) if isinstance(error, SQLAlchemyError) else error


def _unavailable(error: SQLAlchemyError) -> BackendUnavailableError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return BackendUnavailableError(str(cause).splitlines()[0] if str(cause) else "unknown")


def open_engine(url: URL, *, read_only: bool, size: int) -> Engine:
    """An engine whose connections follow the rules of this store."""
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, read_only=read_only, size=size)
    return create_engine(url, pool_size=size, max_overflow=0, pool_pre_ping=True)


def _open_sqlite(url: URL, *, read_only: bool, size: int) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        poolclass=QueuePool if url.database else NullPool,
        pool_size=size,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # The driver shall not begin transactions by itself: BEGIN is ours to say.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT_BYTES}")
        # A backstop: the checkpointer beside the writer does nearly all of this work.
        cursor.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA query_only = {int(read_only)}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a deferred transaction that turns to writing fails at once when another
        # commit came between, whatever the busy time-out says.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def sqlite_url(path: Path) -> str:
    """URL of a SQLite file."""
    return f"sqlite:///{path}"
