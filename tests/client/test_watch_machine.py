"""The watch machine, fed by hand: no server, no clock, no chance."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobplane.client import WatchPlan, errors
from jobplane.client._event import Event
from jobplane.client._steps import Ask, Fail, Read, Stop
from jobplane.client._watch import GAP_PATIENCE, WatchMachine
from jobplane.v1 import event_pb2, job_pb2, job_service_pb2
from tests.client.fake_jobs import new_job, run_to_end

Frame = job_service_pb2.WatchJobResponse
NAME = "projects/default/jobs/a"


def machine(*, after_sequence: int | None = 0, plan: WatchPlan | None = None) -> WatchMachine:
    return WatchMachine(
        NAME,
        plan=plan or WatchPlan(),
        after_sequence=after_sequence,
        now=0.0,
        jitter=lambda: 1.0,
    )


def events_frame(*sequences: int, cursor: int | None = None, finished: bool = False) -> Frame:
    events = [
        event_pb2.JobEvent(sequence=at, warning=event_pb2.JobEvent.Warning(reason="W"))
        for at in sequences
    ]
    if finished:
        events[-1] = event_pb2.JobEvent(
            sequence=sequences[-1], finished=event_pb2.JobEvent.Finished()
        )
    return Frame(
        cursor=sequences[-1] if cursor is None else cursor, events=Frame.Events(events=events)
    )


def beat(cursor: int) -> Frame:
    return Frame(cursor=cursor, heartbeat=Frame.Heartbeat())


def end(reason: Frame.End.Reason.ValueType = Frame.End.REASON_FINISHED, **members) -> Frame:
    return Frame(cursor=9, end=Frame.End(reason=reason, **members))


def error(code: str, **members) -> errors.JobplaneError:
    return errors.JobplaneError(errors.Refusal(code=code, message=code, **members))


def after(step: Ask) -> int | None:
    """Sequence that a stream is asked to begin after."""
    return step.request.after_sequence if step.request.HasField("after_sequence") else None


def open_stream(watch: WatchMachine, now: float = 0.0) -> Ask:
    step = watch.step(now)
    assert isinstance(step, Ask)
    watch.opened(now)
    return step


def numbers(events: list[Event]) -> list[int]:
    return [event.sequence for event in events]


def test_a_watch_begins_at_once_where_it_was_told_to():
    step = machine(after_sequence=4).step(0)
    assert isinstance(step, Ask)
    assert (after(step), step.delay_s) == (4, 0.0)


def test_events_pass_in_order():
    watch = machine()
    open_stream(watch)
    assert numbers(watch.received(events_frame(1, 2), 0)) == [1, 2]
    assert numbers(watch.received(events_frame(3), 0)) == [3]
    assert watch.cursor == 3


def test_an_event_that_was_told_before_is_dropped():
    watch = machine()
    open_stream(watch)
    watch.received(events_frame(1, 2), 0)
    assert numbers(watch.received(events_frame(2, 3), 0)) == [3]


def test_a_gap_is_asked_for_again_and_nothing_after_it_passes():
    watch = machine()
    open_stream(watch)
    assert numbers(watch.received(events_frame(1, 3), 0)) == [1]
    assert after(open_stream(watch, 1)) == 1
    assert numbers(watch.received(events_frame(2, 3), 1)) == [2, 3]


def test_a_cursor_ahead_of_the_events_is_a_gap():
    watch = machine()
    open_stream(watch)
    watch.received(beat(3), 0)
    assert after(open_stream(watch, 1)) == 0


def test_a_server_that_insists_on_a_gap_has_lost_data():
    watch = machine()
    for round_ in range(GAP_PATIENCE + 1):
        open_stream(watch, round_)
        watch.received(events_frame(3), round_)
    step = watch.step(99)
    assert isinstance(step, Fail)
    assert isinstance(step.error, errors.DataLoss)


def test_a_filter_makes_gaps_that_are_none():
    watch = machine(plan=WatchPlan(event_types=("warning",)))
    open_stream(watch)
    assert numbers(watch.received(events_frame(2, 5, cursor=7), 0)) == [2, 5]
    watch.ended(0)
    assert after(open_stream(watch, 1)) == 7


def test_the_finished_event_ends_the_watch_even_when_the_end_frame_is_lost():
    watch = machine()
    open_stream(watch)
    watch.received(events_frame(1, 2, finished=True), 0)
    watch.failed(error("UNAVAILABLE"), 0)
    assert watch.step(0) == Stop()


def test_the_finished_event_ends_the_watch_even_when_the_server_falls_silent():
    watch = machine()
    open_stream(watch)
    watch.received(events_frame(1, finished=True), 0)
    step = watch.step(0)
    assert isinstance(step, Read)
    assert step.timeout_s < 5
    watch.silent(5)
    assert watch.step(5) == Stop()


def test_the_end_frame_brings_the_final_job():
    watch = machine()
    open_stream(watch)
    watch.received(end(job=job_pb2.Job(name=NAME, done=True)), 0)
    assert watch.step(0) == Stop()
    assert watch.job is not None
    assert watch.job.done


def test_an_ok_without_an_end_frame_is_a_broken_stream():
    watch = machine()
    open_stream(watch)
    watch.received(events_frame(1), 0)
    watch.ended(0)
    assert after(open_stream(watch, 1)) == 1


@pytest.mark.parametrize("reason", [Frame.End.REASON_DRAINING, Frame.End.REASON_MAX_AGE])
def test_an_end_that_is_not_the_jobs_end_is_resumed_after_the_told_time(reason):
    watch = machine()
    open_stream(watch)
    watch.received(events_frame(1), 0)
    watch.received(end(reason, retry_after={"seconds": 2}), 0)
    step = watch.step(0)
    assert isinstance(step, Ask)
    assert after(step) == 1
    assert step.delay_s >= 2


def test_a_reason_that_this_client_does_not_know_is_resumed():
    watch = machine()
    open_stream(watch)
    frame = Frame(cursor=0)
    frame.end.ParseFromString(b"\x08\x63")
    watch.received(frame, 0)
    assert isinstance(watch.step(0), Ask)


def test_a_job_that_is_deleted_is_not_found():
    watch = machine()
    open_stream(watch)
    watch.received(end(Frame.End.REASON_DELETED), 0)
    step = watch.step(0)
    assert isinstance(step, Fail)
    assert isinstance(step.error, errors.NotFound)


@pytest.mark.parametrize(
    "code",
    ["UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "ABORTED",
     "RESOURCE_EXHAUSTED", "DATA_LOSS", "FAILED_PRECONDITION"],
)  # fmt: skip
def test_what_time_may_heal_is_resumed(code):
    watch = machine(after_sequence=7)
    open_stream(watch)
    watch.failed(error(code), 0)
    assert after(open_stream(watch, 1)) == 7


@pytest.mark.parametrize(
    "code",
    ["NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "OUT_OF_RANGE"],
)
def test_what_time_can_not_heal_is_raised(code):
    watch = machine()
    open_stream(watch)
    watch.failed(error(code), 0)
    step = watch.step(0)
    assert isinstance(step, Fail)
    assert step.error.code == code


def test_the_servers_own_pause_is_kept():
    watch = machine()
    open_stream(watch)
    watch.failed(error("RESOURCE_EXHAUSTED", retry_after=7.0), 0)
    step = watch.step(0)
    assert isinstance(step, Ask)
    assert step.delay_s >= 7


def test_the_pauses_grow_to_ten_seconds_and_no_further():
    watch = machine()
    delays = []
    for _ in range(9):
        step = open_stream(watch)
        delays.append(step.delay_s)
        watch.failed(error("UNAVAILABLE"), 0)
    assert delays == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_an_event_starts_the_pauses_anew():
    watch = machine()
    for _ in range(5):
        open_stream(watch)
        watch.failed(error("UNAVAILABLE"), 0)
    open_stream(watch)
    watch.received(events_frame(1), 0)
    watch.failed(error("UNAVAILABLE"), 0)
    step = watch.step(0)
    assert isinstance(step, Ask)
    assert (after(step), step.delay_s) == (1, 0.2)


def test_three_heartbeats_of_silence_are_a_stall():
    watch = machine(plan=WatchPlan(heartbeat_s=10))
    open_stream(watch)
    assert watch.step(0) == Read(30)
    watch.received(beat(0), 20)
    assert watch.step(20) == Read(30)
    watch.silent(50)
    assert isinstance(watch.step(50), Ask)


def test_the_callers_own_limit_ends_the_wait_and_says_that_the_job_goes_on():
    watch = machine(plan=WatchPlan(timeout_s=5))
    open_stream(watch)
    assert watch.step(0) == Read(5)
    watch.silent(5)
    step = watch.step(5)
    assert isinstance(step, Fail)
    assert isinstance(step.error, errors.WaitTimeout)
    assert "goes on" in step.error.message


def test_a_watch_that_can_not_be_resumed_says_where_it_stood():
    watch = machine(plan=WatchPlan(max_resume_s=60), after_sequence=4)
    open_stream(watch)
    watch.failed(error("UNAVAILABLE"), 0)
    assert isinstance(watch.step(59), Ask)
    step = watch.step(60)
    assert isinstance(step, Fail)
    assert isinstance(step.error, errors.WatchStalled)
    assert "after_sequence=4" in step.error.hint


def test_a_watch_from_now_begins_with_the_whole_state():
    watch = machine(after_sequence=None)
    open_stream(watch)
    frame = Frame(cursor=5, snapshot=Frame.Snapshot(job=job_pb2.Job(name=NAME)))
    (event,) = watch.received(frame, 0)
    assert (event.type, event.sequence) == ("snapshot", 5)
    watch.failed(error("UNAVAILABLE"), 0)
    assert after(open_stream(watch, 1)) == 5


def test_a_finished_job_watched_from_now_needs_no_end_frame():
    watch = machine(after_sequence=None)
    open_stream(watch)
    job = job_pb2.Job(name=NAME, done=True)
    watch.received(Frame(cursor=5, snapshot=Frame.Snapshot(job=job)), 0)
    watch.failed(error("UNAVAILABLE"), 0)
    assert watch.step(0) == Stop()


def test_history_that_was_compacted_away_is_told_and_skipped():
    watch = machine(after_sequence=2)
    open_stream(watch)
    snapshot = Frame.Snapshot(job=job_pb2.Job(name=NAME), history_truncated=True)
    (event,) = watch.received(Frame(cursor=8, snapshot=snapshot), 0)
    assert event.type == "snapshot"
    assert numbers(watch.received(events_frame(9), 0)) == [9]


def test_a_lost_stream_is_told_once_when_lost_and_once_when_back():
    watch = machine(after_sequence=2)
    for now in (0, 1):
        open_stream(watch, now)
        watch.failed(error("UNAVAILABLE"), now)
    open_stream(watch, 3)
    watch.received(beat(2), 3)
    told = [(item.resumed, item.cursor, item.seconds) for item in watch.interruptions]
    assert told == [(False, 2, 0.0), (True, 2, 3.0)]


def test_a_payload_that_this_client_does_not_know_keeps_its_envelope():
    watch = machine()
    open_stream(watch)
    event = event_pb2.JobEvent(
        sequence=1, status=job_pb2.JOB_STATUS_RUNNING, phase=job_pb2.JOB_PHASE_ACTIVE
    )
    (seen,) = watch.received(Frame(cursor=1, events=Frame.Events(events=[event])), 0)
    assert (seen.type, seen.status) == ("unknown", "RUNNING")


def test_a_status_that_this_client_does_not_know_is_shown_as_its_phase():
    watch = machine()
    open_stream(watch)
    event = event_pb2.JobEvent(
        sequence=1, phase=job_pb2.JOB_PHASE_FINISHED, finished=event_pb2.JobEvent.Finished()
    )
    event.MergeFromString(b"\x38\x1e")
    (seen,) = watch.received(Frame(cursor=1, events=Frame.Events(events=[event])), 0)
    assert (seen.status, seen.done) == ("FINISHED", True)


HISTORY = run_to_end(new_job("a"), steps=5).events
DURABLE = [event for event in HISTORY if event.sequence]


@st.composite
def a_cut_stream(draw: st.DrawFn) -> list[tuple[list[int], str, int]]:
    """Rounds of (sizes of frames, how the stream is cut, how far the server goes back)."""
    sizes = st.lists(st.integers(1, 4), max_size=6)
    cuts = st.sampled_from(["ok", "UNAVAILABLE", "CANCELLED", "silent", "draining", "gap"])
    return draw(st.lists(st.tuples(sizes, cuts, st.integers(0, 3)), max_size=12))


def cut(watch: WatchMachine, how: str, now: float) -> None:
    if how == "ok":
        watch.ended(now)
    elif how == "silent":
        watch.silent(now + 60)
    elif how == "draining":
        watch.received(end(Frame.End.REASON_DRAINING), now)
    elif how == "gap":
        watch.received(events_frame((watch.cursor or 0) + 2), now)
    else:
        watch.failed(error(how), now)


def feed(watch: WatchMachine, after: int, sizes: list[int], now: float) -> list[Event]:
    """Serve the history after a sequence in frames of these sizes."""
    seen: list[Event] = []
    rest = [event for event in DURABLE if event.sequence > after]
    for size in sizes:
        chunk, rest = rest[:size], rest[size:]
        if not chunk:
            break
        frame = Frame(cursor=chunk[-1].sequence, events=Frame.Events(events=chunk))
        seen += watch.received(frame, now)
    return seen


@settings(deadline=None)
@given(a_cut_stream())
def test_however_the_streams_are_cut_the_events_are_the_same(rounds):
    watch = machine(plan=WatchPlan(max_resume_s=1e9))
    seen: list[Event] = []
    now = 0.0
    for sizes, how, back in rounds:
        step = watch.step(now)
        if not isinstance(step, Ask):
            break
        watch.opened(now)
        # A server that goes back tells events again, which must not show.
        begin = max(0, (after(step) or 0) - back)
        seen += feed(watch, begin, sizes, now)
        cut(watch, how, now)
        now += 20
    step = watch.step(now)
    if isinstance(step, Ask):
        watch.opened(now)
        seen += feed(watch, after(step) or 0, [len(DURABLE)], now)
        watch.received(end(), now)
    assert watch.step(now) == Stop()
    assert [event.wire for event in seen] == DURABLE


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), max_size=30))
def test_whatever_a_server_sends_no_sequence_passes_twice_or_out_of_order(sequences):
    watch = machine()
    seen: list[int] = []
    for sequence in sequences:
        if isinstance(watch.step(0), Ask):
            watch.opened(0)
        seen += numbers(watch.received(events_frame(sequence), 0))
    durable = [number for number in seen if number]
    assert durable == list(range(1, len(durable) + 1))
