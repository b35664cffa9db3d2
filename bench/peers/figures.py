"""Figures of one system, as its process tells them to the bench."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

WIDTH = 64
_START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured of one system, and what its acknowledgement is worth."""

    system: str
    durability: str
    submit_64_per_s: float
    whole_64_per_s: float
    whole_1_p50_ms: float


def tell(measure: Callable[[float], list[Figures]]) -> None:
    """Measure for as long as argv says, and print a line of JSON for each system."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=2.0)
    for figures in measure(options.parse_args().seconds):
        print(json.dumps(asdict(figures)))


@contextmanager
def running(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A process, gone with the context; what it says goes to a file."""
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603  the servers and workers that are measured
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def await_true(claim: Callable[[], bool], what: str) -> None:
    """Return once `claim` holds; errors on the way there are none yet."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            if claim():
                return
        time.sleep(0.02)
    sys.exit(f"{what} did not come up within {_START_S:g} s")
