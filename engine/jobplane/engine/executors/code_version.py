"""The version of the code that runs attempts. Children are told it: finding it out is slow."""

from importlib.metadata import PackageNotFoundError, version

from jobplane.engine.executors.settings import ExecutorSettings


def engine_version(settings: ExecutorSettings) -> str:
    """Give the version from the settings, or of what is installed."""
    if settings.engine_version:
        return settings.engine_version
    try:
        return version("jobplane")
    except PackageNotFoundError:
        return "unknown"
