"""Listening: the frames of one child become reports to the engine."""

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobplane.engine.domain.attempt import (
    Asked,
    Assignment,
    Broke,
    Completed,
    Conclusion,
    Yielded,
)
from jobplane.engine.domain.event import (
    DurablePayload,
    MetricReported,
    StageFinished,
    StageStarted,
    Warned,
)
from jobplane.engine.executors import frames
from jobplane.engine.executors.deadlines import Deadlines
from jobplane.engine.executors.port import Reports

if TYPE_CHECKING:
    from jobplane.engine.domain.job import Failure


class Listener:
    """What a child told so far, passed on in the order it came."""

    def __init__(
        self,
        assignment: Assignment,
        *,
        reports: Reports,
        deadlines: Deadlines,
        reply: Callable[[frames.ToChild], None],
    ) -> None:
        self._assignment = assignment
        self._reports = reports
        self._deadlines = deadlines
        self._reply = reply
        self._events: list[DurablePayload] = []
        self.is_ready = False
        self.ponged_at = time.monotonic()
        self.refusal: Failure | None = None
        self.ending: frames.Ending | None = None

    def take(self, arrived: Sequence[frames.ToServer]) -> None:
        """Pass on what arrived; nothing counts after the ending."""
        for frame in arrived:
            if self.ending is None:
                self._take(frame)
        self._pass_events()

    def _take(self, frame: frames.ToServer) -> None:
        now = time.monotonic()
        if not isinstance(frame, frames.Pong):
            self._deadlines.heard(now)
        event = _event(frame)
        if event is not None:
            self._deadlines.follow((event,), now)
            self._events.append(event)
            return
        self._pass_events()
        match frame:
            case frames.Pong():
                self.ponged_at = now
            case frames.Ready():
                self.is_ready = True
            case frames.Refused(failure):
                self.refusal = failure
            case frames.ProgressMade(progress):
                self._reports.progress(self._assignment, progress)
            case frames.ArtifactMade() | frames.CheckpointMade():
                self._keep(frame)
            case frames.WorkDone() | frames.WorkFailed() | frames.WorkStopped() | frames.WorkAsks():
                self.ending = frame
            case _:
                pass

    def _pass_events(self) -> None:
        if self._events:
            events, self._events = self._events, []
            self._reports.events(self._assignment, events)

    def _keep(self, frame: frames.ArtifactMade | frames.CheckpointMade) -> None:
        self._deadlines.keeping(True, time.monotonic())
        try:
            error = self._kept(frame)
        finally:
            self.ponged_at = time.monotonic()
            self._deadlines.keeping(False, self.ponged_at)
        self._reply(frames.Kept(error))

    def _kept(self, frame: frames.ArtifactMade | frames.CheckpointMade) -> str:
        if isinstance(frame, frames.CheckpointMade):
            self._reports.checkpoint(
                self._assignment, frame.data, completed_units=frame.completed_units
            )
            return ""
        error = _objection(Path(frame.path), self._assignment.folder)
        if not error:
            self._reports.artifact(
                self._assignment,
                name=frame.name,
                path=Path(frame.path),
                media_type=frame.media_type,
                type=frame.artifact_type,
                stage=frame.stage,
            )
        return error


def _objection(path: Path, folder: Path) -> str:
    """Say why a file can't be taken; work may only hand over what lies in its own folder."""
    try:
        root = os.path.realpath(folder)
        if os.path.commonpath([root, os.path.realpath(path.parent)]) != root:
            return f"{path.name!r} does not lie in the attempt's folder"
        if not stat.S_ISREG(path.lstat().st_mode):
            return f"{path.name!r} is no regular file"
    except (OSError, ValueError) as error:
        return f"{path.name!r} can't be read: {error}"
    return ""


def _event(frame: frames.ToServer) -> DurablePayload | None:
    match frame:
        case frames.StageBegan(stage):
            return StageStarted(stage)
        case frames.StageEnded(stage, reused, failure):
            return StageFinished(stage, reused, failure)
        case frames.Measured(step, values):
            return MetricReported(step, values)
        case frames.Odd(reason, message):
            return Warned(reason, message)
        case _:
            return None


def conclusion_of(ending: frames.Ending) -> Conclusion:
    """Give how the work said that it ended."""
    match ending:
        case frames.WorkDone(result, gaps, gate_refusal):
            return Completed(result, gaps, gate_refusal)
        case frames.WorkFailed(failure):
            return Broke(failure)
        case frames.WorkStopped(intent):
            return Yielded(intent)
        case frames.WorkAsks(request, timeout_s):
            return Asked(request, timeout_s)
