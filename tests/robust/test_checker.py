"""Each checker sees the one fault it is for, and nothing in a history without fault."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.robust import checker
from tests.robust.history import Delivery, History, Life, Operation, Stream, Watch
from tests.robust.promises import Promise, verdict
from tests.robust.record import ArtifactRow, EventRow, JobRow, Record

JOB, KEY, BODY = "job-1", "key-1", "body-1"
# type, status after it, attempt, payload
EVENTS: list[tuple[str, str, int, dict[str, object]]] = [
    ("submitted", "QUEUED", 0, {}),
    ("status_changed", "RUNNING", 1, {"source": "QUEUED", "target": "RUNNING"}),
    ("attempt_started", "RUNNING", 1, {"from_checkpoint": ""}),
    ("checkpoint_saved", "RUNNING", 1, {"checkpoint": "1-4", "completed_units": 2}),
    ("attempt_finished", "RUNNING", 1, {"failure": {"reason": "SERVER_LOST"}, "will_retry": True}),
    ("status_changed", "QUEUED", 1, {"source": "RUNNING", "target": "QUEUED"}),
    ("status_changed", "RUNNING", 2, {"source": "QUEUED", "target": "RUNNING"}),
    ("attempt_started", "RUNNING", 2, {"from_checkpoint": "1-4"}),
    ("artifact_ready", "RUNNING", 2, {"artifact": {"artifact_id": "payload.bin"}}),
    ("attempt_finished", "RUNNING", 2, {}),
    ("status_changed", "SUCCEEDED", 2, {"source": "RUNNING", "target": "SUCCEEDED"}),
    ("finished", "SUCCEEDED", 2, {}),
]
LAST = len(EVENTS)
# ProbeResult with completed_steps = 4 and resumed_from_step = 2.
RESULT = {"details": "CAQQAg=="}


def _events() -> list[EventRow]:
    return [
        EventRow(number, type_, status, attempt, 1000 + number, dict(payload))
        for number, (type_, status, attempt, payload) in enumerate(EVENTS, 1)
    ]


def _record() -> Record:
    labels = {"key": KEY, "body": BODY, "shape": "checkpoints"}
    job = JobRow(JOB, "SUCCEEDED", True, LAST, 2, "", labels, RESULT, {}, _events())
    artifact = ArtifactRow(JOB, "payload.bin", "ab", 2, "")
    return Record({JOB: job}, {KEY: JOB}, [artifact])


def _operation(number: int, verb: str, at: float, **facts: object) -> Operation:
    made = Operation(number, verb, at, end=at + 0.01, outcome="ok", job_id=JOB)
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def _submit(number: int, at: float, **facts: object) -> Operation:
    known = {"key": KEY, "body": BODY, "shape": "checkpoints", "policy": "UNSPECIFIED"}
    known |= {"status": "QUEUED", "sequence": 1}
    return _operation(number, "submit", at, **(known | facts))


def _history() -> History:
    deliveries = [
        Delivery(0, 2.0, row.sequence, row.type, row.status, row.time_us) for row in _events()
    ]
    stream = Stream(0, 0, 1.0, 1.1, 2.1, "FINISHED", LAST, "SUCCEEDED", cursors=[LAST, LAST])
    return History(
        operations=[
            _submit(0, 0.5),
            _submit(1, 0.6, deduplicated=True),
            _operation(2, "get", 3.0, status="SUCCEEDED", sequence=LAST, done=True),
        ],
        watches=[Watch(0, JOB, "follow", 1.0, [stream], deliveries)],
        lives=[Life(1, 0.0, 0.1, 0.4, "kill", exit_code=-9)],
        drained=True,
    )


def _errors(history: History, record: Record) -> set[str]:
    return set(checker.check(history, record).errors)


@pytest.fixture
def history() -> History:
    return _history()


@pytest.fixture
def record() -> Record:
    return _record()


@pytest.fixture
def job(record: Record) -> JobRow:
    return record.jobs[JOB]


@pytest.fixture
def watch(history: History) -> Watch:
    return history.watches[0]


def _cut(job: JobRow, length: int, status: str) -> None:
    job.events, job.sequence = job.events[:length], length
    job.status, job.done = status, False


def test_a_history_without_fault_breaks_no_promise(history: History, record: Record):
    assert _errors(history, record) == set()


def test_an_acknowledged_job_that_is_gone_is_lost(history: History, record: Record):
    record.jobs.clear()
    record.artifacts.clear()
    assert "lost" in _errors(history, record)


def test_a_job_that_is_gone_after_its_retention_is_not_lost(history: History, record: Record):
    for one in history.operations:
        one.shape = "fleeting"
    record.jobs.clear()
    record.artifacts.clear()
    record.purged.add(JOB)
    assert "lost" not in _errors(history, record)


def test_a_get_that_finds_no_acknowledged_job_is_told(history: History, record: Record):
    seen = _operation(3, "get", 1.0, outcome="refused", detail="JOB_NOT_FOUND")
    history.operations.append(seen)
    assert _errors(history, record) == {"not_found_after_ack"}


def test_a_job_that_nobody_asked_for_is_unexpected(history: History, record: Record, job: JobRow):
    job.labels["key"] = "another"
    assert "unexpected" in _errors(history, record)


def test_an_unacknowledged_job_is_recovered_and_allowed(history: History, record: Record):
    history.operations = [_submit(0, 0.5, outcome="unknown", job_id="", status="")]
    found = checker.check(history, record)
    assert not found.broken
    assert found.submits["recovered"] == 1


def test_two_jobs_of_one_key_are_duplicated(history: History, record: Record):
    history.operations.append(_submit(3, 0.7, job_id="job-2"))
    assert "duplicated" in _errors(history, record)


@pytest.mark.parametrize(
    "facts",
    [
        {"deduplicated": False},
        {"policy": "REJECT", "deduplicated": True},
        {"body": "another", "deduplicated": True},
        {"outcome": "refused", "detail": "IDEMPOTENCY_KEY_REUSED", "status": ""},
    ],
)
def test_a_repeat_that_is_not_told_as_such_is_found(
    facts: dict[str, object], history: History, record: Record
):
    history.operations.append(_submit(3, 0.7, **facts))
    assert _errors(history, record) == {"repeat_not_told"}


def test_a_job_that_never_ended_is_found(history: History, record: Record, job: JobRow):
    _cut(job, 8, "RUNNING")
    assert "never_ended" in _errors(history, record)


def test_an_end_that_was_taken_back_is_found(history: History, record: Record):
    late = _operation(3, "get", 4.0, status="RUNNING", sequence=LAST + 1)
    history.operations.append(late)
    assert _errors(history, record) == {"terminal_state_changed"}


def test_a_read_that_goes_back_is_found(history: History, record: Record):
    for number, (at, sequence) in enumerate([(1.0, 6), (2.0, 5)], 3):
        seen = _operation(number, "get", at, status="RUNNING", sequence=sequence)
        history.operations.append(seen)
    assert _errors(history, record) == {"went_back"}


def test_reads_that_overlap_may_answer_in_any_order(history: History, record: Record):
    for number, (at, sequence) in enumerate([(1.0, 6), (1.005, 5)], 3):
        seen = _operation(number, "get", at, status="RUNNING", sequence=sequence)
        history.operations.append(seen)
    assert _errors(history, record) == set()


def test_a_move_that_is_not_in_the_table_is_found(history: History, record: Record, job: JobRow):
    job.events[5] = replace(job.events[5], payload={"source": "RUNNING", "target": "PAUSED"})
    assert "move_not_allowed" in _errors(history, record)


def test_a_gap_in_the_sequence_is_found(history: History, record: Record, job: JobRow):
    del job.events[3]
    assert "gap" in _errors(history, record)


def test_a_finished_event_that_is_not_the_last_is_found(
    history: History, record: Record, job: JobRow
):
    extra = replace(job.events[8], type="warning", sequence=LAST + 1, status="SUCCEEDED")
    job.events.append(extra)
    job.sequence = LAST + 1
    assert "not_finished_once_and_last" in _errors(history, record)


def test_a_row_that_says_other_than_its_events_is_found(
    history: History, record: Record, job: JobRow
):
    job.status = "CANCELLED"
    assert "row_and_events_differ" in _errors(history, record)


def test_an_event_that_a_watcher_missed_is_found(history: History, record: Record, watch: Watch):
    del watch.deliveries[4]
    assert _errors(history, record) == {"gap_in_watch"}


def test_an_event_that_a_watcher_heard_twice_is_found(
    history: History, record: Record, watch: Watch
):
    watch.deliveries.insert(4, watch.deliveries[4])
    assert "not_unique" in _errors(history, record)


def test_events_out_of_order_are_found(history: History, record: Record, watch: Watch):
    watch.deliveries[3:5] = reversed(watch.deliveries[3:5])
    assert "not_ordered" in _errors(history, record)


def test_an_event_that_was_never_durable_is_found(history: History, record: Record, watch: Watch):
    watch.deliveries[4].type = "warning"
    assert _errors(history, record) == {"heard_something_else"}


def test_a_watch_that_never_ends_is_found(history: History, record: Record, watch: Watch):
    watch.streams[0].end, watch.streams[0].broken = "", "left by the harness"
    assert _errors(history, record) == {"watch_hangs"}


def test_a_stream_that_ends_with_ok_but_without_end_is_found(
    history: History, record: Record, watch: Watch
):
    watch.streams.insert(0, Stream(0, 0, 0.5))
    assert _errors(history, record) == {"ok_without_end"}


def test_an_end_before_the_last_event_is_found(history: History, record: Record, watch: Watch):
    del watch.deliveries[-1]
    assert _errors(history, record) == {"end_before_last_event"}


def test_a_silent_watch_is_found(history: History, record: Record, watch: Watch):
    watch.streams[0].silence = 5.0
    assert _errors(history, record) == {"silent"}


def test_a_cursor_that_goes_back_is_found(history: History, record: Record, watch: Watch):
    watch.streams[0].cursors = [5, 4, LAST]
    assert _errors(history, record) == {"cursor_went_back"}


def test_a_cancel_that_left_no_trace_is_lost(history: History, record: Record):
    cancel = _operation(3, "cancel", 1.0, status="CANCELLING", sequence=4)
    history.operations.append(cancel)
    assert _errors(history, record) == {"cancel_lost"}


def test_an_attempt_after_an_acknowledged_cancel_is_found(
    history: History, record: Record, job: JobRow
):
    job.events[5] = replace(job.events[5], type="control_requested", payload={"action": "cancel"})
    cancel = _operation(3, "cancel", 1.0, status="CANCELLING", sequence=6)
    history.operations.append(cancel)
    assert {"ran_after_cancel", "succeeded_after_cancel"} <= _errors(history, record)


def test_a_refused_cancel_of_a_finished_job_is_right(history: History, record: Record):
    facts = {"outcome": "refused", "detail": "JOB_FINISHED"}
    history.operations.append(_operation(3, "cancel", 3.0, **facts))
    assert _errors(history, record) == set()


def test_a_report_of_a_stale_attempt_is_found(history: History, record: Record, job: JobRow):
    job.events[8] = replace(job.events[8], attempt=1)
    assert _errors(history, record) == {"stale_attempt_wrote"}


def test_two_live_attempts_are_found(history: History, record: Record, job: JobRow):
    job.events[4] = replace(job.events[4], type="warning")
    assert "two_live_attempts" in _errors(history, record)


def test_an_orphan_is_found(history: History, record: Record):
    history.lives[0].survivors = ["4711 python child"]
    assert _errors(history, record) == {"orphan"}


def test_a_forgotten_checkpoint_is_found(history: History, record: Record, job: JobRow):
    job.events[7] = replace(job.events[7], payload={"from_checkpoint": ""})
    assert _errors(history, record) == {"checkpoint_forgotten"}


def test_work_that_did_not_go_on_from_its_checkpoint_is_found(
    history: History, record: Record, job: JobRow
):
    job.result = {"details": "CAQ="}
    assert _errors(history, record) == {"progress_lost"}


def test_an_end_that_a_job_would_not_have_had_without_a_crash_is_found(
    history: History, record: Record, job: JobRow
):
    job.labels["shape"] = "failing"
    assert _errors(history, record) == {"ended_otherwise"}


def test_an_artifact_that_is_not_whole_is_found(history: History, record: Record):
    record.artifacts[0] = replace(record.artifacts[0], trouble="the file is not there")
    assert _errors(history, record) == {"artifact_broken"}


def test_an_artifact_that_was_announced_but_not_listed_is_found(history: History, record: Record):
    record.artifacts.clear()
    assert _errors(history, record) == {"artifact_not_listed"}


@pytest.mark.parametrize(
    "line",
    [
        "Traceback (most recent call last):",
        "Task exception was never retrieved",
        "RuntimeWarning: coroutine 'x' was never awaited",
        "sqlite3.OperationalError: database is locked",
        '{"time": "x", "level": "error", "event": "store.writer_failed"}',
    ],
)
def test_a_line_of_the_log_that_tells_of_a_bug_is_found(
    line: str, history: History, record: Record
):
    history.log_lines.append(line)
    assert _errors(history, record) == {"bad_log_line"}


def test_a_server_that_ended_by_itself_is_found(history: History, record: Record):
    history.lives[0].how = "by itself"
    assert _errors(history, record) == {"server_died"}


def test_a_damaged_database_is_found(history: History, record: Record):
    record.damage.append("integrity_check: row 1 missing from index")
    assert _errors(history, record) == {"database_damaged"}


def test_a_history_survives_its_file(history: History, tmp_path):
    history.save(tmp_path / "history.jsonl")
    assert History.load(tmp_path / "history.jsonl") == history


# Dependencies, schedules, deletes.

FIRST_MINUTE = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)


def _dependent(record: Record, *, condition: str, began: int, **facts: object) -> JobRow:
    """A job that waited for the other one."""
    events = [EventRow(1, "submitted", "QUEUED", 0, 1000, {}, 1)]
    if began:
        events.append(EventRow(2, "attempt_started", "RUNNING", 1, 1001, {}, began))
    spec = {"depends_on": [{"job": f"projects/robust/jobs/{JOB}", "condition": condition}]}
    dependent = JobRow("job-2", "SUCCEEDED", True, 2, 1, "", {}, None, spec, events)
    for name, value in facts.items():
        setattr(dependent, name, value)
    record.jobs["job-2"] = dependent
    return dependent


@pytest.mark.parametrize(
    ("condition", "began", "facts", "error"),
    [
        ("SUCCEEDED", LAST + 1, {}, ""),
        ("SUCCEEDED", LAST - 1, {}, "ran_too_early"),
        ("NOT_SUCCEEDED", LAST + 1, {}, "ran_in_spite"),
        ("NOT_SUCCEEDED", 0, {"status": "QUEUED"}, "waits_in_vain"),
        ("FINISHED", 0, {"status": "QUEUED"}, "waits_in_vain"),
        (
            "SUCCEEDED",
            0,
            {"status": "CANCELLED", "failure": "DEPENDENCY_UNSATISFIABLE"},
            "given_up_too_early",
        ),
        (
            "NOT_SUCCEEDED",
            0,
            {"status": "CANCELLED", "failure": "DEPENDENCY_UNSATISFIABLE"},
            "",
        ),
    ],
)
def test_a_dependent_that_did_not_wait_as_told_is_found(
    condition: str, began: int, facts: dict[str, object], error: str, record: Record, job: JobRow
):
    job.events = [replace(event, revision=event.sequence) for event in job.events]
    _dependent(record, condition=condition, began=began, **facts)
    found = verdict(History(), record, [_promise("dependencies")])
    assert error in found.errors if error else not found.errors


def _promise(name: str) -> Promise:
    return next(one for one in checker.PROMISES if one.id == name)


def _fire(record: Record, timing: str, minute: int, *, submitted: int, over: int = 0) -> None:
    """One job of a schedule, with its key."""
    nominal = FIRST_MINUTE + timedelta(minutes=minute)
    job_id = f"{timing}-{minute}"
    events = [EventRow(1, "submitted", "QUEUED", 0, 1000, {}, submitted)]
    if over:
        events.append(EventRow(2, "finished", "SUCCEEDED", 1, 1001, {}, over))
    status = "SUCCEEDED" if over else "RUNNING"
    labels = {"schedule": timing}
    job = JobRow(job_id, status, bool(over), len(events), 1, "", labels, None, {}, events)
    record.jobs[job_id] = job
    record.keys[f"projects/robust/schedules/{timing}@{nominal.isoformat()}"] = job_id


def _errors_of_schedules(record: Record, history: History | None = None) -> set[str]:
    return set(verdict(history or History(), record, [_promise("schedules")]).errors)


def test_times_in_a_row_are_as_they_must_be():
    record = Record()
    for minute in range(3):
        _fire(record, "every", minute, submitted=2 * minute + 1, over=2 * minute + 2)
    assert not _errors_of_schedules(record)


def test_a_time_that_was_left_out_is_found():
    record = Record()
    for minute in (0, 1, 3):
        _fire(record, "every", minute, submitted=2 * minute + 1, over=2 * minute + 2)
    assert _errors_of_schedules(record) == {"time_left_out"}


def test_a_schedule_that_never_began_is_found():
    began_at = FIRST_MINUTE.timestamp()
    made = Operation(0, "create_schedule", 1.0, key="every", end=1.1, outcome="ok")
    ended = Operation(1, "pause_schedule", 90.0, key="every", end=90.1, outcome="ok")
    history = History(began_at=began_at, operations=[made, ended])
    assert _errors_of_schedules(Record(), history) == {"time_left_out"}


def test_a_second_job_of_one_time_is_found():
    record = Record()
    _fire(record, "every", 0, submitted=1, over=2)
    record.jobs["again"] = replace(record.jobs["every-0"], job_id="again")
    assert _errors_of_schedules(record) == {"fired_twice"}


def test_jobs_that_overlap_though_the_schedule_minds_are_found():
    record = Record()
    _fire(record, "skips", 0, submitted=1, over=4)
    _fire(record, "skips", 1, submitted=3, over=5)
    assert _errors_of_schedules(record) == {"jobs_overlap"}


def test_a_trigger_without_a_job_is_found():
    trigger = Operation(0, "trigger", 1.0, key="k", end=1.1, outcome="ok")
    assert _errors_of_schedules(Record(), History(operations=[trigger])) == {"trigger_lost"}


def test_a_deleted_job_that_is_still_there_is_found(history: History, record: Record):
    history.operations.append(_operation(3, "delete", 5.0))
    assert _errors(history, record) == {"delete_lost"}


def test_a_deleted_job_that_is_seen_again_is_found(history: History, record: Record):
    history.operations.append(_operation(3, "delete", 5.0))
    seen = _operation(4, "get", 6.0, status="SUCCEEDED", sequence=LAST, done=True)
    history.operations.append(seen)
    record.jobs.clear()
    record.artifacts.clear()
    record.purged.add(JOB)
    assert _errors(history, record) == {"came_back"}


def test_a_deleted_job_that_is_gone_is_not_lost(history: History, record: Record):
    history.operations.append(_operation(3, "delete", 5.0))
    history.operations.append(_operation(4, "get", 6.0, outcome="refused", detail="JOB_EXPIRED"))
    record.jobs.clear()
    record.artifacts.clear()
    record.purged.add(JOB)
    assert _errors(history, record) == set()


def test_artifacts_that_a_deleted_job_left_are_found(history: History, record: Record):
    history.operations.append(_operation(3, "delete", 5.0))
    record.jobs.clear()
    record.purged.add(JOB)
    assert _errors(history, record) == {"left_behind"}


# Retention.


def test_content_that_a_job_needs_and_that_is_gone_is_found(history: History, record: Record):
    record.needed = [(JOB, "input:data", "ab" * 32)]
    assert _errors(history, record) == {"needed_is_lost"}
    record.contents = {"ab" * 32}
    assert _errors(history, record) == set()


def test_what_nobody_needs_may_stay_for_the_grace_only(history: History, record: Record):
    record.orphans, record.overdue = {"cd" * 32}, ["job-9"]
    assert _errors(history, record) == set()
    history.grace_s = 1.0
    assert _errors(history, record) == {"content_stays", "expired_stays"}


def test_an_upload_may_go_when_its_time_is_over(history: History, record: Record):
    history.operations.append(_operation(3, "upload", 1.0, job_id="", body="ab" * 32))
    assert _errors(history, record) == {"upload_not_kept_once"}
    history.grace_s = 1.0
    assert _errors(history, record) == set()
