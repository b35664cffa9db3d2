"""The promises, and a checker for each: a history and a record in, broken promises out.

Every way to break one has a name of its own. The words for submits are Jepsen's: lost
(acknowledged, but not there), duplicated (one key, two jobs), unexpected (there, but nobody
asked for it), recovered (never acknowledged, but there: legal).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tests.robust.history import History, Operation, acknowledged
from tests.robust.record import JobRow, Record
from tests.robust.shapes import SHAPES

TERMINAL = frozenset(
    {"SUCCEEDED", "SUCCEEDED_WITH_GAPS", "FAILED", "TIMED_OUT", "CANCELLED", "EVAL_FAILED"}
)


@dataclass(frozen=True, slots=True)
class Broken:
    """One promise that was not kept."""

    promise: str
    error: str
    evidence: str
    job_id: str = ""


@dataclass(slots=True)
class Verdict:
    """What a checker says of a run."""

    broken: list[Broken] = field(default_factory=list)
    # What each checker looked at: a promise that was never tested is not kept.
    looked_at: Counter[str] = field(default_factory=Counter)
    submits: Counter[str] = field(default_factory=Counter)

    @property
    def errors(self) -> Counter[str]:
        return Counter(one.error for one in self.broken)


Check = Callable[[History, Record, Verdict], Iterator[Broken]]


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise as it is printed, with the checks that try it."""

    id: str
    text: str
    checks: tuple[Check, ...]


def verdict(history: History, record: Record, promises: Iterable[Promise]) -> Verdict:
    """Try every promise."""
    found = Verdict()
    for promise in promises:
        for check in promise.checks:
            found.broken.extend(check(history, record, found))
    return found


# P1, P2: submits.


