"""Why a queued job waits, in one reason and one sentence."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from jobplane.engine.domain.job import Job, Resources, Wait, WaitReason
from jobplane.engine.domain.standing import NO_RESOURCES
from jobplane.engine.scheduler.dependencies import waiting_for
from jobplane.engine.scheduler.quota import Gates
from jobplane.engine.store import dependencies, jobs, queues
from jobplane.engine.store.jobs import Stored
from jobplane.engine.store.queues import QueueState

# What keeps a job of this lane and kind from ever starting here; empty when nothing does.
Obstacle = Callable[[str, str], str]


def wait_of(connection: Connection, stored: Stored, *, now: datetime, obstacle: Obstacle) -> Wait:
    """The first thing that keeps the job from a start, and its place in its queue."""
    job = stored.job
    position = jobs.position(connection, stored)
    if job.spec.depends_on:
        number, name = dependencies.open_of(connection, stored.pk)
        if number:
            return Wait(WaitReason.DEPENDENCY, waiting_for(number, name))
    wait = job.wait
    if wait and wait.not_before and wait.not_before > now:
        return replace(wait, position=0)
    if queues.state_of(connection, job.queue) is QueueState.CORDONED:
        message = f"queue {job.queue!r} is cordoned: an operator must open it"
        return Wait(WaitReason.QUEUE_CORDONED, message, position)
    if why := obstacle(stored.lane, job.kind):
        return Wait(WaitReason.NO_WORKER_FOR_KIND, why, position)
    if message := _quota_message(connection, job, now):
        return Wait(WaitReason.QUOTA, message, position)
    return Wait(WaitReason.CAPACITY, _capacity_message(job.spec.resources), position)


def _quota_message(connection: Connection, job: Job, now: datetime) -> str:
    gates = Gates.of(connection, now)
    metric = gates.closed_by(job.project, job.kind, job.spec.resources)
    if not metric:
        return ""
    limit = gates.limits[job.project].of(metric)
    return f"project {job.project!r} is at its limit of {limit:g} for {metric}"


def _capacity_message(resources: Resources) -> str:
    if resources == NO_RESOURCES:
        return "it waits for a free slot"
    wishes = [
        f"{resources.cpu:g} cores" if resources.cpu else "",
        f"{resources.memory_bytes / 2**30:.3g} GiB" if resources.memory_bytes else "",
        f"{resources.gpu_count} GPUs {resources.gpu_type}".rstrip() if resources.gpu_count else "",
    ]
    return f"it waits for a machine with {', '.join(filter(None, wishes))} free"
