"""Runs schedules by hand: `python -m tests.simulation --seed 7 --schedules 1 --trace`."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.schedule import plan_of, run


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
            kind = f"{type(outcome.error).__name__} {str(outcome.error)[:90]}"
            if failed <= 3:
                print(f"seed {seed}\n{outcome.story}\n", flush=True)
            else:
                print(f"seed {seed} {kind}", flush=True)
            kinds[str(outcome.error).split(":")[0]] += 1
    wall_s = time.perf_counter() - began
    print(f"{options.schedules} schedules in {wall_s:.1f} s, {failed} failed {dict(kinds)}")
    print(dict(sorted(counts.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
