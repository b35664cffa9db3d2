"""Frames of a stream under test: each waited for no longer than the contract allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import grpc.aio

from jobplane.conformance.rule import BrokenRuleError, expect, expect_equal
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.v1 import event_pb2

F = TypeVar("F")
Frame = wire.WatchJobResponse
SetFrame = wire.WatchJobsResponse
End = wire.WatchJobResponse.End


class Frames(Generic[F]):
    """One open stream."""

    def __init__(self, call: Any, *, patience_s: float) -> None:
        self._call = call
        # The longest silence that a client bears.
        self._patience_s = patience_s

    async def frame(self, within_s: float | None = None) -> F | None:
        """The next frame; None at the end of the stream."""
        limit_s = self._patience_s if within_s is None else within_s
        try:
            async with asyncio.timeout(limit_s):
                frame = await self._call.read()
        except TimeoutError:
            raise BrokenRuleError(f"no frame came within {limit_s:g} s") from None
        return None if frame is grpc.aio.EOF else frame

    async def next(self, within_s: float | None = None) -> F:
        """The next frame, which must come."""
        frame = await self.frame(within_s)
        if frame is None:
            raise BrokenRuleError("the stream ended where a frame was due")
        return frame

    async def rest(self) -> list[F]:
        """All frames until the stream ends, whichever way it ends well."""
        found: list[F] = []
        while (frame := await self.frame()) is not None:
            found.append(frame)
        return found

    def cut(self) -> None:
        """Leave the stream, as a broken connection would."""
        self._call.cancel()


def kind_of(frame: Any) -> str:
    """Name of what a frame carries; "" when it carries nothing."""
    return str(frame.WhichOneof("frame") or "")


def events_of(frames: Sequence[Frame]) -> list[event_pb2.JobEvent]:
    """Durable events in the order in which they came."""
    return [event for frame in frames for event in frame.events.events if not event.ephemeral]


def payloads(events: Sequence[event_pb2.JobEvent]) -> list[str]:
    """Names of what events tell."""
    return [str(event.WhichOneof("payload") or "") for event in events]


def expect_gapless(events: Sequence[event_pb2.JobEvent], *, after: int = 0) -> None:
    """Break the rule unless each event after a sequence came once and in its place."""
    seen = [event.sequence for event in events]
    for place, sequence in enumerate(seen, start=after + 1):
        expect(sequence == place, f"event {sequence} came where {place} was due: {brief(seen)}")


def expect_end(frames: Sequence[Any], reason: End.Reason.ValueType = End.REASON_FINISHED) -> None:
    """Break the rule unless the last frame, and no other, says the end."""
    kinds = [kind_of(frame) for frame in frames]
    expect(bool(kinds), "the stream ended without any frame")
    expect(kinds[-1] == "end", f"the last frame is {kinds[-1]!r}, not an End: the end is silent")
    expect(kinds.count("end") == 1, "there is more than one End")
    expect_equal(End.Reason.Name(frames[-1].end.reason), End.Reason.Name(reason), "End.reason")


def brief(numbers: Sequence[int]) -> str:
    """Numbers, not too many of them."""
    text = ", ".join(map(str, numbers[:30]))
    return f"[{text}{', …' if len(numbers) > 30 else ''}]"  # noqa: PLR2004  one line
