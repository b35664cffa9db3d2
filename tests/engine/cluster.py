"""A cluster in virtual time: the scheduler's own decisions over jobs that only have durations."""

import heapq
import itertools
import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobplane.engine.domain.job import Resources
from jobplane.engine.domain.standing import NO_RESOURCES, POINT_S, shape_of
from jobplane.engine.scheduler.fair_share import Candidate, Decision, Turns
from jobplane.engine.scheduler.packing import Capacity
from jobplane.engine.settings import NodeSettings
from jobplane.engine.store.loads import Line


@dataclass(slots=True)
class Task:
    """A job of the simulation."""

    project: str
    arrives_s: float
    runs_s: float
    resources: Resources = NO_RESOURCES
    priority: int = 500
    # What the job says that it takes at the longest.
    takes_s: float = math.inf
    size: str = ""
    pk: int = 0
    node: str = ""
    started_s: float | None = None

    @property
    def waited_s(self) -> float:
        """From its arrival to its start."""
        assert self.started_s is not None
        return self.started_s - self.arrives_s

    @property
    def rank_us(self) -> int:
        """Its order, as `domain.standing` has it."""
        return int((self.arrives_s - self.priority * POINT_S) * 1_000_000)

    @property
    def line(self) -> Line:
        """Those that it competes with as an equal."""
        return Line("X", self.project, "default", "work", shape_of(self.resources))


@dataclass(slots=True)
class Sample:
    """What was held from a moment on."""

    at_s: float
    cpu: float
    gpus: int
    waiting: int


@dataclass
class Cluster:
    """Runs tasks over machines until all are done; nothing waits for real."""

    nodes: Sequence[NodeSettings]
    slots: int = 10_000
    patience_s: float = 60.0
    weights: dict[str, float] = field(default_factory=dict)
    # A decision at least so often, as the dispatcher's loop has it.
    tick_s: float = 5.0
    samples: list[Sample] = field(default_factory=list)
    decisions: int = 0

    def run(self, tasks: Iterable[Task], *, on_start: Any = None) -> list[Task]:
        """Every task, with its start; raises if one never starts."""
        done = sorted(tasks, key=lambda task: task.arrives_s)
        self._capacity = Capacity(self.nodes, patience_s=self.patience_s)
        self._turns = Turns(self.weights)
        self._waiting: defaultdict[Line, list[tuple[int, int, Task]]] = defaultdict(list)
        self._running: dict[int, Task] = {}
        self._on_start = on_start
        order = itertools.count()
        events: list[tuple[float, int, str, Task | None]] = []
        for pk, task in enumerate(done, 1):
            task.pk = pk
            heapq.heappush(events, (task.arrives_s, next(order), "arrive", task))
        while events:
            now_s = events[0][0]
            while events and events[0][0] <= now_s:
                _, _, kind, subject = heapq.heappop(events)
                self._apply(kind, subject)
            for task in self._start(now_s):
                heapq.heappush(events, (now_s + task.runs_s, next(order), "end", task))
            waiting = sum(map(len, self._waiting.values()))
            self._sample(now_s, waiting)
            if waiting and (not events or events[0][0] > now_s + self.tick_s):
                assert self._running or self.patience_s, "jobs wait for ever on an idle cluster"
                heapq.heappush(events, (now_s + self.tick_s, next(order), "tick", None))
        return done

    def _apply(self, kind: str, task: Task | None) -> None:
        if task is None:
            return
        if kind == "arrive":
            insort(self._waiting[task.line], (task.rank_us, task.pk, task))
        else:
            self._capacity.release(task.pk)
            del self._running[task.pk]

    def _start(self, now_s: float) -> list[Task]:
        self.decisions += 1
        lines = [line for line, tasks in self._waiting.items() if tasks]
        decision = Decision(
            lines,
            fetch=self._fetch,
            capacity=self._capacity,
            turns=self._turns,
            closed_by=lambda line, resources: "",
            holder_of=lambda line, candidate: candidate.pk,
            slots=self.slots,
            now_s=now_s,
        )
        started = []
        free = self.slots - len(self._running)
        for line, candidate in decision.picks(free=free):
            task: Task = candidate.row
            self._waiting[line].remove((task.rank_us, task.pk, task))
            task.started_s, task.node = now_s, self._capacity.held[task.pk].node
            self._running[task.pk] = task
            started.append(task)
            if self._on_start:
                self._on_start(self, task)
        return started

    def _fetch(self, line: Line, last: Candidate | None, limit: int) -> list[Candidate]:
        tasks = self._waiting[line]
        start = bisect_right(tasks, (last.rank_us, last.pk), key=_key) if last else 0
        return [
            Candidate(task.pk, task.rank_us, task.resources, task.takes_s, task.arrives_s, task)
            for _, _, task in tasks[start : start + limit]
        ]

    def _sample(self, now_s: float, waiting: int) -> None:
        cpu = sum(task.resources.cpu for task in self._running.values())
        gpus = sum(task.resources.gpu_count for task in self._running.values())
        self.samples.append(Sample(now_s, cpu, gpus, waiting))

    def share_of(self, project: str) -> float:
        """The dominant share of a project, now."""
        return self._capacity.share_of(project, slots=self.slots)

    def backlog_of(self, project: str) -> list[Task]:
        """What waits of a project, now."""
        return [
            task
            for line, tasks in self._waiting.items()
            if line.project == project
            for _, _, task in tasks
        ]


def _key(entry: Any) -> tuple[int, int]:
    return entry[0], entry[1]
