"""What the development server is made of: the local engine on this machine."""

import hashlib
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from jobplane.engine.domain.errors import EngineError
from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.base import Isolation
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store.migrate import SchemaError

# What opening a folder that holds no readable record ends with.
UNREADABLE = (EngineError, SchemaError, SQLAlchemyError)


def _owner(data_dir: Path) -> str:
    """A name that every life of the server over this folder shares, and no other server has."""
    return hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]


def local_house(settings: EngineSettings) -> House:
    """Give the engine that runs jobs on this machine."""
    registry = Registry.discover()
    where = ExecutorSettings(
        threads=ThreadSettings(slots=settings.thread_slots),
        processes=ProcessSettings(
            slots=settings.process_slots,
            owner=_owner(settings.data_dir),
            kind_environment=settings.kind_environment,
        ),
        kinds=settings.kinds,
    )
    executors: dict[str, Executor] = {
        Isolation.THREAD.value: ThreadExecutor(registry, where),
        Isolation.PROCESS.value: ProcessExecutor(registry, where),
    }
    return House(settings, registry=registry, executors=executors)
