"""What an operator may set about where attempts run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSettings:
    """Bounds of the thread pool."""

    slots: int = 32
    # Threads that ignore a kill may pile up to this number before slots are lost to them.
    max_stuck: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """Bounds of the child processes."""

    slots: int = 2
    # Spare children with a kind's imports done: so many per kind used lately, and in all. A
    # second one covers for the imports of the first one's successor.
    warm_per_kind: int = 2
    warm_total: int = 4
    warm_idle_s: float = 300.0
    # Importing a kind's work may take this long, on a busy machine with a cold disk.
    start_timeout_s: float = 120.0
    # A result was sent, but the process does not end.
    exit_grace_s: float = 2.0
    # An interpreter that answers no ping for so long is hung; 0 never asks.
    ping_timeout_s: float = 300.0
    # For attempts that ask for nothing else; 0 is no limit.
    memory_limit_bytes: int = 2 << 30
    cpu_limit_s: int = 0
    # Output beyond this is dropped, for stdout and stderr each.
    log_limit_bytes: int = 64 << 20
    # Added to the clean environment of children.
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    # Added for the children of one kind only, by kind: the place of its secrets.
    kind_environment: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict[str, Mapping[str, str]]
    )
    # Marks every process of this server; what an earlier server of the same name left is ended
    # at the start. Empty: a name that nobody else has.
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSettings:
    """Everything about where attempts run."""

    threads: ThreadSettings = ThreadSettings()
    processes: ProcessSettings = ProcessSettings()
    # What each kind is told by the operator, by kind.
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    engine_version: str = ""
