"""All promises with their checks, and the counters that say whether a run tested anything."""

from collections import Counter

from tests.robust import (
    attempts,
    dependents,
    fires,
    leavings,
    promises,
    purges,
    retention,
    schedulers,
    watching,
)
from tests.robust.history import History
from tests.robust.promises import Promise, Verdict, verdict
from tests.robust.record import Record

PROMISES = (
    Promise(
        "P1",
        "An acknowledged submit is durable and is found for ever.",
        (
            promises.acknowledged_is_there,
            promises.nothing_unexpected,
            leavings.database_is_sound,
        ),
    ),
    Promise(
        "P2",
        "One key makes one job; a repeat is told, another body is refused.",
        (promises.one_key_one_job, promises.repeats_are_told),
    ),
    Promise(
        "P3",
        "Every job reaches exactly one terminal state, which never changes.",
        (promises.every_job_ends, promises.ends_are_final, attempts.moves_are_allowed),
    ),
    Promise(
        "P4",
        "Events are numbered 1 to n without a gap; the last one is the end; the row agrees.",
        (promises.history_is_gapless,),
    ),
    Promise(
        "P5",
        "A watch is ordered, unique, reliable and resumable, never silent, and ends once.",
        (watching.watches_tell_the_record,),
    ),
    Promise(
        "P6",
        "After an acknowledged cancel the job ends, and succeeds only if its work had won.",
        (attempts.cancels_hold,),
    ),
    Promise(
        "P7",
        "Attempts are fenced: one at a time, and a stale one writes nothing.",
        (attempts.attempts_are_fenced, leavings.nothing_outlives_its_server),
    ),
    Promise(
        "P8",
        "A crash costs at most the running attempt; checkpointed progress is kept.",
        (attempts.checkpoints_are_kept, attempts.ends_fit),
    ),
    Promise(
        "P9",
        "An artifact that is listed is whole; half-written content is never seen.",
        (leavings.artifacts_are_whole, leavings.uploads_are_kept),
    ),
    Promise(
        dependents.PROMISE,
        "Nobody starts before what it waits for, and nobody waits in vain.",
        (dependents.nobody_starts_too_early, dependents.nobody_waits_in_vain),
    ),
    Promise(
        fires.PROMISE,
        "Each time of a schedule has at most one job; what must be caught up has one.",
        (
            fires.a_time_has_one_job,
            fires.no_time_is_left_out,
            fires.jobs_do_not_overlap,
            fires.triggers_hold,
        ),
    ),
    Promise(
        purges.PROMISE,
        "What was deleted is gone for good, with all that was its own.",
        (purges.deletes_hold, purges.the_purged_stay_gone),
    ),
    Promise(
        retention.PROMISE,
        "What somebody needs is kept, and what nobody needs any more is not.",
        (retention.nothing_needed_is_lost, retention.nothing_expired_stays),
    ),
    Promise(
        "P11",
        "Trouble is said plainly and heals: no bug in an answer, in the log or at the end.",
        (leavings.no_answer_is_a_bug, leavings.the_log_is_clean, leavings.lives_end_as_told),
    ),
)


def check(history: History, record: Record) -> Verdict:
    """Try every promise on a run."""
    return verdict(history, record, PROMISES)


def counters(history: History, record: Record) -> Counter[str]:
    """How often the run went where trouble lives."""
    found: Counter[str] = Counter(dict.fromkeys(SOMETIMES, 0))
    _count_lives(history, found)
    _count_operations(history, record, found)
    _count_watches(history, found)
    _count_jobs(record, found)
    deleted = purges.deleted(history)
    found["job purged after its retention"] = len(record.purged - deleted)
    found["job deleted"] = len(record.purged & deleted)
    found["schedule fired"] = sum(
        len(fires.fires(record, timing)) for timing in schedulers.TIMINGS.values()
    )
    found["schedule fired a time that nobody was there for"] = fires.caught_up(history, record)
    return found


# A run that never came by one of these has proved nothing.
SOMETIMES = (
    "kill while up",
    "kill on the way up",
    "server stopped gently",
    "server frozen for a while",
    "child of the server killed",
    "disk full for a while",
    "answer that the store is unavailable",
    "submit acknowledged",
    "submit of unknown outcome, found later",
    "repeat deduplicated",
    "repeat refused (REJECT)",
    "repeat with another body refused",
    "cancel of a job that waited",
    "cancel of a job that ran",
    "cancel forced",
    "pause of a job that ran",
    "paused, then resumed",
    "question answered",
    "attempt lost with its server",
    "attempt resumed from a checkpoint",
    "attempt retried after a failure",
    "attempt in a process lost with its server",
    "artifact kept",
    "upload kept",
    "job purged after its retention",
    "job deleted",
    "key of a deleted job used again",
    "schedule fired",
    "schedule fired a time that nobody was there for",
    "schedule triggered",
    "job of a schedule cancelled by its next one",
    "dependent that ran",
    "dependent that could never run",
    "watch resumed",
    "watch resumed between the last event and the end",
    "watch of a job that had ended",
    "watch told that the server drains",
    "heartbeat on a quiet watch",
)


