"""What the service asks of the engine's streams: all of it, and nothing else."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from jobplane.engine.domain.log_line import LogFrame
from jobplane.engine.watch.set_frame import SetFrame


class StreamsPort(Protocol):
    """Sets of jobs, and logs. Every method refuses with a child of EngineError."""

    def watch_jobs(
        self,
        project: str,
        *,
        filter: str,  # noqa: A002  the contract's word
        cursor: str,
        heartbeat_s: float,
        until_all_finished: bool,
    ) -> AsyncIterator[SetFrame]:
        """Follow all jobs that match."""
        ...

    def tail_logs(
        self,
        project: str,
        job_id: str,
        *,
        attempt: int,
        after_line: int,
        tail_lines: int,
        follow: bool,
    ) -> AsyncIterator[LogFrame]:
        """Read the log of a job's attempts."""
        ...


@runtime_checkable
class HasStreams(Protocol):
    """An engine that has streams; where there are none, their methods are not enabled."""

    @property
    def streams(self) -> StreamsPort:
        """The streams."""
        ...
