"""Runs schedules by hand: `python -m tests.simulation --seed 7 --schedules 1`."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.schedule import plan_of, run

SHOWN = 3


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--schedules", type=int, default=100)
    options = parser.parse_args()
    began = time.perf_counter()
    counts, failed, kinds = Counter(), 0, Counter()
    for seed in range(options.seed, options.seed + options.schedules):
        outcome = run(plan_of(seed))
        counts += outcome.counts
        if outcome.error is not None:
            failed += 1
            told = outcome.story if failed <= SHOWN else str(outcome.error)
            sys.stdout.write(f"seed {seed}\n{told}\n")
            kinds[str(outcome.error).split(":")[0]] += 1
    wall_s = time.perf_counter() - began
    failures = f"{failed} failed {dict(kinds)}"
    sys.stdout.write(f"{options.schedules} schedules in {wall_s:.1f} s, {failures}\n")
    sys.stdout.write(f"{dict(sorted(counts.items()))}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
