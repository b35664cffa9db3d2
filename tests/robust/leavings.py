"""P9 and the rest: files, the database itself, processes, and what the log says."""

import re
from collections.abc import Iterator

from tests.robust.history import History
from tests.robust.promises import Broken, Verdict
from tests.robust.record import Record

_BAD_LINES = re.compile(
    r"Traceback|Task exception was never retrieved|was never awaited|never retrieved"
    r"|database is locked|database disk image is malformed|Fatal Python error"
    r'|"level": "(error|critical)"'
)
_KEEPER_KILLED = "the keeper of children is gone"


def artifacts_are_whole(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P9: what is listed is there, with its digest; what is announced is listed."""
    listed = {(one.job_id, one.artifact_id) for one in record.artifacts}
    for one in record.artifacts:
        out.looked_at["P9"] += 1
        if one.trouble:
            yield Broken("P9", "artifact_broken", f"{one.artifact_id}: {one.trouble}", one.job_id)
    for job in record.jobs.values():
        for event in job.of_type("artifact_ready"):
            artifact_id = event.payload["artifact"]["artifact_id"]
            if (job.job_id, artifact_id) not in listed:
                yield Broken("P9", "artifact_not_listed", artifact_id, job.job_id)
    for name in record.leftovers:
        yield Broken("P9", "half_written_left", f"{name} in the folder for incoming content")


def uploads_are_kept(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P9: an acknowledged upload is listed once, and whole."""
    kept = [one.sha256 for one in record.uploads]
    for one in record.uploads:
        out.looked_at["P9"] += 1
        if one.trouble:
            yield Broken("P9", "upload_broken", f"{one.sha256[:12]}: {one.trouble}")
    for one in history.operations:
        if one.verb == "upload" and one.is_ok and kept.count(one.body) != 1:
            count = kept.count(one.body)
            if history.grace_s and not count:
                # Its retention was over.
                continue
            yield Broken("P9", "upload_not_kept_once", f"{one.body[:12]} is listed {count} times")


def database_is_sound(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P1: SQLite finds nothing wrong with its file."""
    out.looked_at["P1"] += 1
    for line in record.damage:
        yield Broken("P1", "database_damaged", line)


def nothing_outlives_its_server(history: History, _: Record, out: Verdict) -> Iterator[Broken]:
    """P7: children of a killed server are gone, so that no attempt runs twice at once."""
    for life in history.lives:
        out.looked_at["P7"] += 1
        if life.survivors:
            evidence = f"life {life.number}: {'; '.join(life.survivors[:3])}"
            yield Broken("P7", "orphan", evidence)


def the_log_is_clean(history: History, _: Record, out: Verdict) -> Iterator[Broken]:
    """P11: no line of the log tells of a bug."""
    out.looked_at["P11"] += len(history.log_lines)
    child_killed = any("child killed" in life.troubles for life in history.lives)
    for line in history.log_lines:
        if child_killed and _KEEPER_KILLED in line:
            # That was us, and it is right to say so.
            continue
        if _BAD_LINES.search(line):
            yield Broken("P11", "bad_log_line", line[:300])


def no_answer_is_a_bug(history: History, _: Record, out: Verdict) -> Iterator[Broken]:
    """P11: a client hears OK, a refusal of the contract, or UNAVAILABLE; nothing else."""
    for one in history.operations:
        out.looked_at["P11"] += 1
        if one.detail in {"INTERNAL", "UNKNOWN", "DATA_LOSS"}:
            evidence = f"{one.verb} #{one.number} at {one.start:.3f} s: {one.detail}"
            yield Broken("P11", "answer_of_a_bug", evidence, one.job_id)


def lives_end_as_told(history: History, _: Record, out: Verdict) -> Iterator[Broken]:
    """P11: the server ends only when told to, and a stop is a clean one."""
    for life in history.lives:
        out.looked_at["P11"] += 1
        if life.how == "by itself":
            yield Broken("P11", "server_died", f"life {life.number} ended: {life.exit_code}")
        if life.how == "stop" and life.exit_code != 0:
            yield Broken("P11", "stop_not_clean", f"exit code {life.exit_code}")
