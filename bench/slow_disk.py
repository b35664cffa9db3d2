"""A slow disk: an environment in which every fsync and fdatasync takes so much longer."""

import subprocess
import sys
from pathlib import Path

_SOURCE = Path(__file__).with_name("slow_disk.c")


def slow_disk(folder: str, milliseconds: float) -> dict[str, str]:
    """Build the shim into a folder, and give the environment that has it loaded."""
    library = Path(folder) / "slow_disk.so"
    command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True, timeout=60)  # noqa: S603  the compiler, our own source
    except FileNotFoundError:
        sys.exit("the slowed disk is a shim in C; apt-get install gcc")
    return {"LD_PRELOAD": str(library), "SLOW_DISK_US": str(round(milliseconds * 1000))}
