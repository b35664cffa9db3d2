"""A watcher of a set of jobs that keeps what it is told, over cuts and reconnects."""

import asyncio
from contextlib import suppress

from jobplane.engine.watch.frame import EndReason
from jobplane.engine.watch.set_frame import Changes, Reset, SetEnd, Synced


class SetWatcher:
    """`held` is what a reader of the stream believes to match now, by job name."""

    def __init__(self, engine, filter="", *, project="demo", until_all_finished=False):
        self._engine = engine
        self._project = project
        self._filter = filter
        self._until_all_finished = until_all_finished
        self._task = None
        self.cursor = ""
        self.held = {}
        self.frames = []
        self.end = None
        self.synced = 0

    def stream(self, heartbeat_s=15.0):
        return self._engine.streams.watch_jobs(
            self._project,
            filter=self._filter,
            cursor=self.cursor,
            heartbeat_s=heartbeat_s,
            until_all_finished=self._until_all_finished,
        )

    def take(self, frame):
        self.frames.append(frame)
        self.cursor = frame.cursor
        match frame:
            case Changes():
                for change in frame.changes:
                    self._apply(change)
            case Reset():
                self.held.clear()
            case Synced():
                self.synced += 1
            case SetEnd():
                self.end = frame.reason

    def _apply(self, change):
        if change.matches:
            self.held[change.name] = change.job
        else:
            self.held.pop(change.name, None)

    async def run(self, frames=None):
        """Follow to the end, or for so many frames."""
        stream = self.stream()
        try:
            async for frame in stream:
                self.take(frame)
                if frames is not None:
                    frames -= 1
                    if frames <= 0:
                        return
        finally:
            await stream.aclose()

    def start(self):
        self._task = asyncio.create_task(self.run())

    async def cut(self):
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def states(self):
        return {name: (job.status, job.sequence) for name, job in self.held.items()}

    @property
    def changes(self):
        return [one for frame in self.frames if isinstance(frame, Changes) for one in frame.changes]

    async def ended(self):
        async with asyncio.timeout(20):
            await self._task if self._task else await self.run()
        assert isinstance(self.end, EndReason)
        return self.end
