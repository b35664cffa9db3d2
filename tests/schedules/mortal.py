"""A server's ticker as a process of its own, to be killed: DATABASE MINUTES FAILPOINTS."""

import sys
from datetime import timedelta
from pathlib import Path

from jobplane.engine import failpoint
from tests.schedules.rig import START, HandClock, rig_at


def main(path: str, minutes: str, failpoints: str) -> None:
    progress = Path(f"{path}.minute")
    minute = int(progress.read_text()) if progress.exists() else 1
    clock = HandClock(START + timedelta(minutes=minute))
    with rig_at(f"sqlite:///{path}", clock) as rig:
        failpoint.configure(failpoints)
        while minute <= int(minutes):
            progress.write_text(str(minute))
            clock.at = START + timedelta(minutes=minute)
            rig.settle()
            minute += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
