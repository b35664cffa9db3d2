"""The feed: reads new events once for all watchers of this process.

It makes good a lost wake-up, carries events of other servers on the same database, and puts
up for those who watch many jobs what changed. It reads once a second, and when told of a
commit while somebody watches many jobs.
"""

from jobplane.engine.store import events
from jobplane.engine.store.database import Database
from jobplane.engine.store.events import Stretch
from jobplane.engine.watch.board import Board, Item
from jobplane.engine.watch.hub import Hub

# Beyond so many events a step reads none of them: each watch reads what it needs.
STEP_LIMIT = 20_000


class Feed:
    """One reader of the feed of all events."""

    def __init__(self, *, database: Database, hub: Hub, board: Board) -> None:
        self._database = database
        self._hub = hub
        self._board = board
        # Where one process makes all commits, each is noted right after it.
        self._notes_come = database.dialect == "sqlite"

    def start(self) -> None:
        """Begin at the newest event."""
        self._board.skip_to(self._database.read_now(events.latest_revision))

    def step(self) -> None:
        """Wake the watchers of every job that has newer events."""
        after = self._board.position
        latest = self._database.read_now(events.latest_revision)
        if latest <= after:
            return
        if self._hub.may_be_behind:
            self._wake_watchers_of_one(after)
        # A watch that begins meanwhile reads the table up to where the board goes on.
        if not self._board.watchers or latest - after > STEP_LIMIT:
            self._board.skip_to(latest)
            return
        stretch = self._database.read_now(
            lambda connection: events.stretch(connection, after=after)
        )
        if self._notes_come:
            self._board.await_note(stretch.latest)
        self._board.put_up(items_of(stretch, self._board), stretch.through)

    def _wake_watchers_of_one(self, after: int) -> None:
        found = self._database.read_now(
            lambda connection: events.advances(connection, after_revision=after)
        )
        for advance in found:
            self._hub.advance((advance.project, advance.job_id), advance.sequence)


def items_of(stretch: Stretch, board: Board | None = None) -> list[Item]:
    """Changed and deleted jobs in their order; with a board, with what they were before."""
    items = [
        Item(one.project, one.job_id, one.revision, one.revision, None) for one in stretch.buried
    ]
    for job, first_sequence, first_revision, revision in stretch.moved:
        before, is_known = None, first_sequence == 1
        if board is not None:
            before, is_known = board.before(job.project, job.job_id, first_sequence - 1)
        items.append(Item(job.project, job.job_id, first_revision, revision, job, before, is_known))
    items.sort(key=lambda item: item.revision)
    return items
