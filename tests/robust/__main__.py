"""Runs the harness by hand: `python -m tests.robust --kills 40 --seed 7 --folder DIR`."""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from pathlib import Path

from tests.robust import checker, report
from tests.robust.harness import Outcome, Plan, run
from tests.robust.history import History
from tests.robust.record import read_record

HISTORY_NAME = "history.jsonl"
SUMMARY_NAME = "summary.json"
REPORT_NAME = "report.html"


def main() -> int:
    options = _options()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jobplane-robust-"))
    if options.check:
        history = History.load(options.check / HISTORY_NAME)
        return _tell(Outcome(history, read_record(options.check / "data"), 0.0), options.check)
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    _say(f"seed {seed}, {options.kills} kills, folder {folder}")
    plan = Plan(
        folder=folder,
        kills=options.kills,
        seed=seed,
        plant=options.plant,
        stall_s=options.stall,
        drain_s=options.drain,
        watches_s=options.watches,
        sitters=options.sitters,
        processes_per_s=options.processes,
        cancels=options.cancels,
        depends=options.depends,
        calm_s=options.calm,
        grace_s=options.grace,
        shapes=frozenset(options.shapes.split()),
        failpoints=tuple(options.failpoint),
        say=_say,
    )
    outcome = asyncio.run(run(plan))
    outcome.history.save(folder / HISTORY_NAME)
    return _tell(outcome, folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.robust", description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--plant", default="")
    parser.add_argument("--stall", type=float, default=20.0)
    parser.add_argument("--drain", type=float, default=180.0)
    parser.add_argument("--watches", type=float, default=6.0)
    parser.add_argument("--sitters", type=int, default=2)
    parser.add_argument("--processes", type=float, default=1.0)
    parser.add_argument("--cancels", type=float, default=0.2)
    parser.add_argument("--calm", type=float, default=0.0)
    parser.add_argument("--grace", type=float, default=0.0)
    parser.add_argument("--depends", type=float, default=0.2)
    parser.add_argument("--shapes", default="", metavar="NAMES")
    parser.add_argument("--failpoint", action="append", default=[], metavar="NAME:exit@N")
    parser.add_argument("--check", type=Path, default=None, metavar="DIR")
    return parser.parse_args()


def _tell(outcome: Outcome, folder: Path) -> int:
    """Write the summary, say what it says; 1 when a promise is broken."""
    history, record = outcome.history, outcome.record
    found = checker.check(history, record)
    counted = checker.counters(history, record)
    broken = [
        {"promise": one.promise, "error": one.error, "job": one.job_id, "evidence": one.evidence}
        for one in found.broken[:200]
    ]
    summary = {
        "seed": history.seed,
        "wall_s": round(outcome.wall_s, 1),
        "lives": len(history.lives),
        "kills": sum(life.how == "kill" for life in history.lives),
        "died_at": [life.failpoint for life in history.lives if life.how == "failpoint"],
        "operations": len(history.operations),
        "jobs": len(record.jobs),
        "watches": len(history.watches),
        "submits": dict(found.submits),
        "looked_at": dict(found.looked_at),
        "sometimes": dict(counted),
        "never": checker.never(counted),
        "errors": dict(found.errors),
        "broken": broken,
    }
    page = report.page(history, record, found, wall_s=outcome.wall_s)
    (folder / REPORT_NAME).write_text(page, encoding="utf-8")
    (folder / SUMMARY_NAME).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    _say(json.dumps({**summary, "broken": broken[:20]}, indent=1))
    return 1 if found.broken else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
