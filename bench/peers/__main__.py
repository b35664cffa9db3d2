"""The same no-op job on other systems, each on this machine's disk, beside Jobplane.

Rounds in turns over all systems, each started on a fresh folder every time; medians. A system
that can't be started is listed with the reason. Run it with `make bench-peers`.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.peers.figures import Figures
from bench.record import keep, missed

PEERS = Path(sys.prefix).parent / ".venv-peers/bin/python"
# Module, and what its row is called when it can't be measured.
SYSTEMS = {
    "ours": "Jobplane",
    "temporal": "Temporal dev server",
    "procrastinate": "procrastinate",
    "celery": "Celery",
    "huey": "huey",
}
# Whole jobs a second of ours, over those of a peer.
TARGETS = {
    "Temporal dev server, a workflow": (">=", 20.0, "no-op jobs, over Temporal's dev server"),
    "procrastinate": (">=", 2.0, "no-op jobs, over procrastinate"),
}
_COLUMNS = ("submit_64_per_s", "whole_64_per_s", "whole_1_p50_ms")
_PATIENCE_S = 180


def main() -> int:
    """Measure, print a table, write JSON and a plot; 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    arguments = options.parse_args()
    rounds: list[Figures] = []
    missing: dict[str, str] = {}
    for _ in range(arguments.rounds):
        for module in arguments.systems:
            if SYSTEMS[module] in missing:
                continue
            try:
                rounds += measured(module, arguments.seconds)
            except MissingError as error:
                missing[SYSTEMS[module]] = str(error)
    return report(medians(rounds), missing)


class MissingError(Exception):
    """A system could not be measured here."""


def measured(module: str, seconds: float) -> list[Figures]:
    """Have a system measured by a process of its own environment."""
    python = sys.executable if module == "ours" else str(PEERS)
    command = [python, "-m", f"bench.peers.{module}", "--seconds", str(seconds)]
    try:
        done = subprocess.run(  # noqa: S603  our own modules
            command, capture_output=True, check=False, text=True, timeout=_PATIENCE_S
        )
    except FileNotFoundError as error:
        raise MissingError("not installed: no .venv-peers; `make bench-peers` makes it") from error
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"not done after {_PATIENCE_S} s") from error
    if done.returncode:
        raise MissingError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return [Figures(**json.loads(line)) for line in done.stdout.splitlines()]


def medians(rounds: Iterable[Figures]) -> dict[str, dict[str, Any]]:
    """The median of each figure of a system, and every round's."""
    by_system: dict[str, list[Figures]] = {}
    for figures in rounds:
        by_system.setdefault(figures.system, []).append(figures)
    found: dict[str, dict[str, Any]] = {}
    for system, all_ in by_system.items():
        taken = {name: [getattr(one, name) for one in all_] for name in _COLUMNS}
        row: dict[str, Any] = {name: statistics.median(values) for name, values in taken.items()}
        found[system] = {**row, "durability": all_[-1].durability, "rounds": taken}
    return found


def report(systems: Mapping[str, Mapping[str, Any]], missing: Mapping[str, str]) -> int:
    """Print and write what was measured."""
    print(f"{'':<44}{'submits/s':>10}{'jobs/s':>10}{'one, ms':>10}  durability")
    print(f"{'':<44}{'64 flying':>10}{'64 out':>10}{'p50':>10}")
    for system, row in systems.items():
        rates = "".join(f"{row[name]:>10.0f}" for name in _COLUMNS[:2])
        print(f"{system:<44}{rates}{row['whole_1_p50_ms']:>10.1f}  {row['durability']}")
    for system, reason in missing.items():
        print(f"{system:<44}{'not measured: ':>30}{reason}")
    whole = {system: row["whole_64_per_s"] for system, row in systems.items()}
    ours = whole.get(SYSTEMS["ours"], 0.0)
    ratios = {peer: ours / whole[peer] for peer in TARGETS if ours and peer in whole}
    result = {"medians": systems, "missing": missing, "ratios": ratios, "targets": TARGETS}
    keep("peers", result, "No-op jobs in a second, 64 outstanding", whole)
    return 1 if missed(TARGETS, ratios) else 0


if __name__ == "__main__":
    sys.exit(main())
