"""What the development server is made of: the local engine on this machine."""

from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.base import Isolation
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings


def local_house(settings: EngineSettings) -> House:
    """Give the engine that runs jobs on this machine."""
    registry = Registry.discover()
    where = ExecutorSettings(
        threads=ThreadSettings(slots=settings.thread_slots),
        processes=ProcessSettings(slots=settings.process_slots),
        kinds=settings.kinds,
    )
    executors: dict[str, Executor] = {
        Isolation.THREAD.value: ThreadExecutor(registry, where),
        Isolation.PROCESS.value: ProcessExecutor(registry, where),
    }
    return House(settings, registry=registry, executors=executors)
