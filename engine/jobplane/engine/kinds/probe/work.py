"""The probe's work: steps, and whatever goes wrong on the way."""

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import FailureCategory, Gap, Question
from jobplane.engine.kinds.base import JobContext, Outcome, WorkError
from jobplane.kinds.probe.v1.probe_pb2 import ProbeResult, ProbeSpec

EXIT_CODE = 7
_NAP_S = 0.05
_CHUNK_BYTES = 1 << 20
_CHUNK_ROWS = 20_000
_HOARD_BYTES = 16 << 20
# A machine without a limit on the job must survive a probe all the same.
_SPARED_BYTES = 512 << 20
_LINE = b"a probe prints this line because it was told to print some bytes\n"
# Leaves its session by its starter, then its parent; ends by itself if nobody ends it.
_ORPHAN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    time.sleep(3600)
"""


def run(spec: ProbeSpec, context: JobContext) -> Outcome:
    """Do as told."""
    return _Probe(spec, context).run()


class _Probe:
    def __init__(self, spec: ProbeSpec, context: JobContext) -> None:
        self._spec = spec
        self._context = context
        self._steps = spec.steps if spec.HasField("steps") else 1
        duration = spec.step_duration
        self._step_s = duration.seconds + duration.nanos / 1e9
        self._done = 0
        if context.checkpoint_data is not None:
            self._done = int(json.loads(context.checkpoint_data)["step"])
        self._resumed_from = self._done

    def run(self) -> Outcome:
        if self._spec.ignore_cancel:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._start_orphans()
        self._print()
        for step in range(self._done + 1, self._steps + 1):
            refusal = self._step(step)
            if refusal:
                return self._outcome(refusal)
        self._write_payload()
        self._write_table()
        return self._outcome("")

    def _step(self, step: int) -> str:
        """Take one step; give what the quality gate says against it."""
        spec = self._spec
        self._safe_point()
        if step == spec.ask_at_step:
            self._ask()
        self._wait()
        if step == spec.fail_at_step and self._is_to_fail():
            return self._fail()
        self._done = step
        if spec.metrics:
            self._context.metric(step, value=float(step))
        self._context.progress(step, self._steps, unit="step")
        if spec.checkpoint_every and step % spec.checkpoint_every == 0:
            self._context.save_checkpoint(self._state(), completed_units=step)
        return ""

    def _state(self) -> bytes:
        return json.dumps({"step": self._done}).encode()

    def _safe_point(self) -> None:
        if self._spec.ignore_cancel:
            # Not a safe point, but a sign of life: this probe is stubborn, it does not hang.
            self._context.progress(self._done, self._steps, unit="step")
        else:
            self._context.safe_point(self._state, completed_units=self._done)

    def _wait(self) -> None:
        end = time.monotonic() + self._step_s
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_S))
            self._safe_point()

    def _ask(self) -> None:
        self._context.save_checkpoint(self._state(), completed_units=self._done)
        question = Question("proceed", "Shall the probe go on?", ("yes", "no"), required=True)
        answers = self._context.ask("The probe was told to ask.", [question])
        if answers["proceed"] != "yes":
            raise WorkError(
                "PROBE_REFUSED", "the answer was not to proceed", category=FailureCategory.INPUT
            )

    def _is_to_fail(self) -> bool:
        failing = self._spec.failing_attempts
        return not failing or self._context.attempt <= failing

    def _fail(self) -> str:
        mode = self._spec.failure_mode
        step = self._spec.fail_at_step
        if mode == ProbeSpec.FAILURE_MODE_EVAL:
            return f"the gate refuses at step {step}, as it was told"
        if mode == ProbeSpec.FAILURE_MODE_OUT_OF_MEMORY:
            self._hoard()
        _FAILURES.get(mode, _raise)()
        raise WorkError(
            "PROBE_FAILED",
            f"failed at step {step}, as it was told",
            retryable=mode == ProbeSpec.FAILURE_MODE_RAISE_RETRYABLE,
        )

    def _hoard(self) -> None:
        hoard: list[bytearray] = []
        while _available_bytes() > _SPARED_BYTES:
            self._safe_point()
            hoard.append(bytearray(b"\1") * _HOARD_BYTES)
        raise MemoryError

    def _start_orphans(self) -> None:
        for _ in range(self._spec.orphans):
            command = [sys.executable, "-I", "-S", "-c", _ORPHAN]
            subprocess.run(command, start_new_session=True, check=True)  # noqa: S603  our own text

    def _print(self) -> None:
        left = self._spec.log_bytes
        block = _LINE * (_CHUNK_BYTES // len(_LINE))
        while left > 0:
            self._safe_point()
            left -= os.write(sys.stdout.fileno(), block[:left])

    def _write_payload(self) -> None:
        size = self._spec.artifact_bytes
        if not size:
            return
        # The same bytes in each attempt, and no two chunks alike.
        block = random.Random(0).randbytes(_CHUNK_BYTES)  # noqa: S311  content, not a secret
        path = self._context.folder / "payload.bin"
        with path.open("wb") as file:
            for start in range(0, size, _CHUNK_BYTES):
                self._safe_point()
                chunk = start.to_bytes(8, "big") + block[8:]
                file.write(chunk[: size - start])
        self._keep(path, "application/octet-stream", ArtifactType.OPAQUE)

    def _write_table(self) -> None:
        rows = self._spec.table_rows
        if not rows:
            return
        path = self._context.folder / "table.csv"
        with path.open("w", encoding="ascii", newline="") as file:
            file.write("index,square,text\n")
            for start in range(0, rows, _CHUNK_ROWS):
                self._safe_point()
                numbers = range(start, min(start + _CHUNK_ROWS, rows))
                file.write("".join([f"{n},{n * n},row {n}\n" for n in numbers]))
        self._keep(path, "text/csv", ArtifactType.TABLE)

    def _keep(self, path: Path, media_type: str, artifact_type: ArtifactType) -> None:
        self._context.save_artifact(path.name, path, media_type=media_type, type=artifact_type)
        path.unlink(missing_ok=True)

    def _outcome(self, refusal: str) -> Outcome:
        return Outcome(
            headline=f"{self._done} of {self._steps} steps",
            details=ProbeResult(completed_steps=self._done, resumed_from_step=self._resumed_from),
            metrics={"completed_steps": float(self._done)},
            gaps=tuple(
                Gap("PROBE_GAP", "left out, as it was told", subject=str(number))
                for number in range(1, self._spec.gaps + 1)
            ),
            gate_refusal=refusal,
        )


def _raise() -> None:
    """Leave the raising to the caller."""


def _exit() -> None:
    sys.stdout.flush()
    os._exit(EXIT_CODE)


def _segfault() -> None:
    ctypes.string_at(0)


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _hang() -> None:
    while True:
        time.sleep(1)


_FAILURES: dict[int, Callable[[], None]] = {
    ProbeSpec.FAILURE_MODE_EXIT: _exit,
    ProbeSpec.FAILURE_MODE_SEGFAULT: _segfault,
    ProbeSpec.FAILURE_MODE_HANG: _hang,
}
