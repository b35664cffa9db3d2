"""Measures whole audits, from the journal's file to the last artifact on disk.

    python bench/trade_audit.py [--trades 200000 1000000] [--runs 3] [--json results.json]

Each size runs in a process of its own, with the imports warm; the best of the runs counts,
since another program on the machine can only slow one down. Prints a table, and checks
that every run wrote the same bytes.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
GENERATOR = ROOT / "examples/journals/generate.py"
# Seconds and bytes that an audit of so many trades must stay under.
TARGETS = {200_000: (1.5, None), 1_000_000: (7.0, 1 << 30)}
_KIB = 1024


class DiskContext:
    """A context that keeps artifacts on disk and their digests, as a worker does."""

    project, job_id, attempt, engine_version = "bench", "bench", 1, "bench"
    checkpoint_data = None
    settings: dict[str, Any] = {}  # noqa: RUF012  nobody writes to it

    def __init__(self, folder: Path, journal: Any) -> None:
        self.folder = folder
        self.inputs = {"journal": journal}
        self.digests: dict[str, str] = {}
        self.widest_gap = 0.0
        self._last = time.perf_counter()

    def safe_point(self, save: Any = None, *, completed_units: int = 0) -> None:
        """Note how long the work went without one."""
        del save, completed_units
        now = time.perf_counter()
        self.widest_gap, self._last = max(self.widest_gap, now - self._last), now

    def save_artifact(
        self, name: str, content: bytes | str | Path, *, media_type: str, **_: Any
    ) -> None:
        """Keep the content on disk and its digest here."""
        del media_type
        kept = self.folder / f"kept-{name}"
        if isinstance(content, Path):
            content.replace(kept)
        else:
            kept.write_bytes(content.encode() if isinstance(content, str) else content)
        with kept.open("rb") as file:
            self.digests[name] = hashlib.file_digest(file, "sha256").hexdigest()

    def stage(self, name: str, *, reused: bool = False) -> AbstractContextManager[None]:
        """Do nothing about stages."""
        del name, reused
        return nullcontext()

    def progress(self, *_: Any, **__: Any) -> None:
        """Take no note."""

    def warn(self, *_: Any) -> None:
        """Take no note."""


def measure(journal: Path, runs: int) -> dict[str, Any]:
    """Audit a journal a few times in this process."""
    from jobplane.engine.kinds.base import InputFile  # noqa: PLC0415  only the child imports
    from jobplane.engine.kinds.trade_audit.work import run  # noqa: PLC0415
    from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditSpec  # noqa: PLC0415

    def audit(path: Path) -> tuple[float, DiskContext, dict[str, Any]]:
        size = path.stat().st_size
        source = InputFile(path, path.name, "text/csv", size, "0" * 64)
        with tempfile.TemporaryDirectory() as folder:
            context: Any = DiskContext(Path(folder), source)
            begun = time.perf_counter()
            run(TradeAuditSpec(), context)
            seconds = time.perf_counter() - begun
            metrics = json.loads((Path(folder) / "kept-runtime_metrics.json").read_bytes())
            return seconds, context, metrics["stage_seconds"]

    with journal.open() as file, tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.csv"
        small.write_text("".join(next(file) for _ in range(100)))
        audit(small)
    results = [audit(journal) for _ in range(runs)]
    digests = [
        {name: value for name, value in context.digests.items() if name != "runtime_metrics.json"}
        for _, context, _ in results
    ]
    seconds, best, stages = min(results, key=lambda one: one[0])
    return {
        "seconds": seconds,
        "stages": stages,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB,
        "longest_without_safe_point_s": best.widest_gap,
        "same_bytes": all(one == digests[0] for one in digests),
        "input_bytes": journal.stat().st_size,
    }


def make(trades: int, path: Path) -> None:
    """Write a journal of so many trades."""
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(GENERATOR)
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    module.write_journal(module.make_journal(trades, seed=1), path)


def show(results: dict[int, dict[str, Any]]) -> None:
    """Print the table."""
    stages = list(next(iter(results.values()))["stages"])
    print("trades", "total s", *(f"{name} s" for name in stages), "RSS MiB", "gap s", sep="\t")
    for trades, result in results.items():
        times = (f"{result['stages'][name]:.2f}" for name in stages)
        memory = result["peak_rss_bytes"] / 2**20
        gap = f"{result['longest_without_safe_point_s']:.2f}"
        print(trades, f"{result['seconds']:.2f}", *times, f"{memory:.0f}", gap, sep="\t")


def verdict(trades: int, result: dict[str, Any]) -> list[str]:
    """Give what a size misses."""
    seconds, memory = TARGETS.get(trades, (None, None))
    missed = [] if result["same_bytes"] else ["the runs wrote different bytes"]
    if seconds is not None and result["seconds"] > seconds:
        missed.append(f"{result['seconds']:.2f} s is over the target of {seconds} s")
    if memory is not None and result["peak_rss_bytes"] > memory:
        missed.append(f"{result['peak_rss_bytes']} bytes are over the target of {memory}")
    return [f"{trades} trades: {text}" for text in missed]


def main() -> int:
    """Measure all sizes; exit 1 where a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trades", type=int, nargs="+", default=list(TARGETS))
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--json", type=Path, help="write the figures here")
    options.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(measure(given.child, given.runs)))
        return 0
    results: dict[int, dict[str, Any]] = {}
    folder = Path(tempfile.mkdtemp())
    try:
        for trades in given.trades:
            journal = folder / f"{trades}.csv"
            make(trades, journal)
            command = [sys.executable, __file__, "--child", journal, "--runs", str(given.runs)]
            child = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  ourselves
            results[trades] = json.loads(child.stdout)
    finally:
        shutil.rmtree(folder)
    show(results)
    if given.json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version()}
        given.json.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    missed = [text for trades, result in results.items() for text in verdict(trades, result)]
    print(*missed, sep="\n", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
