"""Measures the scheduler: what a decision costs, and how a cluster fares under it.

    python bench/scheduler.py [--jobs 10000] [--depths 100 1000 10000 100000]

Decision cost: the claim of one job out of a queue of so many, in a SQLite file, as the server
does it; it must not grow with the queue. Dependencies: a chain and a fan that all end by one
cancel. Simulation: a mix of jobs over an inventory in virtual time, with the server's own
decisions; prints waits by project and size, and draws them.
"""

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jobplane.engine.clock import SystemClock, SystemRandomness  # noqa: E402  the path comes first
from jobplane.engine.domain import lifecycle  # noqa: E402
from jobplane.engine.domain.job import Dependency, Job, JobSpec, Resources  # noqa: E402
from jobplane.engine.domain.status import JobStatus  # noqa: E402
from jobplane.engine.scheduler import dependencies as waiting  # noqa: E402
from jobplane.engine.scheduler.dependencies import Dependencies  # noqa: E402
from jobplane.engine.scheduler.fair_share import Candidate, Decision, Turns  # noqa: E402
from jobplane.engine.scheduler.packing import Capacity, nodes_of  # noqa: E402
from jobplane.engine.scheduler.quota import Gates  # noqa: E402
from jobplane.engine.settings import NodeSettings, SchedulerSettings  # noqa: E402
from jobplane.engine.store import jobs, loads, queues  # noqa: E402
from jobplane.engine.store.codec import resources_from_row  # noqa: E402
from jobplane.engine.store.database import Database, Transaction, sqlite_url  # noqa: E402
from jobplane.engine.store.migrate import migrate  # noqa: E402
from tests.engine.cluster import Cluster, Task  # noqa: E402

RESULTS = Path(__file__).parent / "results"
GIB = 2**30
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECTS, QUEUES, KINDS = 5, 2, 2
ROUNDS = 200
# A decision over the deepest queue may cost so many times what it costs over the shortest.
FLAT = 3.0

INVENTORY = (
    *[NodeSettings(f"a100-{at}", 64, 512 * GIB, {"A100": 8}) for at in range(4)],
    *[NodeSettings(f"cpu-{at}", 96, 384 * GIB) for at in range(4)],
    *[NodeSettings(f"spot-{at}", 64, 256 * GIB, {"T4": 4}, spot=True) for at in range(2)],
)
# By size: resources, mean seconds, and whether the job says how long it takes at most.
SIZES = {
    "small": (Resources(cpu=2, memory_bytes=4 * GIB), 120, True),
    "medium": (Resources(cpu=16, memory_bytes=64 * GIB), 300, True),
    "spot": (Resources(cpu=8, memory_bytes=16 * GIB, spot_ok=True), 240, False),
    "gpu": (Resources(cpu=8, memory_bytes=64 * GIB, gpu_type="A100", gpu_count=1), 600, True),
    "whole node": (
        Resources(cpu=48, memory_bytes=384 * GIB, gpu_type="A100", gpu_count=8),
        900,
        False,
    ),
}
# By project: its part of the jobs, when it comes, and the sizes that it likes, in hundreds.
TENANTS = {
    "flood": (0.50, (0.0, 0.2), (70, 15, 10, 5, 0)),
    "steady": (0.30, (0.0, 1.0), (60, 20, 10, 10, 0)),
    "research": (0.12, (0.0, 1.0), (20, 20, 20, 38, 2)),
    "late": (0.08, (0.5, 0.6), (80, 10, 10, 0, 0)),
}


class _Scratch:
    """A store of its own, with whatever is needed to write to it."""

    def __init__(self, folder: Path) -> None:
        self.dependencies = Dependencies(clock=SystemClock())
        url = sqlite_url(folder / "bench.db")
        migrate(url, now=NOW)
        self.database = Database(url, on_commit=lambda _: None, on_end=self.dependencies.follow)
        self.database.start()
        self.randomness = SystemRandomness()

    def write(self, operation: Any) -> Any:
        return self.database.write(operation).result(600)

    def job(self, number: int, **fields: Any) -> Job:
        now = NOW + timedelta(milliseconds=number)
        spec = JobSpec(f"kind{number % KINDS}", b"", **fields)
        return Job(
            project=f"p{number % PROJECTS}",
            job_id=self.randomness.new_id(now),
            spec=spec,
            status=JobStatus.QUEUED,
            sequence=0,
            created_at=now,
            updated_at=now,
            priority=number * 7919 % 1000,
            queue=f"q{number % QUEUES}",
        )

    def fill(self, first: int, last: int) -> None:
        for start in range(first, last, 2000):

            def insert(transaction: Transaction, start: int = start) -> None:
                for number in range(start, min(start + 2000, last)):
                    job = self.job(number)
                    jobs.create(transaction, lifecycle.submitted(job, job.created_at), lane="X")

            self.write(insert)


