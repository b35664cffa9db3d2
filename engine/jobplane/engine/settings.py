"""Settings of the engine, read once at the root and handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where an engine keeps its data, and how much it does at once."""

    data_dir: Path
    # Empty means the SQLite file jobplane.db in data_dir.
    database_url: str = ""
    thread_slots: int = 8
    process_slots: int = 4
    readers: int = 4
    # Threads that read and write content for callers.
    file_threads: int = 8
    # An attempt that is not heard of for so long is lost.
    lease_s: float = 30.0
    reaper_interval_s: float = 0.2
    feed_interval_s: float = 1.0
    watch_max_age_s: float = 3600.0
    # Settings of each kind, by its name.
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
