"""The history of a run: every operation of every client, as that client saw it.

Times are seconds of the harness's own monotonic clock, since its start.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OPEN_END = float("inf")


@dataclass(slots=True)
class Operation:
    """One call: what was asked, when, and what came of it."""

    number: int
    verb: str
    start: float
    key: str = ""
    body: str = ""
    # What the job was told to do, for submits.
    shape: str = ""
    policy: str = ""
    job_id: str = ""
    end: float = OPEN_END
    # "ok"; "refused" is an answer of the server; "unknown" may have happened or not.
    outcome: str = "unknown"
    # Reason of a refusal, or the code of what went wrong.
    detail: str = ""
    status: str = ""
    sequence: int = 0
    done: bool = False
    deduplicated: bool = False

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(slots=True)
class Delivery:
    """One event that one stream carried to a watcher."""

    stream: int
    at: float
    sequence: int
    type: str
    status: str
    time_us: int


@dataclass(slots=True)
class Stream:
    """One WatchJob call."""

    number: int
    after: int | None
    opened: float
    first_frame: float = OPEN_END
    closed: float = OPEN_END
    # Reason of the End frame; empty when the stream broke.
    end: str = ""
    end_sequence: int = 0
    end_status: str = ""
    # Why it broke.
    broken: str = ""
    snapshot: int | None = None
    cursors: list[int] = field(default_factory=list)
    # The longest time without a frame while the server was up.
    silence: float = 0.0


@dataclass(slots=True)
class Watch:
    """One watcher: as many streams as it took."""

    number: int
    job_id: str
    purpose: str
    heartbeat_s: float
    streams: list[Stream] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    # Given up by the harness before its end; no verdict on it.
    abandoned: bool = False

    @property
    def is_finished(self) -> bool:
        return bool(self.streams) and self.streams[-1].end == "FINISHED"


@dataclass(slots=True)
class Life:
    """One life of the server."""

    number: int
    started: float
    ready: float = OPEN_END
    ended: float = OPEN_END
    # "kill", "failpoint", or "stop" for the last.
    how: str = ""
    # What was done to it before its end.
    troubles: list[str] = field(default_factory=list)
    # What was armed: "name:exit@N".
    failpoint: str = ""
    exit_code: int | None = None
    # Processes of this life that outlived it for too long.
    survivors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """Everything that was seen from outside."""

    seed: int = 0
    # Wall time of the start, by which schedules go.
    began_at: float = 0.0
    # When it is not 0, content that nobody needs is collected so soon.
    grace_s: float = 0.0
    operations: list[Operation] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    # When the drain began, and whether every job ended within its bound.
    drain_began: float = OPEN_END
    drained: bool = False
    log_lines: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write one JSON object per line: the run, then each thing that was seen."""
        with path.open("w", encoding="utf-8") as file:
            head = {
                "seed": self.seed,
                "began_at": self.began_at,
                "grace_s": self.grace_s,
                "drain_began": self.drain_began,
                "drained": self.drained,
                "log_lines": self.log_lines,
            }
            for kind, things in (
                ("run", [head]),
                ("life", map(asdict, self.lives)),
                ("operation", map(asdict, self.operations)),
                ("watch", map(asdict, self.watches)),
            ):
                for thing in things:
                    file.write(json.dumps({"is": kind, **thing}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read what `save` wrote."""
        history = cls()
        for line in path.read_text(encoding="utf-8").splitlines():
            thing = json.loads(line)
            match thing.pop("is"):
                case "run":
                    for name, value in thing.items():
                        setattr(history, name, value)
                case "life":
                    history.lives.append(Life(**thing))
                case "operation":
                    history.operations.append(Operation(**thing))
                case _:
                    history.watches.append(_watch(thing))
        return history


def _watch(thing: dict[str, Any]) -> Watch:
    thing["streams"] = [Stream(**one) for one in thing["streams"]]
    thing["deliveries"] = [Delivery(**one) for one in thing["deliveries"]]
    return Watch(**thing)


def acknowledged(operations: Iterable[Operation]) -> dict[str, Operation]:
    """By job id, the first submit that was acknowledged with it."""
    found: dict[str, Operation] = {}
    for operation in operations:
        if operation.verb == "submit" and operation.is_ok:
            found.setdefault(operation.job_id, operation)
    return found
