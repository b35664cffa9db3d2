"""The probe: a kind that behaves exactly as it is told."""

from collections.abc import Iterable

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import JobSpec, RunPolicy
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.kinds.probe.v1.probe_pb2 import ProbeResult, ProbeSpec

MAX_STEPS = 100_000
MAX_STEP_S = 3600.0
MAX_ARTIFACT_BYTES = 2 << 30
MAX_TABLE_ROWS = 10_000_000
MAX_LOG_BYTES = 1 << 30
MAX_ORPHANS = 16
MAX_GAPS = 1000
# Steps come by a safe point several times a second, so ten seconds of silence on a loaded
# machine is a hang; tests of hangs should not take longer either.
STALL_TIMEOUT_S = 10.0

_BOUNDS = (
    ("steps", 1, MAX_STEPS),
    ("checkpoint_every", 0, MAX_STEPS),
    ("fail_at_step", 0, MAX_STEPS),
    ("failing_attempts", 0, 1000),
    ("ask_at_step", 0, MAX_STEPS),
    ("artifact_bytes", 0, MAX_ARTIFACT_BYTES),
    ("table_rows", 0, MAX_TABLE_ROWS),
    ("gaps", 0, MAX_GAPS),
    ("log_bytes", 0, MAX_LOG_BYTES),
    ("orphans", 0, MAX_ORPHANS),
)
# What would hurt the server itself, or what only a process can be told to do.
_PROCESS_MODES = (
    ProbeSpec.FAILURE_MODE_EXIT,
    ProbeSpec.FAILURE_MODE_SEGFAULT,
    ProbeSpec.FAILURE_MODE_OUT_OF_MEMORY,
    ProbeSpec.FAILURE_MODE_HANG,
)
_PROCESS_FIELDS = ("ignore_cancel", "log_bytes", "orphans")


def _fill_defaults(spec: ProbeSpec) -> None:
    if not spec.HasField("steps"):
        spec.steps = 1
    if spec.failure_mode == ProbeSpec.FAILURE_MODE_UNSPECIFIED and spec.fail_at_step:
        spec.failure_mode = ProbeSpec.FAILURE_MODE_RAISE
    if spec.isolation == ProbeSpec.ISOLATION_UNSPECIFIED:
        spec.isolation = ProbeSpec.ISOLATION_PROCESS


def _violations(spec: ProbeSpec, job: JobSpec) -> Iterable[Violation]:  # noqa: ARG001  Kind.check
    for name, low, high in _BOUNDS:
        is_set = name != "steps" or spec.HasField("steps")
        if is_set and not low <= getattr(spec, name) <= high:
            yield Violation(name, f"must be {low} to {high}")
    if spec.HasField("step_duration"):
        seconds = spec.step_duration.seconds + spec.step_duration.nanos / 1e9
        if not 0 <= seconds <= MAX_STEP_S:
            yield Violation("step_duration", f"must be 0 to {MAX_STEP_S:g} s")
    yield from _unreachable(spec)
    yield from _unknown(spec)
    if spec.isolation == ProbeSpec.ISOLATION_THREAD:
        yield from _unfit_for_thread(spec)


def _unreachable(spec: ProbeSpec) -> Iterable[Violation]:
    steps = spec.steps if spec.HasField("steps") else 1
    for name in ("fail_at_step", "ask_at_step"):
        if getattr(spec, name) > steps:
            yield Violation(name, f"comes after the last step, {steps}")
    if not spec.fail_at_step:
        for name in ("failure_mode", "failing_attempts"):
            if getattr(spec, name):
                yield Violation(name, "has no effect without fail_at_step")


def _unknown(spec: ProbeSpec) -> Iterable[Violation]:
    """Find numbers of enums that this server does not know: proto3 lets them pass."""
    if spec.failure_mode not in ProbeSpec.FailureMode.values():
        yield Violation("failure_mode", "is not a failure mode that this server knows")
    if spec.isolation not in ProbeSpec.Isolation.values():
        yield Violation("isolation", "is not an isolation that this server knows")


def _unfit_for_thread(spec: ProbeSpec) -> Iterable[Violation]:
    if spec.fail_at_step and spec.failure_mode in _PROCESS_MODES:
        mode = ProbeSpec.FailureMode.Name(spec.failure_mode)
        yield Violation("failure_mode", f"{mode} needs ISOLATION_PROCESS")
    for name in _PROCESS_FIELDS:
        if getattr(spec, name):
            yield Violation(name, "needs ISOLATION_PROCESS")


def _isolation(spec: ProbeSpec) -> Isolation:
    if spec.isolation == ProbeSpec.ISOLATION_THREAD:
        return Isolation.THREAD
    return Isolation.PROCESS


KIND: Kind = Kind(
    name="probe",
    description="Behaves exactly as it is told: for doctor, conformance, faults and benchmarks.",
    work="jobplane.engine.kinds.probe.work:run",
    spec=ProbeSpec,
    result=ProbeResult,
    pausable=True,
    checkpointing=True,
    interactive=True,
    policy=RunPolicy(max_attempts=3, initial_backoff_s=0.1, max_backoff_s=1.0),
    stall_timeout_s=STALL_TIMEOUT_S,
    fill_defaults=_fill_defaults,
    check=_violations,
    isolation=_isolation,
)
