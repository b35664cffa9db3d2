"""Callers: they submit, steer, answer, read and watch, and tell the model what they heard."""

import json

from jobplane.engine.domain.errors import (
    BackendUnavailableError,
    EngineError,
    IdempotencyKeyReusedError,
)
from jobplane.engine.domain.event import Progress
from jobplane.engine.domain.job import Condition, Dependency, JobSpec, RunPolicy, job_name
from jobplane.engine.domain.submission import Submission
from jobplane.engine.watch.frame import Batch, End, EndReason
from tests.simulation.model import BrokenPromiseError
from tests.simulation.virtual import later
from tests.simulation.work import LANES, PAUSABLE, UNPAUSABLE

PROJECT = "demo"
HEARTBEAT_S = 15.0
ENDS = ("success",) * 6 + ("gaps", "gate", "flaky", "flaky", "crash", "bug", "late", "poison")


class Watcher:
    """One reader of one job's history, across streams and servers."""

    def __init__(self, world, job_id):
        self._world = world
        self.job_id = job_id
        self.cursor = 0
        self.types = []
        self.is_done = False
        self.stream = None
        # When the last frame came, or the stream began.
        self.heard_at = 0.0

    @property
    def is_reading(self):
        return self.stream is not None and not self.stream.done()

    async def read(self, server):
        """One stream, as far as it goes."""
        rng = self._world.rng
        self.heard_at = self._world.time.elapsed
        try:
            frames = server.engine.watch(
                PROJECT,
                self.job_id,
                after_sequence=self.cursor,
                heartbeat_s=HEARTBEAT_S,
                durable_only=rng.chance(0.5),
                event_types=(),
            )
            async for frame in frames:
                if server.is_dead:
                    return
                self._take(frame)
        except BackendUnavailableError:
            self._world.sometimes("watch_unavailable")

    def _take(self, frame):
        self.heard_at = self._world.time.elapsed
        if isinstance(frame, Batch):
            for event in frame.events:
                if not isinstance(event.payload, Progress):
                    self._take_event(event)
        if frame.cursor != self.cursor:
            self._fail(f"the cursor is {frame.cursor} after event {self.cursor}")
        if isinstance(frame, End):
            self._world.note(f"watch of {self.job_id} ends {frame.reason} at {self.cursor}")
            if frame.reason is EndReason.FINISHED:
                if not self.types or self.types[-1] != "finished":
                    self._fail(f"ended FINISHED after {self.types[-1:]}")
                self.is_done = True

    def _take_event(self, event):
        if event.sequence != self.cursor + 1:
            self._fail(f"event {event.sequence} after {self.cursor}")
        if self.types and self.types[-1] == "finished":
            self._fail(f"event {event.sequence} after the end")
        self.cursor = event.sequence
        self.types.append(event.type)

    def _fail(self, evidence):
        raise BrokenPromiseError("P5", f"watch of {self.job_id}: {evidence}")


