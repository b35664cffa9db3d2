"""What the development server is made of: the local engine over one data folder."""

from pathlib import Path

from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.base import Isolation
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings


def local_house(folder: Path) -> House:
    """Give the engine that keeps its record and content in the folder."""
    registry = Registry.discover()
    settings = ExecutorSettings()
    executors: dict[str, Executor] = {
        Isolation.THREAD.value: ThreadExecutor(registry, settings),
        Isolation.PROCESS.value: ProcessExecutor(registry, settings),
    }
    return House(EngineSettings(folder), registry=registry, executors=executors)
