"""Where a job stands in its line: its order, and the class of hardware that it asks for.

Order: a job is as urgent as its priority plus its age, where one point of priority is worth
`POINT_S` seconds of waiting. All jobs age alike, so their order never changes while they
wait, and one number that is written once holds it: the moment of the submit, put earlier by
the worth of the priority. The whole range of priorities is worth an hour: a job of priority 0
is overtaken by no job that is submitted an hour after it or later, so it can't starve.
"""

import math
from datetime import UTC, datetime, timedelta

from jobplane.engine.domain.job import Job, Resources

POINT_S = 3.6
NO_RESOURCES = Resources()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def rank_us(job: Job) -> int:
    """The job's order among those that wait: the lowest starts first.

    Time that it was paused, or not meant to start yet, does not count as age.
    """
    start_at = job.spec.policy.start_at
    since = job.created_at if start_at is None else max(job.created_at, start_at)
    microseconds = (since - _EPOCH) // _MICROSECOND
    return microseconds + int((job.paused_s - job.priority * POINT_S) * 1_000_000)


def shape_of(resources: Resources) -> str:
    """The class of what is asked for: jobs of one class fit or don't fit nearly together.

    Amounts go up to the next power of two, so that there are few classes.
    """
    if resources == NO_RESOURCES:
        return ""
    gpus = f"{resources.gpu_type}x{_ceiling(resources.gpu_count)}" if resources.gpu_count else ""
    parts = [
        f"c{_ceiling(resources.cpu)}" if resources.cpu else "",
        f"m{_ceiling(resources.memory_bytes / 2**20)}" if resources.memory_bytes else "",
        gpus,
        "spot" if resources.spot_ok else "",
    ]
    return ",".join(part for part in parts if part)


def _ceiling(amount: float) -> int:
    return int(2 ** math.ceil(math.log2(max(amount, 1))))