class Callers:
    """Everybody who calls."""

    def __init__(self, world):
        self._world = world
        self._calls = 0
        # Submissions by key, so that they can be repeated.
        self.sent = {}
        self.watchers = []

    # Submits.

    def new_submission(self):
        rng = self._world.rng
        self._calls += 1
        token = f"t{self._calls}"
        units = rng.randint(1, 5)
        params = {
            "lane": rng.choice(LANES),
            "units": units,
            "end": rng.choice(ENDS),
            "asks": rng.chance(0.2),
            "deaf": rng.chance(0.2),
        }
        spec = JobSpec(
            rng.choice((PAUSABLE, PAUSABLE, UNPAUSABLE)),
            json.dumps(params).encode(),
            display_name=token,
            policy=self._policy(),
            depends_on=self._dependencies(),
        )
        return Submission(
            PROJECT,
            spec,
            creator="caller",
            idempotency_key=f"k{self._calls}" if rng.chance(0.6) else "",
            priority=rng.choice((0, 500, 1000)),
        )

    def _policy(self):
        rng = self._world.rng
        start_at = later(self._world.time.wall(), rng.choice((2.0, 30.0, -5.0)))
        return RunPolicy(
            queue_timeout_s=rng.choice((None, None, 3.0, 60.0)),
            total_timeout_s=rng.choice((None, None, None, 20.0, 300.0)),
            max_attempts=rng.choice((None, 1, 2)),
            initial_backoff_s=rng.choice((None, 0.1, 5.0)),
            cancel_grace_s=rng.choice((0.0, 2.0, 10.0)),
            start_at=start_at if rng.chance(0.1) else None,
        )

    def _dependencies(self):
        rng, known = self._world.rng, list(self._world.model.acknowledged)
        if not known or not rng.chance(0.25):
            return ()
        upstream = job_name(PROJECT, rng.choice(known))
        return (Dependency(upstream, rng.choice(list(Condition))),)

    async def submit(self, server, submission):
        token, key = submission.spec.display_name, submission.idempotency_key
        if key:
            self.sent[key] = submission
        self._world.note(f"submit {token} {key}")
        accepted = await self._said(server, f"submit {token}", server.engine.submit(submission))
        if accepted is None:
            return
        job = accepted.job
        self._world.note(f"submit {token} is {job.job_id} {accepted.deduplicated}")
        self._world.model.submitted(token, key, job.job_id, deduplicated=accepted.deduplicated)
        self._world.model.told(job)
        if accepted.deduplicated:
            self._world.sometimes("deduplicated")
        elif self._world.rng.chance(0.4):
            self.watchers.append(Watcher(self._world, job.job_id))

    # Everything else.

    async def cancel(self, server, job_id, *, force=False):
        call = server.engine.cancel(
            PROJECT, job_id, requester="caller", reason="enough", force=force
        )
        job = await self._said(server, f"cancel {job_id}", call)
        if job is not None:
            self._world.sometimes("cancelled")
            self._world.model.cancelled(job)

    async def pause(self, server, job_id):
        call = server.engine.pause(PROJECT, job_id, requester="caller", reason="wait")
        job = await self._said(server, f"pause {job_id}", call)
        if job is not None:
            self._world.model.told(job)

    async def resume(self, server, job_id):
        call = server.engine.resume(PROJECT, job_id, requester="caller", reason="go on")
        job = await self._said(server, f"resume {job_id}", call)
        if job is not None:
            self._world.model.told(job)

    async def answer(self, server, job_id):
        job = await self._said(server, f"get {job_id}", server.engine.get(PROJECT, job_id))
        if job is None or job.pending_input is None:
            return
        input_id = job.pending_input.input_id
        call = server.engine.provide_input(
            PROJECT, job_id, input_id=input_id, answers={"q": "yes"}, responder="caller"
        )
        told = await self._said(server, f"answer {job_id}", call)
        if told is not None:
            self._world.sometimes("answered")
            self._world.model.answered(job_id, input_id)
            self._world.model.told(told)

    async def get(self, server, job_id):
        at_least = self._world.model.seen_sequence[job_id]
        job = await self._said(server, f"get {job_id}", server.engine.get(PROJECT, job_id))
        if job is not None:
            self._world.model.read(job, at_least)

    async def _said(self, server, what, call):
        """The answer, or None when there was none or it was a refusal."""
        try:
            answer = await call
        except BackendUnavailableError:
            self._world.note(f"{what}: unavailable")
        except EngineError as refusal:
            self._world.note(f"{what}: {refusal.reason}")
            unknown = refusal.reason in {"JOB_NOT_FOUND", "JOB_EXPIRED"}
            if (unknown or isinstance(refusal, IdempotencyKeyReusedError)) and not server.is_dead:
                raise BrokenPromiseError("P1", f"{what}: {refusal.message}") from refusal
        else:
            # An answer that the dead server never sent.
            return None if server.is_dead else answer
        return None

    def watch_again(self, server):
        """Connect every watcher that has no stream."""
        for watcher in self.watchers:
            if not watcher.is_done and not watcher.is_reading:
                watcher.heard_at = self._world.time.elapsed
                watcher.stream = server.spawn(watcher.read(server))

    def must_have_heard(self):
        """Hold every stream to its heartbeat, once all that was due has run."""
        for watcher in self.watchers:
            silence_s = self._world.time.elapsed - watcher.heard_at
            if watcher.is_reading and silence_s > HEARTBEAT_S:
                evidence = f"watch of {watcher.job_id}: silent for {silence_s:g} s"
                raise BrokenPromiseError("P5", evidence)
