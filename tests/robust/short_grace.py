"""A server whose retention is over within seconds, so that a short run sees much of it."""

from dataclasses import replace
from typing import Any

from jobplane.engine.house import House
from jobplane.engine.settings import EngineSettings


def install(grace_s: float) -> None:
    """Have the servers of this process collect content after so long, and end uploads soon."""
    real = House.__init__

    def init(self: House, settings: EngineSettings, **parts: Any) -> None:
        short = replace(
            settings,
            gc_grace_s=grace_s,
            sweep_interval_s=grace_s / 4,
            janitor_interval_s=grace_s / 8,
            upload_retention_s=2 * grace_s,
        )
        real(self, short, **parts)

    House.__init__ = init
