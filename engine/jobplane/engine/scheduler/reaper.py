"""Enforces every deadline, so that no state lasts for ever by accident."""

import logging
from datetime import datetime, timedelta

from jobplane.engine import failpoint
from jobplane.engine.clock import Clock, Randomness
from jobplane.engine.domain import lifecycle
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.store import jobs
from jobplane.engine.store.database import Database, Transaction, Write

log = logging.getLogger(__name__)
PAGE = 200
WRITE_TIMEOUT_S = 30.0


class Reaper:
    """One step looks at what is due; a page at a time, so that writers get their turn."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        randomness: Randomness,
        worker: str,
        lease_s: float,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._randomness = randomness
        self._worker = worker
        self._lease_s = lease_s

    def step(self) -> None:
        """Promote what waited for its time, end what is overdue, note who is alive."""
        self._ledger.touch()
        now = self._clock.now()
        if self._database.read_now(lambda connection: jobs.any_due(connection, now=now)):
            self._run(self._promote)
            while self._run(self._enforce) == PAGE:
                pass
        if self._database.read_now(
            lambda connection: jobs.any_stale(connection, before=self._lease_start())
        ):
            while self._run(self._release) == PAGE:
                pass

    def recover(self) -> int:
        """Take up what another life of this server was running; how many jobs."""
        recovered = 0
        while count := self._run(self._take_over):
            failpoint.reach("recover_after_commit")
            recovered += count
        if recovered:
            log.info("engine.recovered", extra={"jobs": recovered})
        return recovered

    def _run(self, operation: Write[int]) -> int:
        return self._database.write(operation).result(WRITE_TIMEOUT_S)

    def _promote(self, transaction: Transaction) -> int:
        return jobs.promote(transaction.connection, now=self._clock.now())

    def _enforce(self, transaction: Transaction) -> int:
        now = self._clock.now()
        due = jobs.due(transaction.connection, now=now, limit=PAGE)
        for stored in due:
            change = lifecycle.overdue(stored.job, now=now)
            jobs.save(transaction, stored, change)
        return len(due)

    def _release(self, transaction: Transaction) -> int:
        """Attempts that nobody has heard of for a whole lease are lost."""
        stale = jobs.stale(transaction.connection, before=self._lease_start(), limit=PAGE)
        for stored in stale:
            message = f"nothing was heard of the attempt for {self._lease_s:g} s"
            self._lose(transaction, stored, "WORKER_LOST", message)
        return len(stale)

    def _take_over(self, transaction: Transaction) -> int:
        abandoned = jobs.abandoned(transaction.connection, worker=self._worker, limit=PAGE)
        for stored in abandoned:
            self._lose(transaction, stored, "SERVER_LOST", "the server ended during the attempt")
        if abandoned:
            failpoint.reach("recover_before_commit")
        return len(abandoned)

    def _lose(
        self, transaction: Transaction, stored: jobs.Stored, reason: str, message: str
    ) -> None:
        change = lifecycle.lost(
            stored.job,
            reason=reason,
            message=message,
            now=self._clock.now(),
            jitter=self._randomness.jitter(),
        )
        jobs.save(transaction, stored, change)

    def _lease_start(self) -> datetime:
        return self._clock.now() - timedelta(seconds=self._lease_s)
