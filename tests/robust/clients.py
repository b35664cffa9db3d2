"""Clients that change things: submitters, cancellers, pausers, deleters, an answerer."""

import hashlib
from collections.abc import AsyncIterator, Sequence

from jobplane.v1 import artifact_service_pb2, spec_pb2
from jobplane.v1 import job_service_pb2 as wire
from tests.robust.history import Operation
from tests.robust.record import PROJECT
from tests.robust.room import Room, job_name
from tests.robust.shapes import SHAPES, Shape, job_spec, pick
from tests.robust.watchers import watch

RESUBMITS = 0.10
FORCED = 0.5
PAUSES = 0.4
WATCHES = 0.30
DELETES = 0.15
INPUTS = 0.1
# A job waits for some of so many that came last.
RECENT = 12
CONDITIONS = (
    spec_pb2.Dependency.CONDITION_SUCCEEDED,
    spec_pb2.Dependency.CONDITION_SUCCEEDED_FULLY,
    spec_pb2.Dependency.CONDITION_FINISHED,
    spec_pb2.Dependency.CONDITION_NOT_SUCCEEDED,
)
PATIENCE_S = 2.0
UPLOAD_CHUNK = 8192
PAUSABLE = frozenset({"steps", "checkpoints", "long", "process"})


async def submitter(room: Room) -> None:
    """Submit job after job; every call is repeated until its outcome is known."""
    while room.is_loading:
        shape = pick(room.rng, only=room.only, with_processes=_may_spawn(room))
        request = submit_request(room, shape, depends_on=_upstreams(room))
        operation = await _submit(room, request, shape)
        if operation.is_ok and shape.retention_s is None and room.rng.random() < DELETES:
            room.doomed.add(operation.job_id)
            room.spawn(_deleter(room, request, operation.job_id, shape))
        elif operation.is_ok and shape.retention_s is None:
            _follow(room, operation.job_id, shape)
            if room.rng.random() < RESUBMITS:
                await _resubmit(room, request, shape)
        await room.pause(0.002, 0.02)


def _may_spawn(room: Room) -> bool:
    spawned = sum(SHAPES[name].is_process for name in room.shapes.values())
    # Each costs half a second of a core.
    return spawned < (2 + room.now()) * room.processes_per_s


def submit_request(
    room: Room, shape: Shape, *, depends_on: Sequence[spec_pb2.Dependency] = ()
) -> wire.SubmitJobRequest:
    """A new request with a key of its own."""
    key = f"{room.rng.getrandbits(64):016x}"
    spec = job_spec(shape, room.rng)
    spec.depends_on.extend(depends_on)
    if room.uploads and room.rng.random() < INPUTS:
        digest = room.rng.choice(room.uploads[-RECENT:])
        spec.inputs["data"].artifact = f"projects/{PROJECT}/artifacts/{digest}"
    body = hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()[:16]
    labels = {"shape": shape.name, "body": body, "key": key}
    return wire.SubmitJobRequest(project=PROJECT, spec=spec, idempotency_key=key, labels=labels)


def _upstreams(room: Room) -> list[spec_pb2.Dependency]:
    """Now and then, one or two of the jobs before, whatever became of them."""
    recent = list(room.shapes)[-RECENT:]
    if not recent or room.rng.random() >= room.depends:
        return []
    chosen = room.rng.sample(recent, min(room.rng.choice((1, 1, 2)), len(recent)))
    return [
        spec_pb2.Dependency(job=job_name(one), condition=room.rng.choice(CONDITIONS))
        for one in chosen
    ]


async def _deleter(room: Room, request: wire.SubmitJobRequest, job_id: str, shape: Shape) -> None:
    """Delete a job once it is over, then look for it, and try its key again."""
    look = wire.GetJobRequest(name=job_name(job_id))
    while room.is_open:
        _, seen = await room.call(room.jobs.GetJob, look, verb="get", job_id=job_id)
        if seen.done:
            delete = wire.DeleteJobRequest(name=job_name(job_id))
            await room.insist(room.jobs.DeleteJob, delete, verb="delete", job_id=job_id)
            await room.call(room.jobs.GetJob, look, verb="get", job_id=job_id)
            await _submit(room, request, shape, job_id=job_id)
            return
        await room.pause(0.02, 0.2)


async def _submit(
    room: Room, request: wire.SubmitJobRequest, shape: Shape, *, job_id: str = ""
) -> Operation:
    policy = wire.DuplicatePolicy.Name(request.duplicate_policy).removeprefix("DUPLICATE_POLICY_")
    operation = await room.insist(
        room.jobs.SubmitJob,
        request,
        verb="submit",
        key=request.idempotency_key,
        body=request.labels["body"],
        shape=shape.name,
        policy=policy,
        job_id=job_id,
    )
    if operation.is_ok:
        room.shapes.setdefault(operation.job_id, shape.name)
    return operation


