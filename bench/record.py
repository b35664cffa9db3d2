"""The record of a bench: what is printed, and what is kept in bench/results/."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plot import bars

RESULTS = Path(__file__).parent / "results"
# Figure: what it is held against, whether more or less is better, and what it is.
Targets = Mapping[str, tuple[str, float, str]]
_LOAD_BEFORE = os.getloadavg()[0]


def missed(targets: Targets, figures: Mapping[str, float]) -> int:
    """Print each figure beside its target; gives how many are on its wrong side."""
    count = 0
    for name, (sense, bound, text) in targets.items():
        if name not in figures:
            continue
        value = figures[name]
        met = value >= bound if sense == ">=" else value <= bound
        count += not met
        print(f"{'ok  ' if met else 'MISS'} {text:<70} {value:8.2f}  ({sense} {bound:g})")
    return count


def keep(name: str, result: Mapping[str, Any], title: str, values: Mapping[str, float]) -> None:
    """Write the result and a plot of some of its values."""
    RESULTS.mkdir(exist_ok=True)
    cores = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    machine = {"machine": f"{platform.machine()}, {cores}", "load_before": round(_LOAD_BEFORE, 2)}
    text = json.dumps({**result, **machine}, indent=2)
    (RESULTS / f"{name}.json").write_text(f"{text}\n")
    (RESULTS / f"{name}.svg").write_text(bars(title, values))
