"""Planted bugs: each breaks one promise inside the engine, and the simulation must find it.

They patch the engine's own functions for the length of a test; product code knows nothing of
them. Each comes with the promises of which at least one must be found broken.
"""

from dataclasses import replace

import tests.simulation.world as simulation
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.change import Change, Draft
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.scheduler.ledger import Ledger
from jobplane.engine.scheduler.reaper import Reaper
from jobplane.engine.store import database, keys
from jobplane.engine.watch import stream

PLANTS = {}


def _finds(*promises):
    def add(plant):
        PLANTS[plant.__name__] = (plant, promises)
        return plant

    return add


@_finds("P7", "P8")
def no_fence(patch):
    """Take the reports of any attempt as those of the live one."""
    real = Ledger._apply_to

    def apply_to(self, transaction, live, stored, *rest):
        mine = replace(live.assignment, attempt=stored.job.attempt)
        return real(self, transaction, replace(live, assignment=mine), stored, *rest)

    patch.setattr(Ledger, "_apply_to", apply_to)


@_finds("P4", "P3", "writer_failed", "liveness")
def sequence_from_memory(patch):
    """Number events by what this life of the server has seen."""
    counts = {}
    real = Draft.emit

    def emit(self, payload):
        server = simulation._world.server
        key = (server, self._job.job_id)
        self.sequence = counts.get(key, self.sequence)
        real(self, payload)
        counts[key] = self.sequence

    patch.setattr(Draft, "emit", emit)


@_finds("liveness")
def no_recovery(patch):
    """Leave to themselves the attempts that an earlier life was running."""
    patch.setattr(Reaper, "recover", lambda _self: 0)
    patch.setattr(Reaper, "_release", lambda _self, _transaction: 0)


@_finds("P4", "P5")
def silent_cancel(patch):
    """Cancel a job that waits without the event that ends its history."""
    real = lifecycle.cancelled

    def cancelled(job, **facts):
        told = real(job, **facts)
        if job.status is not JobStatus.QUEUED or not told.events:
            return told
        sequence = told.job.sequence - 1
        return Change(job, replace(told.job, sequence=sequence), told.events[:-1])

    patch.setattr(lifecycle, "cancelled", cancelled)


@_finds("liveness")
def poison_refunded(patch):
    """Give a job back every attempt that took its server down."""
    patch.setattr(lifecycle, "_NOT_THE_JOBS_FAULT", frozenset({"SERVER_STOPPED", "SERVER_LOST"}))


@_finds("P2")
def forgotten_key(patch):
    """Make a job without binding its key."""
    patch.setattr(keys, "use", lambda *_, **__: None)


@_finds("P8")
def forgotten_checkpoint(patch):
    """Start every attempt from the beginning."""
    real = lifecycle.begun
    patch.setattr(
        lifecycle, "begun", lambda job, **facts: real(replace(job, checkpoint=None), **facts)
    )


@_finds("bounds", "liveness")
def no_deadlines(patch):
    """Look at nothing that is overdue."""
    patch.setattr(Reaper, "_enforce", lambda _self, _transaction: 0)


@_finds("P2")
def done_again_when_in_doubt(patch):
    """Repeat the writes of a group whose commit may have happened."""

    def commit_group(self, group):
        try:
            changes, answers = self._run(group)
        except Exception as error:  # noqa: BLE001  as the store once did
            if len(group) == 1:
                group[0].future.set_exception(database.BackendUnavailableError(str(error)))
                return
            for order in group:
                self._commit_group([order])
            return
        self._on_commit(changes)
        for order, answer in zip(group, answers, strict=True):
            database._resolve(order.future, answer)

    patch.setattr(database.Database, "_commit_group", commit_group)


@_finds("P5")
def silence_by_the_wall_clock(patch):
    """Measure a watcher's silence with a clock that may be set back."""
    patch.setattr(stream, "_elapsed", lambda: simulation._world.time.wall().timestamp())