async def _resubmit(room: Room, request: wire.SubmitJobRequest, shape: Shape) -> None:
    """Use a key again: as a careful client does, as a strict one, as a wrong one."""
    again = wire.SubmitJobRequest()
    again.CopyFrom(request)
    match room.rng.randrange(3):
        case 0:
            again.duplicate_policy = wire.DUPLICATE_POLICY_REJECT
        case 1:
            again.priority = 501
            again.labels["body"] = "another"
        case _:
            pass
    await _submit(room, again, shape)


def _follow(room: Room, job_id: str, shape: Shape) -> None:
    """Choose who else deals with a new job."""
    rng = room.rng
    if rng.random() < room.cancels:
        room.spawn(_canceller(room, job_id))
    elif shape.name in PAUSABLE and rng.random() < PAUSES:
        room.spawn(_pauser(room, job_id))
    if rng.random() < WATCHES:
        from_start = rng.random() < 0.8
        room.spawn(watch(room, job_id, purpose="follow", after=0 if from_start else None))


async def _canceller(room: Room, job_id: str) -> None:
    await _choose_moment(room, job_id)
    if room.is_loading:
        force = room.rng.random() < FORCED
        request = wire.CancelJobRequest(name=job_name(job_id), reason="chance", force=force)
        facts = {"job_id": job_id, "policy": "FORCE" if force else ""}
        await room.insist(room.jobs.CancelJob, request, verb="cancel", **facts)


async def _choose_moment(room: Room, job_id: str) -> None:
    """Wait for a random time, or until the job runs: chance alone seldom meets that."""
    if room.rng.random() < 0.4:
        await room.pause(0, 0.4)
        return
    request = wire.GetJobRequest(name=job_name(job_id))
    until = room.now() + PATIENCE_S
    while room.is_loading and room.now() < until:
        _, seen = await room.call(room.jobs.GetJob, request, verb="get", job_id=job_id)
        if seen.status == "RUNNING" or seen.done:
            return
        await room.pause(0.005, 0.05)


async def _pauser(room: Room, job_id: str) -> None:
    await _choose_moment(room, job_id)
    if not room.is_loading:
        return
    request = wire.PauseJobRequest(name=job_name(job_id), reason="chance")
    operation = await room.insist(room.jobs.PauseJob, request, verb="pause", job_id=job_id)
    if operation.is_ok:
        await room.pause(0, 0.6)
        await resume(room, job_id)


async def resume(room: Room, job_id: str) -> None:
    """Have a job go on."""
    request = wire.ResumeJobRequest(name=job_name(job_id), reason="chance")
    await room.insist(room.jobs.ResumeJob, request, verb="resume", job_id=job_id)


async def uploader(room: Room) -> None:
    """Upload small files, some of them twice."""
    while room.is_loading:
        data = room.rng.randbytes(room.rng.randint(1, 60_000))
        digest = hashlib.sha256(data).hexdigest()
        for _ in range(room.rng.choice((1, 1, 2))):
            operation = await room.insist(
                room.artifacts.UploadArtifact,
                lambda data=data, digest=digest: _upload(data, digest),
                verb="upload",
                body=digest,
            )
            if operation.is_ok:
                room.uploads.append(digest)
        await room.pause(0.05, 0.3)


async def _upload(
    data: bytes, digest: str
) -> AsyncIterator[artifact_service_pb2.UploadArtifactRequest]:
    request = artifact_service_pb2.UploadArtifactRequest
    header = request.Header(
        project=PROJECT, filename="data.bin", sha256=digest, size_bytes=len(data)
    )
    yield request(header=header)
    for start in range(0, len(data), UPLOAD_CHUNK):
        yield request(chunk=data[start : start + UPLOAD_CHUNK])


async def answerer(room: Room) -> None:
    """Answer every open question, most with yes."""
    while room.is_open:
        request = wire.ListJobsRequest(project=PROJECT, filter="status = AWAITING_INPUT")
        page, _ = await room.call(room.jobs.ListJobs, request, verb="list")
        for job in page.jobs if page else ():
            answer = wire.ProvideJobInputRequest(
                name=job.name,
                input_id=job.pending_input.input_id,
                answers={"proceed": "yes" if room.rng.random() < 0.85 else "no"},
            )
            await room.insist(room.jobs.ProvideJobInput, answer, verb="answer", job_id=job.job_id)
        await room.pause(0.05, 0.2)


async def reader(room: Room) -> None:
    """Look at jobs again and again: what was seen once must never be taken back."""
    while room.is_open:
        known = list(room.shapes)
        if known:
            job_id = room.rng.choice(known[-200:])
            request = wire.GetJobRequest(name=job_name(job_id))
            await room.call(room.jobs.GetJob, request, verb="get", job_id=job_id)
        await room.pause(0.005, 0.03)
