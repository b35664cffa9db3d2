"""The feed: finds in the table what the hub was not told, once a second for all watchers."""

from jobplane.engine.store import events
from jobplane.engine.store.database import Database
from jobplane.engine.watch.hub import Hub


class Feed:
    """Makes good a lost wake-up, and carries events of other servers on the same database."""

    def __init__(self, *, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._revision = 0

    def start(self) -> None:
        """Begin at the newest event."""
        self._revision = self._database.read_now(events.latest_revision)

    def step(self) -> None:
        """Wake the watchers of every job that has newer events."""
        if not self._hub.watchers:
            self.start()
            return
        found = self._database.read_now(
            lambda connection: events.advances(connection, after_revision=self._revision)
        )
        for advance in found:
            self._hub.advance((advance.project, advance.job_id), advance.sequence)
            self._revision = max(self._revision, advance.revision)
