"""Shapes of jobs: what a run submits, and how each may end."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1.spec_pb2 import JobSpec, RunPolicy

SUCCEEDED = frozenset({"SUCCEEDED"})


@dataclass(frozen=True)
class Shape:
    """One sort of job."""

    name: str
    weight: int
    probe: Callable[[random.Random], ProbeSpec]
    # How it ends when nobody cancels it, with the reasons a failure may give.
    ends: frozenset[str] = SUCCEEDED
    reasons: frozenset[str] = frozenset()
    max_attempts: int = 100
    is_process: bool = False
    # It is purged so long after its end.
    retention_s: int | None = None


def _thread(**fields: object) -> ProbeSpec:
    return ProbeSpec(isolation=ProbeSpec.ISOLATION_THREAD, **fields)


def _stepped(spec: ProbeSpec, milliseconds: int) -> ProbeSpec:
    spec.step_duration.FromMilliseconds(milliseconds)
    return spec


def _noop(_: random.Random) -> ProbeSpec:
    return _thread()


def _steps(rng: random.Random) -> ProbeSpec:
    return _stepped(_thread(steps=rng.randint(2, 6), metrics=True), rng.randint(2, 15))


def _checkpoints(rng: random.Random) -> ProbeSpec:
    spec = _thread(steps=rng.randint(4, 8), checkpoint_every=rng.randint(1, 2))
    return _stepped(spec, rng.randint(5, 30))


def _artifact(rng: random.Random) -> ProbeSpec:
    spec = _thread(steps=2, artifact_bytes=rng.randint(1, 40_000), table_rows=rng.randint(1, 200))
    return _stepped(spec, 10)


def _retried(rng: random.Random) -> ProbeSpec:
    spec = _thread(
        steps=3,
        fail_at_step=2,
        failure_mode=ProbeSpec.FAILURE_MODE_RAISE_RETRYABLE,
        failing_attempts=rng.randint(1, 3),
        checkpoint_every=1,
    )
    return _stepped(spec, 10)


def _failing(_: random.Random) -> ProbeSpec:
    return _stepped(_thread(steps=3, fail_at_step=3), 10)


def _refused(_: random.Random) -> ProbeSpec:
    return _thread(steps=2, fail_at_step=2, failure_mode=ProbeSpec.FAILURE_MODE_EVAL)


def _gappy(rng: random.Random) -> ProbeSpec:
    return _thread(steps=1, gaps=rng.randint(1, 3))


def _asking(_: random.Random) -> ProbeSpec:
    return _stepped(_thread(steps=3, ask_at_step=2), 10)


def _long(rng: random.Random) -> ProbeSpec:
    spec = _thread(steps=rng.randint(15, 30), checkpoint_every=1)
    return _stepped(spec, 30)


def _mortal(_: random.Random) -> ProbeSpec:
    return _stepped(_thread(steps=6), 50)


def _process(rng: random.Random) -> ProbeSpec:
    spec = ProbeSpec(
        steps=rng.randint(3, 8),
        checkpoint_every=1,
        isolation=ProbeSpec.ISOLATION_PROCESS,
        artifact_bytes=rng.randint(0, 20_000),
    )
    return _stepped(spec, rng.randint(30, 80))


def _stubborn(_: random.Random) -> ProbeSpec:
    spec = ProbeSpec(steps=4, isolation=ProbeSpec.ISOLATION_PROCESS, ignore_cancel=True)
    return _stepped(spec, 100)


def _process_exit(_: random.Random) -> ProbeSpec:
    spec = ProbeSpec(
        steps=2,
        isolation=ProbeSpec.ISOLATION_PROCESS,
        fail_at_step=2,
        failure_mode=ProbeSpec.FAILURE_MODE_EXIT,
        failing_attempts=1,
    )
    return _stepped(spec, 10)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("noop", 30, _noop),
        Shape("steps", 15, _steps),
        Shape("checkpoints", 15, _checkpoints),
        Shape("artifact", 8, _artifact),
        Shape("retried", 6, _retried),
        Shape("failing", 4, _failing, frozenset({"FAILED"}), frozenset({"PROBE_FAILED"})),
        Shape("gate", 3, _refused, frozenset({"EVAL_FAILED"}), frozenset({"GATE_REFUSED"})),
        Shape("gappy", 3, _gappy, frozenset({"SUCCEEDED_WITH_GAPS"})),
        Shape(
            "asking",
            6,
            _asking,
            frozenset({"SUCCEEDED", "FAILED"}),
            frozenset({"PROBE_REFUSED"}),
        ),
        Shape("long", 4, _long),
        Shape(
            # Two lives of the server at most: the next one may find it poisoned.
            "mortal",
            3,
            _mortal,
            frozenset({"SUCCEEDED", "FAILED"}),
            frozenset({"POISON"}),
            max_attempts=2,
        ),
        Shape("fleeting", 3, _noop, retention_s=1),
        Shape("process", 5, _process, is_process=True),
        Shape("stubborn", 1, _stubborn, is_process=True),
        Shape("process_exit", 1, _process_exit, is_process=True),
    )
}


def job_spec(shape: Shape, rng: random.Random) -> JobSpec:
    """A spec of this shape, whose retries come soon."""
    policy = RunPolicy(max_attempts=shape.max_attempts, backoff_multiplier=1.5)
    policy.initial_backoff.FromMilliseconds(1)
    policy.max_backoff.FromMilliseconds(20)
    policy.cancel_grace.FromMilliseconds(1500)
    if shape.retention_s is not None:
        policy.retention.FromSeconds(shape.retention_s)
    spec = JobSpec(policy=policy, display_name=shape.name)
    spec.probe.CopyFrom(shape.probe(rng))
    return spec


def pick(rng: random.Random, *, only: frozenset[str], with_processes: bool) -> Shape:
    """A shape, by weight."""
    shapes = [
        one
        for one in SHAPES.values()
        if (with_processes or not one.is_process) and (not only or one.name in only)
    ]
    return rng.choices(shapes, [one.weight for one in shapes])[0]