def never(found: Counter[str]) -> list[str]:
    """Counters that stayed at zero."""
    return [name for name in SOMETIMES if not found[name]]


def _count_lives(history: History, found: Counter[str]) -> None:
    for life in history.lives:
        if life.how == "kill":
            was_up = life.ready < life.ended
            found["kill while up" if was_up else "kill on the way up"] += 1
        # The last life of every run ends that way.
        found["server stopped gently"] += life.how == "stop" and life is not history.lives[-1]
        found["server frozen for a while"] += "frozen" in life.troubles
        found["disk full for a while"] += "disk full" in life.troubles
        found["child of the server killed"] += "child killed" in life.troubles


def _count_operations(history: History, record: Record, found: Counter[str]) -> None:
    unknown: set[str] = set()
    for one in history.operations:
        found["answer that the store is unavailable"] += "BACKEND_UNAVAILABLE" in one.detail
        if one.verb == "submit":
            if one.is_ok:
                found["submit acknowledged"] += 1
                found["repeat deduplicated"] += one.deduplicated
                if one.deduplicated and one.key in unknown:
                    found["submit of unknown outcome, found later"] += 1
                    unknown.discard(one.key)
            elif one.outcome == "unknown":
                unknown.add(one.key)
            found["key of a deleted job used again"] += one.detail == "JOB_EXPIRED"
            found["repeat refused (REJECT)"] += one.detail == "DUPLICATE_REQUEST"
            found["repeat with another body refused"] += one.detail == "IDEMPOTENCY_KEY_REUSED"
        elif one.verb == "cancel":
            found["cancel forced"] += one.is_ok and one.policy == "FORCE"
        elif one.verb == "upload":
            found["upload kept"] += one.is_ok
        elif one.verb == "trigger":
            found["schedule triggered"] += one.is_ok
        elif one.verb == "answer":
            found["question answered"] += one.is_ok


def _count_watches(history: History, found: Counter[str]) -> None:
    for watch in history.watches:
        found["watch resumed"] += len(watch.streams) > 1
        found["watch of a job that had ended"] += watch.purpose == "late" and watch.is_finished
        ended_in = {one.stream for one in watch.deliveries if one.type == "finished"}
        if ended_in and watch.is_finished and watch.streams[-1].number not in ended_in:
            found["watch resumed between the last event and the end"] += 1
        drained = [stream for stream in watch.streams if stream.end == "DRAINING"]
        found["watch told that the server drains"] += len(drained)
        if watch.purpose == "sit":
            found["heartbeat on a quiet watch"] += sum(
                len(one.cursors) > 3 for one in watch.streams
            )


def _count_jobs(record: Record, found: Counter[str]) -> None:
    for job in record.jobs.values():
        in_process = job.spec.get("display_name", "").startswith("process")
        if job.spec.get("depends_on"):
            found["dependent that ran"] += bool(job.of_type("attempt_started"))
            found["dependent that could never run"] += job.failure == dependents.UNSATISFIABLE
        if job.labels.get("schedule") == "cancels":
            found["job of a schedule cancelled by its next one"] += job.status == "CANCELLED"
        previous = ""
        for event in job.events:
            match event.type:
                case "attempt_finished":
                    failure = event.payload.get("failure") or {}
                    lost = failure.get("reason") == "SERVER_LOST"
                    found["attempt lost with its server"] += lost
                    found["attempt in a process lost with its server"] += lost and in_process
                    retried = event.payload.get("will_retry") and not lost
                    found["attempt retried after a failure"] += bool(retried)
                case "attempt_started":
                    found["attempt resumed from a checkpoint"] += bool(
                        event.payload.get("from_checkpoint")
                    )
                case "artifact_ready":
                    found["artifact kept"] += 1
                case "control_requested":
                    _count_control(event.payload["action"], event.status, previous, found)
                case _:
                    pass
            previous = event.status


def _count_control(action: str, status: str, previous: str, found: Counter[str]) -> None:
    if action == "cancel":
        ran = status in {"RUNNING", "PAUSING"}
        found["cancel of a job that ran" if ran else "cancel of a job that waited"] += 1
    elif action == "pause":
        found["pause of a job that ran"] += status == "RUNNING"
    elif action == "resume":
        found["paused, then resumed"] += previous == "PAUSED"
