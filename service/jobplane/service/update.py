"""UpdateJob: a field mask turned into what changes."""

import re
from collections.abc import Iterable

from jobplane.engine.domain.errors import (
    ConflictError,
    EtagMismatchError,
    InvalidSpecError,
    Violation,
)
from jobplane.engine.domain.job import Job
from jobplane.service.names import split_job_name
from jobplane.service.port import ChangePort
from jobplane.v1 import job_service_pb2 as wire

_PATH = re.compile(r"priority|queue|labels(\..+)?")
_TRIES = 5


async def update_job(engine: ChangePort, request: wire.UpdateJobRequest, updater: str) -> Job:
    """Give the changed job. Single labels are merged into the map that the job has."""
    project, job_id = split_job_name(request.job.name, "job.name")
    paths = _checked(request.update_mask.paths)
    merges = any(path.startswith("labels.") for path in paths)
    for _ in range(_TRIES):
        base = await engine.get(project, job_id) if merges else None
        try:
            return await engine.update(
                project,
                job_id,
                priority=request.job.priority if "priority" in paths else None,
                queue=request.job.queue if "queue" in paths else None,
                labels=_labels(request, paths, base),
                etag=request.job.etag or (base.etag if base else ""),
                updater=updater,
            )
        except EtagMismatchError:
            # The caller named no etag, so it is our own reading that is old: read again.
            if request.job.etag or base is None:
                raise
    raise ConflictError


def _checked(paths: Iterable[str]) -> frozenset[str]:
    violations = [
        Violation(f"update_mask.paths[{index}]", f"{path!r} can't be updated")
        for index, path in enumerate(paths)
        if not _PATH.fullmatch(path)
    ]
    if not paths:
        violations = [Violation("update_mask", "must name priority, queue, labels or labels.KEY")]
    if violations:
        raise InvalidSpecError(violations)
    return frozenset(paths)


def _labels(
    request: wire.UpdateJobRequest, paths: frozenset[str], base: Job | None
) -> dict[str, str] | None:
    """Give the whole new map; a single label that the request lacks is taken away."""
    wished = dict(request.job.labels)
    if "labels" in paths:
        return wished
    if base is None:
        return None
    labels = dict(base.labels)
    for key in (path.removeprefix("labels.") for path in paths if path.startswith("labels.")):
        if key in wished:
            labels[key] = wished[key]
        else:
            labels.pop(key, None)
    return labels