def acknowledged_is_there(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P1: what was acknowledged is in the record, and every later Get found it."""
    acked = acknowledged(history.operations)
    out.looked_at["P1"] += len(acked)
    fleeting = {job_id for job_id, one in acked.items() if SHAPES[one.shape].retention_s}
    deleted = {one.job_id for one in history.operations if one.verb == "delete"}
    gone = record.purged & (fleeting | deleted)
    for job_id, operation in acked.items():
        if job_id not in record.jobs and job_id not in gone:
            evidence = f"submit #{operation.number} was acknowledged at {operation.end:.3f} s"
            yield Broken("P1", "lost", evidence, job_id)
    for operation in history.operations:
        is_absent = operation.detail in {"JOB_NOT_FOUND", "JOB_EXPIRED"}
        if operation.detail == "JOB_EXPIRED" and operation.job_id in gone:
            continue
        if is_absent and operation.job_id in acked:
            evidence = f"{operation.verb} #{operation.number} said {operation.detail}"
            yield Broken("P1", "not_found_after_ack", evidence, operation.job_id)
    out.submits["acknowledged"] = len(acked)
    out.submits["lost"] = sum(job_id not in record.jobs for job_id in acked.keys() - gone)
    out.submits["purged"] = len(gone)


def nothing_unexpected(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P1: every job comes from a submit; an unacknowledged one may be there."""
    sent = {one.key: one for one in reversed(history.operations) if one.verb == "submit"}
    acked = {one.job_id for one in history.operations if one.verb == "submit" and one.job_id}
    for job in record.jobs.values():
        if "schedule" in job.labels:
            continue
        key = job.labels.get("key", "")
        if key not in sent:
            out.submits["unexpected"] += 1
            yield Broken("P1", "unexpected", f"no client used the key {key!r}", job.job_id)
        elif job.job_id not in acked:
            out.submits["recovered"] += 1
        if key in sent and job.labels.get("body") != sent[key].body:
            evidence = f"body {job.labels.get('body')}, but {sent[key].body} was sent"
            yield Broken("P1", "other_body", evidence, job.job_id)


def one_key_one_job(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P2: every answer to a key, and the record, name one and the same job."""
    ids: dict[str, set[str]] = {}
    for one in history.operations:
        if one.verb == "submit" and one.job_id:
            ids.setdefault(one.key, set()).add(one.job_id)
    for job in record.jobs.values():
        if "schedule" not in job.labels:
            ids.setdefault(job.labels.get("key", ""), set()).add(job.job_id)
    out.looked_at["P2"] += len(ids)
    for key, found in ids.items():
        if len(found) > 1:
            out.submits["duplicated"] += 1
            yield Broken("P2", "duplicated", f"key {key} made {sorted(found)}", min(found))
    for key, job_id in record.keys.items():
        if job_id not in ids.get(key, {job_id}):
            yield Broken("P2", "key_of_another_job", f"key {key} points to it", job_id)


def repeats_are_told(history: History, _: Record, out: Verdict) -> Iterator[Broken]:
    """P2: a repeat is marked as such, a strict one and one with another body are refused."""
    first: dict[str, Operation] = {}
    deleted = {one.job_id for one in history.operations if one.verb == "delete"}
    for one in (one for one in history.operations if one.verb == "submit"):
        known = first.get(one.key)
        if known is None:
            if one.outcome != "unknown":
                first[one.key] = one
            continue
        out.looked_at["P2"] += 1
        if one.outcome == "unknown":
            continue
        expected = _expected_repeat(known, one)
        found = "deduplicated" if one.is_ok and one.deduplicated else one.detail or "accepted"
        if found == "JOB_EXPIRED" and known.job_id in deleted:
            continue
        if found != expected:
            evidence = f"#{one.number} of key {one.key}: {found}, expected {expected}"
            yield Broken("P2", "repeat_not_told", evidence, known.job_id)


def _expected_repeat(first: Operation, again: Operation) -> str:
    if again.body != first.body:
        return "IDEMPOTENCY_KEY_REUSED"
    return "DUPLICATE_REQUEST" if again.policy == "REJECT" else "deduplicated"


# P3, P4: ends and numbers.


def every_job_ends(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P3: after the drain nothing is left open."""
    out.looked_at["P3"] += len(record.jobs)
    for job in record.jobs.values():
        if job.status not in TERMINAL:
            evidence = f"{job.status} when the drain was over"
            yield Broken("P3", "never_ended", evidence, job.job_id)
    if not history.drained and all(job.status in TERMINAL for job in record.jobs.values()):
        yield Broken("P3", "drain_too_slow", "jobs were open when the drain was over")


def ends_are_final(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P3: nobody ever saw a job leave a terminal state, or go back in its history."""
    seen = sorted((one for one in history.operations if one.status), key=lambda one: one.start)
    finished: dict[str, list[Operation]] = {}
    for one in seen:
        finished.setdefault(one.job_id, []).append(one)
    for job_id, observations in finished.items():
        out.looked_at["P3"] += len(observations)
        yield from _taken_back(observations, record.jobs.get(job_id))


def _taken_back(observations: list[Operation], job: JobRow | None) -> Iterator[Broken]:
    newest: Operation | None = None
    ended = sorted(observations, key=lambda one: one.end)
    index = 0
    for one in observations:
        # Only calls that had ended before this one began must be behind it.
        while index < len(ended) and ended[index].end < one.start:
            if newest is None or ended[index].sequence > newest.sequence:
                newest = ended[index]
            index += 1
        if newest is None:
            continue
        if newest.done and (not one.done or one.status != newest.status):
            evidence = f"#{newest.number} saw {newest.status}, later #{one.number} {one.status}"
            yield Broken("P3", "terminal_state_changed", evidence, one.job_id)
        elif one.sequence < newest.sequence:
            evidence = f"#{newest.number} saw {newest.sequence}, #{one.number} {one.sequence}"
            yield Broken("P3", "went_back", evidence, one.job_id)
    for one in observations:
        if one.done and job is not None and job.status != one.status:
            evidence = f"#{one.number} saw {one.status}, the record says {job.status}"
            yield Broken("P3", "terminal_state_changed", evidence, one.job_id)


def history_is_gapless(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P4: 1..n, the n-th is `finished` and the only one, the row says what the events say."""
    for job in record.jobs.values():
        out.looked_at["P4"] += 1
        for error, evidence in _faults(job):
            yield Broken("P4", error, evidence, job.job_id)


def _faults(job: JobRow) -> Iterator[tuple[str, str]]:
    numbers = [event.sequence for event in job.events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "gap", f"sequences {_shortened(numbers)}"
    if not job.events:
        yield "no_events", "a job without a history"
        return
    if job.sequence != numbers[-1]:
        yield "row_and_events_differ", f"sequence {job.sequence}, last event {numbers[-1]}"
    if job.events[0].type != "submitted":
        yield "no_beginning", f"event 1 is {job.events[0].type}"
    finished = [event.sequence for event in job.of_type("finished")]
    if job.status in TERMINAL and finished != [numbers[-1]]:
        yield "not_finished_once_and_last", f"finished at {finished} of {numbers[-1]}"
    if job.status not in TERMINAL and finished:
        yield "finished_but_open", f"finished at {finished}, the row says {job.status}"
    if job.events[-1].status != job.status or job.done != (job.status in TERMINAL):
        last = job.events[-1].status
        yield "row_and_events_differ", f"the row says {job.status}, the last event {last}"
    times = [event.time_us for event in job.events]
    if times != sorted(times):
        yield "time_went_back", "an event is older than the one before it"


def _shortened(numbers: list[int]) -> str:
    text = ",".join(map(str, numbers))
    return text if len(text) <= 120 else f"{text[:117]}..."
