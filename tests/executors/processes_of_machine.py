"""What the machine says about processes, for tests that must leave none behind."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_S = 20.0


def marked(marker: str) -> list[int]:
    """Give the processes that have this in their environment, zombies aside."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if marker.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found


def is_live(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def zombies_below(parent: int) -> list[int]:
    """Give the zombies among the children of a process."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(ppid) == parent:
                    found.append(int(folder.name))
    return found


def open_descriptors() -> int:
    """Give how many descriptors this process holds."""
    return len(tuple(Path("/proc/self/fd").iterdir()))


def eventually(holds: Callable[[], bool], *, deadline_s: float = DEADLINE_S) -> float:
    """Wait until something holds; give how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < deadline_s
        time.sleep(0.01)
    return time.monotonic() - began