def decision_costs(depths: Sequence[int]) -> dict[int, dict[str, float]]:
    """Milliseconds of a claim of one job and of 64, by the depth of the queue."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = _Scratch(Path(folder))
        filled = 0
        for depth in depths:
            scratch.fill(filled, depth)
            filled = depth
            found[depth] = {
                f"claim of {free}": statistics.median(
                    scratch.write(lambda transaction, free=free: _timed(transaction, free))
                    for _ in range(ROUNDS // free + 25)
                )
                for free in (1, 64)
            }
        scratch.database.close()
    return found


def _timed(transaction: Transaction, free: int) -> float:
    """Milliseconds of processor time of a decision about `free` slots, as in the dispatcher."""
    connection = transaction.connection
    began = time.thread_time()
    lines = [
        line
        for line in loads.waiting(connection, lane="X")
        if line.queue not in queues.cordoned(connection)
    ]
    gates = Gates.of(connection, NOW)

    def fetch(line: loads.Line, last: Candidate | None, limit: int) -> list[Candidate]:
        after = (last.rank_us, last.pk) if last else None
        rows = jobs.candidates(connection, line, after=after, limit=limit)
        return [
            Candidate(row.pk, row.rank_us, resources_from_row(row.demand), row=row) for row in rows
        ]

    decision = Decision(
        lines,
        fetch=fetch,
        capacity=Capacity(nodes_of(SchedulerSettings()), patience_s=60),
        turns=Turns(),
        closed_by=lambda line, demand: gates.closed_by(line.project, line.kind, demand),
        holder_of=lambda _, candidate: candidate.pk,
        slots=free,
        now_s=NOW.timestamp(),
    )
    picked = list(decision.picks(free=free))
    assert len(picked) == free
    return (time.thread_time() - began) * 1000


def dependency_ends(number: int) -> dict[str, dict[str, float]]:
    """Seconds, and the longest transaction, in which a chain and a fan end by one cancel."""
    return {shape: _dependency_end(number, shape) for shape in ("chain", "fan")}


def _dependency_end(number: int, shape: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        scratch = _Scratch(Path(folder))
        first = replace(scratch.job(0), project="p")
        last = first

        def insert(transaction: Transaction, start: int) -> None:
            nonlocal last
            for at in range(start, min(start + 1000, number)):
                waits = () if at == 0 else (Dependency(last.name),)
                job = first if at == 0 else replace(scratch.job(at, depends_on=waits), project="p")
                found = waiting.awaited(transaction.connection, "p", waits) if waits else ()
                job = replace(job, wait=waiting.wait_of(found))
                stored = jobs.create(transaction, lifecycle.submitted(job, NOW), lane="X")
                waiting.bind(transaction, stored, found)
                last = job if shape == "chain" else first

        for start in range(0, number, 1000):
            scratch.write(lambda transaction, start=start: insert(transaction, start))

        def cancel(transaction: Transaction) -> None:
            stored = jobs.get_to_change(transaction.connection, "p", first.job_id)
            change = lifecycle.cancelled(
                stored.job, requester="me", reason="", force=False, now=NOW
            )
            jobs.save(transaction, stored, change)

        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        scratch.write(cancel)
        first_s = time.perf_counter() - began
        scratch.dependencies.step(scratch.database)
        total_s = time.perf_counter() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        left = scratch.database.read_now(
            lambda connection: connection.exec_driver_sql(
                "SELECT count(*) FROM jobs WHERE status <> 'CANCELLED'"
            ).scalar()
        )
        scratch.database.close()
        assert left == 0
        return {"cancel_s": first_s, "all_s": total_s, "memory_kib": grown}


def tasks(number: int, seed: int) -> list[Task]:
    """A mix of jobs that asks for a little more than the inventory has, for a day."""
    dice = random.Random(seed)  # noqa: S311  a simulation
    span_s = number * 3.5
    made = []
    for project, (part, (begins, ends), weights) in TENANTS.items():
        for _ in range(round(number * part)):
            size = dice.choices(list(SIZES), weights)[0]
            demand, mean_s, tells = SIZES[size]
            runs_s = min(dice.lognormvariate(0, 0.6) * mean_s, 6 * mean_s)
            made.append(
                Task(
                    project,
                    dice.uniform(begins, ends) * span_s,
                    runs_s,
                    demand,
                    dice.choice([100, 500, 500, 500, 900]),
                    runs_s * 1.5 if tells else float("inf"),
                    size,
                )
            )
    return made


def simulate(number: int, seed: int) -> tuple[dict[str, Any], Cluster]:
    """What became of the mix."""
    cluster = Cluster(INVENTORY, patience_s=120)
    began = time.perf_counter()
    done = cluster.run(tasks(number, seed))
    wall_s = time.perf_counter() - began
    busy_until_s = max(task.arrives_s for task in done)
    figures = {
        "jobs": len(done),
        "virtual_hours": cluster.samples[-1].at_s / 3600,
        "decisions": cluster.decisions,
        "decision_us": wall_s / cluster.decisions * 1e6,
        "utilisation": {
            "cpu": _used(cluster, "cpu", sum(node.cpu for node in INVENTORY), busy_until_s),
            "gpus": _used(
                cluster, "gpus", sum(sum(node.gpus.values()) for node in INVENTORY), busy_until_s
            ),
        },
        "waits_by_project": _waits(done, "project"),
        "waits_by_size": _waits(done, "size"),
        "longest_wait_s": max(task.waited_s for task in done),
        "never_started": sum(task.started_s is None for task in done),
    }
    return figures, cluster


def _used(cluster: Cluster, name: str, total: float, until_s: float) -> float:
    """The part of a resource that was held while jobs came in."""
    used = 0.0
    for sample, after in zip(cluster.samples, cluster.samples[1:], strict=False):
        span_s = max(min(after.at_s, until_s) - sample.at_s, 0)
        used += getattr(sample, name) * span_s
    return used / (total * until_s)


def _waits(done: Iterable[Task], by: str) -> dict[str, dict[str, float]]:
    groups = defaultdict(list)
    for task in done:
        groups[getattr(task, by)].append(task.waited_s)
    return {
        name: {
            "jobs": len(waits),
            "p50_s": statistics.median(waits),
            "p95_s": sorted(waits)[int(len(waits) * 0.95)],
            "max_s": max(waits),
        }
        for name, waits in groups.items()
    }


def draw(figures: dict[str, Any], cluster: Cluster) -> str:
    """The run as an SVG: cores and GPUs in use, the backlog, and waits by project and size."""
    width, panel = 900, 150
    end_s = cluster.samples[-1].at_s
    cpu = sum(node.cpu for node in INVENTORY)
    gpus = sum(sum(node.gpus.values()) for node in INVENTORY)
    backlog = max(sample.waiting for sample in cluster.samples) or 1
    series = (
        (f"cores in use of {cpu:g}", "#2563eb", [one.cpu / cpu for one in cluster.samples]),
        (f"GPUs in use of {gpus}", "#16a34a", [one.gpus / gpus for one in cluster.samples]),
        (
            f"jobs that wait, at most {backlog}",
            "#dc2626",
            [one.waiting / backlog for one in cluster.samples],
        ),
    )
    parts = []
    step = max(len(cluster.samples) // (2 * width), 1)
    for at, (title, color, values) in enumerate(series):
        top = at * panel + 24
        points = " ".join(
            f"{cluster.samples[i].at_s / end_s * width:.1f},{top + (1 - values[i]) * 110:.1f}"
            for i in range(0, len(values), step)
        )
        parts.append(f'<text x="4" y="{top - 8}">{title}</text>')
        parts.append(f'<rect x="0" y="{top}" width="{width}" height="110" fill="#f8fafc"/>')
        parts.append(f'<polyline fill="none" stroke="{color}" points="{points}"/>')
    top = len(series) * panel + 24
    longest = figures["longest_wait_s"] or 1
    parts.append(f'<text x="4" y="{top}">waits: median, 95 %, longest (seconds)</text>')
    for name, waits in {**figures["waits_by_project"], **figures["waits_by_size"]}.items():
        top += 24
        label = f"{name} ({waits['jobs']}): " + ", ".join(
            f"{waits[key]:.0f}" for key in ("p50_s", "p95_s", "max_s")
        )
        parts.append(f'<text x="4" y="{top + 12}">{label}</text>')
        for key, color in (("max_s", "#e2e8f0"), ("p95_s", "#93c5fd"), ("p50_s", "#2563eb")):
            bar = waits[key] / longest * (width - 330)
            parts.append(f'<rect x="320" y="{top}" width="{bar:.1f}" height="16" fill="{color}"/>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + 30}" '
        f'font-family="sans-serif" font-size="13">\n{body}\n</svg>\n'
    )


def main() -> int:
    """Measure, print, keep; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--depths", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    given = parser.parse_args()
    figures, cluster = simulate(given.jobs, given.seed)
    costs = decision_costs(given.depths)
    ends = dependency_ends(given.jobs)
    RESULTS.mkdir(exist_ok=True)
    result = {"simulation": figures, "decision_ms": costs, "dependencies": ends}
    text = json.dumps(result, indent=2)
    (RESULTS / "scheduler.json").write_text(text + "\n")
    (RESULTS / "scheduler.svg").write_text(draw(figures, cluster))
    print(text)
    return _verdict(figures, costs)


def _verdict(figures: dict[str, Any], costs: dict[int, dict[str, float]]) -> int:
    missed = []
    for name in next(iter(costs.values())):
        ratio = costs[max(costs)][name] / costs[min(costs)][name]
        print(f"{name}: {ratio:.2f} times from {min(costs)} to {max(costs)} queued jobs")
        if ratio > FLAT:
            missed.append(f"the cost of a {name} grows {ratio:.1f} times")
    if figures["never_started"]:
        missed.append("jobs starved")
    for text in missed:
        print(f"MISSED: {text}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
