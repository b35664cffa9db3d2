"""Frames survive any cut of the stream, and nothing else is taken for one."""

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplane.engine.domain.attempt import Intent
from jobplane.engine.domain.job import Failure, FailureCategory, JobResult, Progress
from jobplane.engine.executors import frames

FRAMES: list[frames.ToServer] = [
    frames.Ready(),
    frames.ProgressMade(Progress(fraction=0.5, message="half")),
    frames.CheckpointMade(b"\0\xff", 3),
    frames.WorkFailed(Failure("R", FailureCategory.INPUT, "m", retryable=True, exit_code=-9)),
    frames.WorkStopped(Intent.PAUSE),
    frames.WorkDone(JobResult("h", {"a": 1.5}, ("w",), b"\1"), (), ""),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def read_all(data: bytes, cuts: list[int]) -> list[frames.ToServer]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader: frames.FrameReader[frames.ToServer] = frames.FrameReader(ours, frames.ToServer)
        found: list[frames.ToServer] = []
        edges = [0, *sorted(cuts), len(data)]
        for start, end in pairwise(edges):
            if start < end:
                theirs.sendall(data[start:end])
                found.extend(reader.read() or [])
        return found


WIRE = b"".join(frames.encoded(frame) for frame in FRAMES)


@given(st.lists(st.integers(0, len(WIRE)), max_size=20))
def test_frames_arrive_however_they_are_cut(cuts: list[int]) -> None:
    assert read_all(WIRE, cuts) == FRAMES


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_incomplete_but_never_anything_else(data: bytes) -> None:
    try:
        found = read_all(data, [])
    except frames.FrameError:
        return
    assert all(isinstance(frame, frames.ToServer) for frame in found)


def test_the_end_of_the_stream_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()

    assert frames.FrameReader[frames.ToServer](ours, frames.ToServer).read() is None


def test_a_frame_that_is_too_long_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)
    with pytest.raises(frames.FrameError):
        frames.encoded(frames.CheckpointMade(bytes(101), 0))
