"""The model: what callers were told and attempts reported, against what the rows say.

It knows the promises and the table of moves from the contract, and no code of the engine;
it reads committed rows only, after every step.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

END = frozenset(
    {"SUCCEEDED", "SUCCEEDED_WITH_GAPS", "FAILED", "TIMED_OUT", "CANCELLED", "EVAL_FAILED"}
)
ACTIVE = frozenset({"RUNNING", "PAUSING", "CANCELLING"})
WORK_WON = frozenset({"SUCCEEDED", "SUCCEEDED_WITH_GAPS", "FAILED", "EVAL_FAILED"})
# Contract, 6.3.
TABLE = {
    "QUEUED": {"RUNNING", "PAUSED", "CANCELLED", "TIMED_OUT"},
    "RUNNING": {"QUEUED", "PAUSING", "AWAITING_INPUT", "CANCELLING", "TIMED_OUT", *WORK_WON},
    "PAUSING": {"PAUSED", "CANCELLING", "RUNNING", "TIMED_OUT", *WORK_WON},
    "PAUSED": {"QUEUED", "CANCELLED"},
    "AWAITING_INPUT": {"QUEUED", "TIMED_OUT", "CANCELLED"},
    "CANCELLING": {"CANCELLED", *WORK_WON},
}
OF_AN_ATTEMPT = frozenset(
    {
        "stage_started",
        "stage_finished",
        "metric_reported",
        "artifact_ready",
        "checkpoint_saved",
        "warning",
    }
)
# Where total_timeout is counted.
CLOCKED = frozenset({"QUEUED", "RUNNING", "PAUSING", "AWAITING_INPUT"})
AFTER_CANCEL = WORK_WON | {"CANCELLING", "CANCELLED"}
HOLDS = {
    "SUCCEEDED": {"SUCCEEDED", "SUCCEEDED_WITH_GAPS"},
    "SUCCEEDED_FULLY": {"SUCCEEDED"},
    "FINISHED": END,
    "NOT_SUCCEEDED": END - {"SUCCEEDED", "SUCCEEDED_WITH_GAPS"},
}


class BrokenPromiseError(AssertionError):
    """A promise was not kept; says which, when, and how the job came there."""

    def __init__(self, promise, evidence):
        super().__init__(f"{promise}: {evidence}")
        self.promise = promise


@dataclass
class Launch:
    """What the model knows of an attempt that was handed to a worker."""

    job_id: str
    attempt: int
    told: int = 0
    seen: int = 0
    over: bool = False


@dataclass
class History:
    """One job as its events tell it."""

    job_id: str
    spec: dict
    events: list = field(default_factory=list)
    status: str = "QUEUED"
    attempt: int = 0
    is_live: bool = False
    launch: int = 0
    checkpoint: str = ""
    checkpoint_units: int = 0
    time_us: int = 0
    is_finished: bool = False
    cancel_asked: bool = False
    force_at: str = ""
    ask_until: str = ""
    answered: set = field(default_factory=set)
    created_us: int = 0


class Model:
    """The oracle."""

    def __init__(self, raw):
        self._raw = raw
        self._changes = -1
        self._revision = 0
        self.jobs = {}
        self._by_pk = {}
        self.launches = {}
        # What callers were told.
        self.acknowledged = {}
        self.by_key = {}
        self.seen_sequence = defaultdict(int)
        self.cancels = {}
        self.answers = []
        self.submits = {}
        self.ambiguous = 0

    # What callers were told.

    def submitted(self, token, key, job_id, *, deduplicated):
        if key:
            first = self.by_key.setdefault(key, job_id)
            self._expect("P2", first == job_id, f"key {key} gave {first}, then {job_id}")
        elif deduplicated:
            raise BrokenPromiseError("P2", f"{token} has no key, but was deduplicated")
        self.acknowledged[job_id] = token

    def told(self, job):
        """Somebody was given a job: from now on it is at least so far."""
        self.seen_sequence[job.job_id] = max(self.seen_sequence[job.job_id], job.sequence)

    def read(self, job, at_least):
        self._expect("P1", job.sequence >= at_least, f"{job.job_id} went back to {job.sequence}")
        self.told(job)

    def cancelled(self, job):
        self._expect(
            "P6",
            job.status in {"CANCELLING", "CANCELLED"},
            f"cancel gave {job.status} of {job.job_id}",
        )
        self.cancels[job.job_id] = job.sequence
        self.told(job)

    def answered(self, job_id, input_id):
        self.answers.append((job_id, input_id))

    # What attempts did.

    def launched(self, number, assignment):
        self.launches[number] = Launch(assignment.job_id, assignment.attempt)
        history = self.jobs.get(assignment.job_id)
        self._expect(
            "launch", history is not None, f"{assignment.job_id} runs before it is durable"
        )
        units = json.loads(assignment.checkpoint)["units"] if assignment.checkpoint else 0
        if history.attempt == assignment.attempt:
            self._expect(
                "P8",
                units == history.checkpoint_units,
                f"attempt {assignment.attempt} of {assignment.job_id} begins at {units},"
                f" saved are {history.checkpoint_units}",
            )

    def is_replaced(self, assignment):
        """Whether a later attempt of the job is live."""
        history = self.jobs.get(assignment.job_id)
        return bool(history and history.is_live and history.attempt > assignment.attempt)

    def ends(self, attempt):
        launch = self.launches[attempt.number]
        launch.told, launch.over = attempt.told, True

    # What the rows say.

    def check(self, world):
        """Compare, if anything was written since the last check."""
        if self._raw.total_changes == self._changes:
            return
        self._changes = self._raw.total_changes
        self.ambiguous = world.faults.lost_answers
        rows = self._raw.execute(
            "SELECT pk, job_id, status, sequence, attempt, done, worker, spec FROM jobs ORDER BY pk"
        ).fetchall()
        for pk, job_id, *_, spec in rows:
            if pk not in self._by_pk:
                self._by_pk[pk] = self.jobs[job_id] = History(job_id, json.loads(spec))
        self._take_events(world)
        for row in rows:
            self._compare(row)
        self._check_told(rows)

    def _take_events(self, world):
        rows = self._raw.execute(
            "SELECT revision, job_pk, sequence, attempt, status, type, payload, occurred_us"
            " FROM job_events WHERE revision > ? ORDER BY revision",
            (self._revision,),
        ).fetchall()
        for revision, pk, *event in rows:
            self._revision = revision
            self._take(self._by_pk[pk], *event, world)
        (number,) = self._raw.execute("SELECT count(*) FROM job_events").fetchone()
        known = sum(len(history.events) for history in self._by_pk.values())
        self._expect("P4", number == known, f"{known} events were written, {number} are there")

    def _take(self, history, sequence, attempt, status, type_, payload, time_us, world):
        at = f"event {sequence} ({type_}) of {history.job_id}"
        facts = json.loads(payload)
        self._expect("P4", sequence == len(history.events) + 1, f"{at} after {len(history.events)}")
        self._expect("P3", not history.is_finished, f"{at} comes after the end")
        self._expect("P4", time_us >= history.time_us, f"{at} is older than the one before")
        self._expect("P4", (sequence == 1) == (type_ == "submitted"), f"{at} begins the history")
        history.time_us = time_us
        history.created_us = history.created_us or time_us
        if type_ == "status_changed":
            self._move(history, at, status, attempt, facts)
        else:
            self._expect(
                "P4", status == history.status, f"{at} says {status}, not {history.status}"
            )
            self._expect("P7", attempt == history.attempt, f"{at} is of attempt {attempt}")
        history.events.append((sequence, type_, status, attempt, facts))
        if type_ in OF_AN_ATTEMPT:
            self._reported(history, at, type_, facts)
        elif handle := getattr(self, f"_on_{type_}", None):
            handle(history, at, facts, world)

    def _move(self, history, at, status, attempt, facts):
        source, target = facts["source"], facts["target"]
        self._expect("P4", source == history.status, f"{at}: from {source}, was {history.status}")
        self._expect("P4", target == status, f"{at}: to {target}, says {status}")
        self._expect("moves", target in TABLE.get(source, ()), f"{at}: {source} to {target}")
        begins = source == "QUEUED" and target == "RUNNING"
        self._expect("P7", attempt == history.attempt + begins, f"{at} is of attempt {attempt}")
        if target not in ACTIVE:
            self._expect("P7", not history.is_live, f"{at}: an attempt was live at {target}")
        if history.cancel_asked:
            self._expect("P6", target in AFTER_CANCEL, f"{at}: {target} after a cancel")
        history.status, history.attempt = target, attempt

    def _on_attempt_started(self, history, at, facts, world):
        self._expect("P7", not history.is_live, f"{at}: two attempts at once")
        found = facts.get("from_checkpoint", "")
        self._expect("P8", found == history.checkpoint, f"{at}: from {found!r}")
        history.is_live, history.launch = True, 0
        for dependency in history.spec.get("depends_on", ()):
            upstream = self.jobs[dependency["job"].rsplit("/", 1)[1]]
            held = upstream.status in HOLDS[dependency.get("condition", "SUCCEEDED")]
            self._expect("depends", held, f"{at}: {upstream.job_id} is {upstream.status}")
        start_at = (history.spec.get("policy") or {}).get("start_at")
        if start_at:
            self._expect("start_at", world.is_past(start_at), f"{at}: before {start_at}")

    def _on_attempt_finished(self, history, at, facts, _):
        self._expect("P7", history.is_live, f"{at}: no attempt was live")
        history.is_live = False
        failure = facts.get("failure")
        message = failure["message"] if failure else ""
        self._expect("P7", message != "late", f"{at}: by a stale attempt")
        if message.startswith("end "):
            history.launch = self._fenced(history, at, int(message.split()[1]))
        if history.launch and (failure is None or message.startswith("end ")):
            launch = self.launches[history.launch]
            whole = launch.seen >= launch.told if launch.over else False
            self._expect("P8", whole, f"{at}: {launch.seen} of {launch.told} reports are durable")

    def _on_control_requested(self, history, _, facts, __):
        if facts["action"] == "cancel":
            history.cancel_asked = True
        history.force_at = facts["request"].get("force_at") or history.force_at

    def _on_input_requested(self, history, at, facts, _):
        history.ask_until = facts["request"]["deadline"]
        self._expect("bounds", history.ask_until, f"{at} has no deadline")

    def _on_input_provided(self, history, at, facts, _):
        self._expect("P4", facts["input_id"] not in history.answered, f"{at}: answered twice")
        history.answered.add(facts["input_id"])

    def _on_finished(self, history, at, facts, _):
        self._expect("P3", history.status in END, f"{at} while {history.status}")
        history.is_finished = True
        headline = facts.get("headline", "")
        self._expect("P7", headline != "late", f"{at}: by a stale attempt")
        if headline:
            self._fenced(history, at, int(headline.split()[1]))

    def _reported(self, history, at, type_, facts):
        self._expect("P7", history.status in ACTIVE and history.is_live, f"{at}: nobody was live")
        match type_:
            case "warning":
                mark = facts["message"]
                self._expect("P7", facts["reason"] != "LATE", f"{at}: {mark}")
            case "stage_started":
                mark = facts["stage"]
            case "metric_reported":
                mark = ":".join(str(int(facts["values"][name])) for name in ("attempt", "told"))
            case "artifact_ready":
                mark = facts["artifact"]["artifact_id"].replace("-", ":")
            case _:
                history.checkpoint = facts["checkpoint"]
                history.checkpoint_units = facts.get("completed_units", 0)
                self._checkpointed(history, at)
                return
        number, told = map(int, mark.split(":"))
        self._in_order(history, at, number, told)

    def _checkpointed(self, history, at):
        """A checkpoint's mark is in its content, so its place must be the next one."""
        numbers = [
            number
            for number, launch in self.launches.items()
            if (launch.job_id, launch.attempt) == (history.job_id, history.attempt)
        ]
        self._expect("P7", numbers, f"{at}: nobody was launched")
        launch = self.launches[numbers[0]]
        history.launch = numbers[0]
        launch.seen += 1

    def _in_order(self, history, at, number, told):
        history.launch = self._fenced(history, at, number)
        launch = self.launches[number]
        again = self.ambiguous and told <= launch.seen
        self._expect(
            "P8", again or told == launch.seen + 1, f"{at}: report {told} after {launch.seen}"
        )
        launch.seen = max(launch.seen, told)

    def _fenced(self, history, at, number):
        launch = self.launches[number]
        mine = (launch.job_id, launch.attempt) == (history.job_id, history.attempt)
        self._expect("P7", mine, f"{at}: of attempt {launch.attempt} of {launch.job_id}")
        return number

    def _compare(self, row):
        pk, job_id, status, sequence, attempt, done, worker, _ = row
        history = self._by_pk[pk]
        last = history.events[-1] if history.events else None
        self._expect("P4", last is not None, f"{job_id} has no history")
        self._expect("P4", sequence == len(history.events), f"{job_id}: row at {sequence}")
        self._expect("P4", status == last[2], f"{job_id}: the row says {status}, not {last[2]}")
        self._expect("P4", attempt == history.attempt, f"{job_id}: row of attempt {attempt}")
        self._expect("P4", bool(done) == (status in END), f"{job_id}: done is {done} at {status}")
        is_last = (status in END) == (last[1] == "finished")
        self._expect("P4", is_last, f"{job_id} is {status}, its last event is {last[1]}")
        owned = (worker != "") == (status in ACTIVE)
        self._expect("lease", owned, f"{job_id} is {status} with worker {worker!r}")

    def _check_told(self, rows):
        rows_by_id = {row[1]: row for row in rows}
        for job_id in self.acknowledged:
            self._expect("P1", job_id in rows_by_id, f"{job_id} was acknowledged and is not there")
        for job_id, sequence in self.seen_sequence.items():
            found = rows_by_id[job_id][3] if job_id in rows_by_id else 0
            self._expect("P1", found >= sequence, f"{job_id}: told {sequence}, has {found}")
        for job_id in self.cancels:
            history = self.jobs[job_id]
            asked = history.cancel_asked or history.status == "CANCELLED"
            self._expect("P6", asked, f"the cancel of {job_id} left nothing")
        for job_id, input_id in self.answers:
            there = input_id in self.jobs[job_id].answered
            self._expect("P1", there, f"the answer to {job_id} left nothing")
        names = Counter(history.spec["display_name"] for history in self._by_pk.values())
        doubles = sorted(name for name, number in names.items() if number > 1)
        self._expect("P2", not doubles, f"one submit made two jobs: {doubles}")

    # Bounds of time.

    def overdue(self, now, world):
        """Jobs that are past a bound at `now`, with the bound."""
        found = set()
        for history in self._by_pk.values():
            policy = history.spec.get("policy") or {}
            status = history.status
            if status in {"PAUSING", "CANCELLING"} and world.is_before(history.force_at, now):
                found.add((history.job_id, len(history.events), "force_at"))
            if status == "AWAITING_INPUT" and world.is_before(history.ask_until, now):
                found.add((history.job_id, len(history.events), "input deadline"))
            limit = policy.get("queue_timeout_s")
            if status == "QUEUED" and history.attempt == 0 and self._is_older(history, now, limit):
                found.add((history.job_id, len(history.events), "queue_timeout"))
            limit = policy.get("total_timeout_s")
            if status in CLOCKED and self._is_older(history, now, limit):
                found.add((history.job_id, len(history.events), "total_timeout"))
        return found

    @staticmethod
    def _is_older(history, now, limit_s):
        """Whether a job that never paused, for which the clock never stood, is past a limit."""
        if limit_s is None or any(event[2] == "PAUSED" for event in history.events):
            return False
        return now.timestamp() - history.created_us / 1e6 >= limit_s

    def stayed_overdue(self, before, now, world):
        """The reaper has looked: nothing that was overdue may still stand where it stood."""
        still = before & self.overdue(now, world)
        self._expect("bounds", not still, f"past their bounds: {sorted(still)}")

    # The end.

    def open_jobs(self):
        return [history.job_id for history in self._by_pk.values() if not history.is_finished]

    def told_again(self, job_id):
        """The history of a job, for a person."""
        history = self.jobs.get(job_id)
        events = history.events if history else []
        return [
            f"  {number:3} {type_:18} {status:12} attempt {attempt} {facts}"
            for number, type_, status, attempt, facts in events
        ]

    @staticmethod
    def _expect(promise, holds, evidence):
        if not holds:
            raise BrokenPromiseError(promise, evidence)
