"""Failpoints: named places at which a test has the process die, so that each window is hit.

The root hands the text of JOBPLANE_FAILPOINTS to `configure`; unless it names a point,
`reach` costs one look at an empty dict.
"""

import os
import signal
import threading
from collections.abc import Mapping

VARIABLE = "JOBPLANE_FAILPOINTS"
# Every window between two things that must both happen, or neither.
NAMES = frozenset(
    {
        "migrate_before_commit",
        "migrate_after_commit",
        "recover_before_commit",
        "recover_after_commit",
        "submit_before_commit",
        "submit_before_ack",
        "steer_before_commit",
        "steer_before_ack",
        "claim_before_commit",
        "claim_after_commit",
        "attempt_launched",
        "report_before_commit",
        "conclusion_before_commit",
        "conclusion_after_commit",
        "commit_before",
        "commit_after",
        "content_before_rename",
        "content_after_rename",
        "artifact_before_row",
        "checkpoint_before_row",
        "purge_before_commit",
        "sweep_before_remove",
        "upload_before_row",
        "upload_before_ack",
        "watch_before_end",
    }
)


class FailpointError(Exception):
    """What is configured names no failpoint or no effect."""


_lock = threading.Lock()
# Visits that are left until a point has its effect.
_left: dict[str, int] = {}


def reach(name: str) -> None:
    """Have the effect that is configured for this place, if any."""
    if _left:
        _visit(name)


def configure(text: str) -> None:
    """Arm points: "name:exit@N" ends the process, as SIGKILL does, at the N-th visit."""
    armed = dict(_parsed(entry) for entry in text.replace(",", " ").split())
    with _lock:
        _left.clear()
        _left.update(armed)


def configure_from(environment: Mapping[str, str]) -> None:
    """Arm the points that an environment names."""
    configure(environment.get(VARIABLE, ""))


def _parsed(entry: str) -> tuple[str, int]:
    name, _, effect = entry.partition(":")
    action, _, visit = effect.partition("@")
    if name not in NAMES:
        raise FailpointError(f"no failpoint {name!r}; there are: {', '.join(sorted(NAMES))}")
    if action != "exit" or (visit and not (visit.isdecimal() and int(visit) > 0)):
        raise FailpointError(f"a failpoint is NAME:exit or NAME:exit@N with N > 0, not {entry!r}")
    return name, int(visit or 1)


def _visit(name: str) -> None:
    with _lock:
        if name not in _left:
            return
        _left[name] -= 1
        if _left[name] == 0:
            # Nothing may be flushed, closed or said on the way out.
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
