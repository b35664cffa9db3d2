"""huey on a SQLite file with fsync: queued in the client's process, worked on by one consumer."""

import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peers.figures import WIDTH, Figures, running, tell
from bench.peers.huey_work import FILE, noop, queue
from bench.rate import threads_rate, window_rate

_WORKERS = 4
# As shipped it looks every 0.1 s, and less often when idle: that would be all that is measured.
_LOOK_S = 0.002


def measure(seconds: float) -> list[Figures]:
    """Measure on a fresh file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = str(folder / "huey.db")
        command = [sys.executable, "-m", "huey.bin.huey_consumer", "bench.peers.huey_work.app"]
        options = ["-k", "thread", "-w", str(_WORKERS), "-n", "-q"]
        looks = ["-d", str(_LOOK_S), "-m", str(_LOOK_S), "-b", "1"]
        work, idle = (queue(of, file).task(name="noop")(noop) for of in ("work", "idle"))
        with running([*command, *options, *looks], folder / "log", {**os.environ, FILE: file}):
            return [_measured(work, idle, seconds)]


def _measured(work: Any, idle: Any, seconds: float) -> Figures:
    def finished(result: Any) -> None:
        result.get(blocking=True, timeout=60, max_delay=_LOOK_S)

    finished(work())
    submits = threads_rate(idle, WIDTH, seconds)
    whole = window_rate(work, finished, WIDTH, seconds)
    single = window_rate(work, finished, 1, seconds)
    return Figures(
        system="huey",
        durability=f"SQLite {sqlite3.sqlite_version}, WAL, fsync=True: an ack is fsynced; in the "
        f"client's process; looks every {_LOOK_S * 1000:g} ms",
        submit_64_per_s=submits.per_s,
        whole_64_per_s=whole.per_s,
        whole_1_p50_ms=single.p50_s * 1000,
    )


if __name__ == "__main__":
    tell(measure)
