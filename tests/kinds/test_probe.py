"""The probe does as it is told."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Asked, Completed, Conclusion, Intent, Yielded
from jobplane.engine.domain.errors import UnknownKindError
from jobplane.engine.domain.event import MetricReported
from jobplane.engine.domain.job import FailureCategory, JobSpec
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.engine.kinds.probe import KIND
from jobplane.kinds.probe.v1.probe_pb2 import ProbeResult, ProbeSpec
from tests.executors.either import EitherExecutor
from tests.executors.processes_of_machine import marked
from tests.executors.recorder import Told
from tests.executors.rig import Rig, settings_of_test

MIB = 1 << 20
THREAD = ProbeSpec.ISOLATION_THREAD
OWNER = "probe-tests"
# Hangs are told after ten seconds by the kind itself; one is enough here.
STALL_S = 1.0


class ProbeOnly:
    """A probe that is soon thought to hang."""

    def get(self, name: str) -> Kind:
        if name != KIND.name:
            raise UnknownKindError(name, [KIND.name])
        return replace(KIND, stall_timeout_s=STALL_S)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    settings = settings_of_test(slots=2, warm_per_kind=2, owner=OWNER)
    rig = Rig(EitherExecutor(ProbeOnly(), settings), tmp_path_factory.mktemp("probe"))
    yield rig
    rig.executor.stop(0)


def run(rig: Rig, spec: ProbeSpec, **details: Any) -> Told:
    KIND.fill_defaults(spec)
    assert list(KIND.check(spec, JobSpec("probe", b""))) == []
    return rig.run("probe", spec.SerializeToString(), **details)


def result(conclusion: Conclusion) -> ProbeResult:
    assert isinstance(conclusion, Completed), conclusion
    return ProbeResult.FromString(conclusion.result.details)


def violations(**fields: Any) -> set[str]:
    return {each.field for each in KIND.check(ProbeSpec(**fields), JobSpec("probe", b""))}


def test_it_takes_one_step_by_default(rig: Rig) -> None:
    told = run(rig, ProbeSpec())

    assert result(told.conclusion).completed_steps == 1
    assert told.progresses[-1].unit == "step"


@pytest.mark.parametrize("isolation", [ProbeSpec.ISOLATION_PROCESS, THREAD])
def test_it_takes_all_its_steps(rig: Rig, isolation: ProbeSpec.Isolation.ValueType) -> None:
    told = run(rig, ProbeSpec(steps=1000, isolation=isolation))

    assert result(told.conclusion).completed_steps == 1000
    assert told.progresses[-1].completed_units == told.progresses[-1].total_units == 1000


def test_a_thread_probe_runs_in_the_server_and_a_process_probe_does_not(rig: Rig) -> None:
    assert KIND.isolation(ProbeSpec(isolation=THREAD)) is Isolation.THREAD
    assert KIND.isolation(ProbeSpec()) is Isolation.PROCESS
    assert run(rig, ProbeSpec(isolation=THREAD)).peak_memory_bytes == 0
    assert run(rig, ProbeSpec()).peak_memory_bytes > 0


def test_a_step_lasts_as_long_as_it_is_told(rig: Rig) -> None:
    spec = ProbeSpec(steps=3, step_duration=Duration(nanos=100_000_000), isolation=THREAD)
    assignment = rig.launch("probe", spec.SerializeToString())
    told = rig.reports.ended(assignment)

    assert result(told.conclusion).completed_steps == 3
    assert [progress.completed_units for progress in told.progresses] == [1, 2, 3]


def test_it_reports_a_metric_at_each_step(rig: Rig) -> None:
    told = run(rig, ProbeSpec(steps=5, metrics=True))

    assert told.payloads == [MetricReported(n, {"value": float(n)}) for n in range(1, 6)]


def test_it_checkpoints_as_told_and_goes_on_from_there(rig: Rig) -> None:
    first = run(rig, ProbeSpec(steps=7, checkpoint_every=3))
    data, units = first.checkpoints[-1]
    second = run(rig, ProbeSpec(steps=7, checkpoint_every=3), checkpoint=data, attempt=2)

    assert [units for _, units in first.checkpoints] == [3, 6]
    assert units == 6
    assert result(second.conclusion) == ProbeResult(completed_steps=7, resumed_from_step=6)


def test_a_pause_loses_no_step(rig: Rig) -> None:
    spec = ProbeSpec(steps=1000, step_duration=Duration(nanos=20_000_000))
    assignment = rig.launch("probe", spec.SerializeToString())
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.PAUSE)
    told = rig.reports.ended(assignment)

    assert told.conclusion == Yielded(Intent.PAUSE)
    assert told.checkpoints[-1][1] == told.progresses[-1].completed_units


def test_a_long_step_can_be_cancelled(rig: Rig) -> None:
    spec = ProbeSpec(steps=2, step_duration=Duration(seconds=3600))
    assignment = rig.launch("probe", spec.SerializeToString())
    told = rig.reports.of(assignment)
    rig.reports.wait(lambda: told.alive > 1)
    rig.control(assignment, Intent.CANCEL)

    assert rig.reports.ended(assignment).conclusion == Yielded(Intent.CANCEL)


def test_a_long_step_is_not_taken_for_a_hang(rig: Rig) -> None:
    spec = ProbeSpec(step_duration=Duration(seconds=int(STALL_S * 3)))

    assert result(run(rig, spec).conclusion).completed_steps == 1


@pytest.mark.parametrize("isolation", [ProbeSpec.ISOLATION_PROCESS, THREAD])
@pytest.mark.parametrize(
    ("mode", "reason", "retryable"),
    [
        (ProbeSpec.FAILURE_MODE_UNSPECIFIED, "PROBE_FAILED", False),
        (ProbeSpec.FAILURE_MODE_RAISE, "PROBE_FAILED", False),
        (ProbeSpec.FAILURE_MODE_RAISE_RETRYABLE, "PROBE_FAILED", True),
    ],
)
def test_it_raises_as_told(
    rig: Rig,
    isolation: ProbeSpec.Isolation.ValueType,
    mode: ProbeSpec.FailureMode.ValueType,
    reason: str,
    retryable: bool,
) -> None:
    spec = ProbeSpec(steps=3, fail_at_step=2, failure_mode=mode, isolation=isolation)
    told = run(rig, spec)

    assert (told.failure.reason, told.failure.retryable) == (reason, retryable)
    assert told.failure.category is FailureCategory.USER_CODE
    assert told.progresses[-1].completed_units == 1


@pytest.mark.parametrize(
    ("mode", "reason", "code"),
    [
        (ProbeSpec.FAILURE_MODE_EXIT, "EXIT_CODE", 7),
        (ProbeSpec.FAILURE_MODE_SEGFAULT, "CRASHED", -11),
        (ProbeSpec.FAILURE_MODE_OUT_OF_MEMORY, "MEMORY_LIMIT", None),
        (ProbeSpec.FAILURE_MODE_HANG, "STALLED", None),
    ],
)
def test_it_dies_as_told(
    rig: Rig, mode: ProbeSpec.FailureMode.ValueType, reason: str, code: int | None
) -> None:
    spec = ProbeSpec(fail_at_step=1, failure_mode=mode)
    failure = run(rig, spec, memory_limit_bytes=256 * MIB).failure

    assert (failure.reason, failure.exit_code) == (reason, code)


def test_the_gate_refuses_as_told(rig: Rig) -> None:
    spec = ProbeSpec(steps=2, fail_at_step=2, failure_mode=ProbeSpec.FAILURE_MODE_EVAL)
    conclusion = run(rig, spec).conclusion

    assert isinstance(conclusion, Completed)
    assert "step 2" in conclusion.gate_refusal


def test_only_so_many_attempts_fail(rig: Rig) -> None:
    spec = ProbeSpec(fail_at_step=1, failing_attempts=2, isolation=THREAD)

    assert run(rig, spec, attempt=2).failure.reason == "PROBE_FAILED"
    assert result(run(rig, spec, attempt=3).conclusion).completed_steps == 1


def test_it_asks_at_the_step_and_keeps_what_is_done(rig: Rig) -> None:
    told = run(rig, ProbeSpec(steps=3, ask_at_step=2))

    assert isinstance(told.conclusion, Asked)
    (question,) = told.conclusion.request.questions
    assert (question.id, question.choices, question.required) == ("proceed", ("yes", "no"), True)
    assert told.checkpoints[-1][1] == 1


def test_it_goes_on_after_a_yes(rig: Rig) -> None:
    spec = ProbeSpec(steps=3, ask_at_step=2)
    data, _ = run(rig, spec).checkpoints[-1]
    told = run(rig, spec, checkpoint=data, answers={"proceed": "yes"}, attempt=2)

    assert result(told.conclusion) == ProbeResult(completed_steps=3, resumed_from_step=1)


def test_it_fails_after_a_no(rig: Rig) -> None:
    told = run(rig, ProbeSpec(ask_at_step=1), answers={"proceed": "no"})

    assert told.failure.reason == "PROBE_REFUSED"
    assert not told.failure.retryable


def test_it_ends_with_gaps(rig: Rig) -> None:
    conclusion = run(rig, ProbeSpec(gaps=3)).conclusion

    assert isinstance(conclusion, Completed)
    assert [gap.subject for gap in conclusion.gaps] == ["1", "2", "3"]


def test_its_payload_has_the_size_and_is_the_same_each_time(rig: Rig) -> None:
    size = 3 * MIB + 5
    payloads = [run(rig, ProbeSpec(artifact_bytes=size)).artifacts["payload.bin"] for _ in range(2)]

    assert len(payloads[0].content) == size
    assert payloads[0].content == payloads[1].content
    chunks = {
        hashlib.sha256(payloads[0].content[start : start + MIB]).digest()
        for start in range(0, size, MIB)
    }
    assert len(chunks) == 4


@pytest.mark.parametrize("rows", [1, 20_000, 20_001])
def test_its_table_has_the_rows(rig: Rig, rows: int) -> None:
    taken = run(rig, ProbeSpec(table_rows=rows)).artifacts["table.csv"]
    lines = list(csv.reader(io.StringIO(taken.content.decode())))

    assert lines[0] == ["index", "square", "text"]
    assert len(lines) == rows + 1
    assert [int(line[0]) for line in lines[1:]] == list(range(rows))
    assert all(int(index) ** 2 == int(square) for index, square, _ in lines[1:])
    assert taken.type is ArtifactType.TABLE


def test_it_prints_as_many_bytes_as_told(rig: Rig) -> None:
    log = run(rig, ProbeSpec(log_bytes=100 * MIB)).artifacts["logs/stdout.log"].content

    assert log.endswith(b"[truncated: %d more bytes were dropped]\n" % (36 * MIB))


def test_its_orphans_end_with_it(rig: Rig) -> None:
    told = run(rig, ProbeSpec(orphans=3))

    assert isinstance(told.conclusion, Completed)
    running = [pid for pid in marked(OWNER) if b"fork" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert running == []


def test_it_ignores_a_cancel_until_it_is_killed(rig: Rig) -> None:
    spec = ProbeSpec(steps=2, step_duration=Duration(seconds=600), ignore_cancel=True)
    assignment = rig.launch("probe", spec.SerializeToString())
    told = rig.reports.begun(assignment)
    rig.control(assignment, Intent.CANCEL)
    alive = told.alive
    rig.reports.wait(lambda: told.alive > alive + int(STALL_S))
    assert told.conclusions == []
    rig.control(assignment, Intent.KILL)

    assert rig.reports.ended(assignment).failure.reason == "KILLED"


def test_defaults_are_filled_in() -> None:
    spec = ProbeSpec(fail_at_step=1)
    KIND.fill_defaults(spec)

    assert spec == ProbeSpec(
        steps=1,
        fail_at_step=1,
        failure_mode=ProbeSpec.FAILURE_MODE_RAISE,
        isolation=ProbeSpec.ISOLATION_PROCESS,
    )


def test_defaults_leave_alone_what_is_set() -> None:
    spec = ProbeSpec(steps=3, isolation=THREAD)
    KIND.fill_defaults(spec)

    assert (spec.steps, spec.isolation) == (3, THREAD)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("steps", 100_000, 100_001),
        ("steps", 1, 0),
        ("checkpoint_every", 0, -1),
        ("failing_attempts", 0, -1),
        ("ask_at_step", 0, -1),
        ("artifact_bytes", 2 << 30, (2 << 30) + 1),
        ("table_rows", 10_000_000, 10_000_001),
        ("gaps", 1000, -1),
        ("log_bytes", 1 << 30, (1 << 30) + 1),
        ("orphans", 16, 17),
        ("step_duration", Duration(seconds=3600), Duration(seconds=3601)),
        ("step_duration", Duration(), Duration(seconds=-1)),
        ("failure_mode", 0, 99),
        ("isolation", 2, 3),
    ],
)
def test_bounds_are_checked(field: str, good: Any, bad: Any) -> None:
    assert violations(**{field: good}) == set()
    assert field in violations(**{field: bad})


def test_everything_wrong_is_told_at_once() -> None:
    assert violations(steps=0, gaps=-1, orphans=99) == {"steps", "gaps", "orphans"}


@pytest.mark.parametrize("field", ["fail_at_step", "ask_at_step"])
def test_a_step_that_never_comes_is_refused(field: str) -> None:
    assert violations(steps=3, **{field: 3}) == set()
    assert violations(steps=3, **{field: 4}) == {field}


@pytest.mark.parametrize("field", ["failure_mode", "failing_attempts"])
def test_a_failure_without_a_step_is_refused(field: str) -> None:
    assert violations(**{field: 1}) == {field}


@pytest.mark.parametrize("field", ["ignore_cancel", "log_bytes", "orphans"])
def test_what_needs_a_process_is_refused_in_a_thread(field: str) -> None:
    assert violations(isolation=THREAD, **{field: 1}) == {field}


@pytest.mark.parametrize(
    "mode",
    [
        ProbeSpec.FAILURE_MODE_EXIT,
        ProbeSpec.FAILURE_MODE_SEGFAULT,
        ProbeSpec.FAILURE_MODE_OUT_OF_MEMORY,
        ProbeSpec.FAILURE_MODE_HANG,
    ],
)
def test_what_would_hurt_the_server_is_refused_in_a_thread(
    mode: ProbeSpec.FailureMode.ValueType,
) -> None:
    assert violations(isolation=THREAD, fail_at_step=1, failure_mode=mode) == {"failure_mode"}
