"""Runs of the harness for tests: a process of its own, and what it says in the end."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Set these to repeat a run, to make it longer, or to keep what a failed one leaves behind.
SEED = "JOBPLANE_ROBUST_SEED"
KILLS = "JOBPLANE_ROBUST_KILLS"
KEEP = "JOBPLANE_ROBUST_KEEP"


@dataclass(frozen=True)
class Run:
    """A run that is over."""

    summary: dict[str, Any]
    folder: Path

    @property
    def errors(self) -> dict[str, int]:
        return dict(self.summary["errors"])

    def explain(self) -> str:
        """What to say when the run is not what was hoped for."""
        broken = "\n".join(
            f"  {one['promise']} {one['error']} {one['job']}: {one['evidence']}"
            for one in self.summary["broken"][:10]
        )
        kept = os.environ.get(KEEP)
        where = f"kept in {kept}" if kept else f"not kept: set {KEEP} to a folder"
        return (
            f"seed {self.summary['seed']} (set {SEED}), {self.summary['kills']} kills,"
            f" {self.summary['jobs']} jobs; {where}\n{broken}"
        )

    def keep(self) -> None:
        """Keep the report where the environment says, and all there is if a promise broke."""
        if not (kept := os.environ.get(KEEP)):
            return
        target = Path(kept) / f"{self.folder.name}-seed-{self.summary['seed']}"
        if self.errors:
            shutil.copytree(self.folder, target, dirs_exist_ok=True)
            return
        target.mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "summary.json"):
            shutil.copy(self.folder / name, target / name)


def seed() -> int:
    """The seed that the environment asks for, or a fresh one."""
    given = os.environ.get(SEED)
    return int(given) if given else secrets.randbelow(1_000_000)


def run_harness(folder: Path, *arguments: str, timeout_s: float) -> Run:
    """Run `python -m tests.robust` to its end."""
    command = [sys.executable, "-m", "tests.robust", "--folder", str(folder), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    summary = folder / "summary.json"
    assert summary.is_file(), (
        f"the harness itself failed:\n{done.stdout[-2000:]}{done.stderr[-8000:]}"
    )
    return Run(json.loads(summary.read_text(encoding="utf-8")), folder)
