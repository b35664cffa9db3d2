"""Settings of the engine, read once at the root and handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A machine that jobs may be placed on, and what it has."""

    name: str
    cpu: float
    memory_bytes: int
    # How many GPUs of each type.
    gpus: Mapping[str, int] = field(default_factory=dict[str, int])
    # Capacity that may be taken away: only for jobs that are fine with it.
    spot: bool = False


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """What there is to share, and how."""

    # Empty means this machine, with its cores and its memory, and no GPU.
    nodes: tuple[NodeSettings, ...] = ()
    # Weight of a project's share; those that are not named weigh 1.
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    # A job that does not fit for so long gets a machine reserved.
    patience_s: float = 60.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where an engine keeps its data, and how much it does at once."""

    data_dir: Path
    # Empty means the SQLite file jobplane.db in data_dir.
    database_url: str = ""
    # Empty means the folder content in data_dir; else s3://bucket/prefix?endpoint=...&region=...
    content_url: str = ""
    thread_slots: int = 8
    process_slots: int = 4
    readers: int = 4
    # Threads that read and write content for callers.
    file_threads: int = 8
    # Processes that read tables, and the address space of each.
    table_readers: int = 2
    table_memory_bytes: int = 4 * GIB
    # What one attempt prints beyond this is not kept line by line.
    max_log_bytes: int = 64 * 1024**2
    max_upload_bytes: int = 16 * GIB
    # Uploads at once.
    max_uploads: int = 64
    # Bytes of uploads that broke off; more of them are refused until some are gone.
    max_landing_bytes: int = 64 * GIB
    # How long an upload that broke off can be gone on with.
    landing_keep_s: float = 86_400.0
    # A sender that sends nothing for so long is cut off.
    upload_idle_s: float = 60.0
    # How long an upload stays that no data set and no job needs; 0 is for ever.
    upload_retention_s: float = 90 * 86_400.0
    # How often jobs and uploads that are over are purged.
    janitor_interval_s: float = 10.0
    # How often content that nobody needs is looked for, and how long it stays after that.
    sweep_interval_s: float = 600.0
    gc_grace_s: float = 3600.0
    # An attempt that is not heard of for so long is lost.
    lease_s: float = 30.0
    reaper_interval_s: float = 0.2
    feed_interval_s: float = 1.0
    watch_max_age_s: float = 3600.0
    scheduler: SchedulerSettings = SchedulerSettings()
    # Settings of each kind, by its name.
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    # Environment of each kind's attempts, by the kind's name: the place of its secrets.
    kind_environment: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict[str, Mapping[str, str]], repr=False
    )
