"""Fair share: which waiting jobs start, given free slots and room on machines.

Projects take turns: next is the one whose dominant share (the largest part that it holds of
slots, cores, memory or GPUs, divided by its weight) is the smallest; of equals, the one whose
turn was the longest ago. Within a project the job goes first that is the first in rank: its
priority and its age in one number (`domain/standing.py`).

A line is a set of jobs that compete alike, so a decision looks at the heads of lines, never
at the jobs behind them: its cost does not depend on how many wait.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jobplane.engine.domain.job import Resources
from jobplane.engine.scheduler.packing import Capacity, Wish
from jobplane.engine.store.loads import Line

# Jobs of a line that are tried, of which the first does not fit: a line's demands differ little.
WINDOW = 8


class Candidate(NamedTuple):
    """A job that may start, as far as the decision needs to know it."""

    pk: int
    rank_us: int
    resources: Resources
    # Seconds that an attempt takes at the longest, for what asks for room; infinity if unknown.
    takes_s: float = math.inf
    # Since when it waits; infinity is since now.
    since_s: float = math.inf
    row: Any = None


# The next candidates of a line behind one of them, in order of rank.
Fetch = Callable[[Line, Candidate | None, int], Sequence[Candidate]]
# The limit that keeps a job of a line from a start; "" when none does.
ClosedBy = Callable[[Line, Resources], str]


class Turns:
    """Whose turn was how long ago, and how much each project's share weighs."""

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self._weights = dict(weights or {})
        self._last: dict[str, int] = {}
        self._turn = 0

    def took(self, project: str) -> None:
        """Note that a project had its turn."""
        self._turn += 1
        # Taken out first, so that the order of the dict is the order of turns.
        self._last.pop(project, None)
        self._last[project] = self._turn
        while len(self._last) > KNOWN_PROJECTS:
            del self._last[next(iter(self._last))]

    def key(self, project: str, share: float) -> tuple[float, int]:
        """The order of turns: the lowest is next."""
        return share / self._weights.get(project, 1.0), self._last.get(project, 0)


# Projects whose last turn is remembered; another one counts as never served.
KNOWN_PROJECTS = 100_000


@dataclass(slots=True)
class _Queueing:
    """A line in a decision: its next candidates, and whether there are more."""

    line: Line
    ahead: list[Candidate] = field(default_factory=list[Candidate])
    last: Candidate | None = None
    may_have_more: bool = True


class Decision:
    """One decision: which jobs start now."""

    def __init__(
        self,
        lines: Iterable[Line],
        *,
        fetch: Fetch,
        capacity: Capacity,
        turns: Turns,
        closed_by: ClosedBy,
        holder_of: Callable[[Line, Candidate], Hashable],
        slots: int,
        now_s: float,
    ) -> None:
        self._fetch = fetch
        self._capacity = capacity
        self._turns = turns
        self._closed_by = closed_by
        self._holder_of = holder_of
        self._slots = slots
        self._now_s = now_s
        self._lines: defaultdict[str, list[_Queueing]] = defaultdict(list)
        for line in lines:
            self._lines[line.project].append(_Queueing(line))

    def picks(self, *, free: int) -> Iterator[tuple[Line, Candidate]]:
        """At most `free` jobs, in the order in which they start; each holds its room."""
        turns = [(self._key(project), project) for project in self._lines]
        heapq.heapify(turns)
        page = free if len(self._lines) == 1 else WINDOW
        while turns and free > 0:
            _, project = heapq.heappop(turns)
            pick = self._next(project, page)
            if pick is None:
                continue
            free -= 1
            self._turns.took(project)
            yield pick
            heapq.heappush(turns, (self._key(project), project))
        if not turns:
            self._capacity.round_over()

    def _key(self, project: str) -> tuple[float, int]:
        return self._turns.key(project, self._capacity.share_of(project, slots=self._slots))

    def _next(self, project: str, page: int) -> tuple[Line, Candidate] | None:
        """The project's first job in rank that can start; None when none can."""
        queueing = self._lines[project]
        while True:
            heads = [(self._head(one, page), one) for one in queueing]
            ready = [(head.rank_us, head.pk, one) for head, one in heads if head is not None]
            if not ready:
                return None
            _, _, first = min(ready, key=lambda item: item[:2])
            candidate = self._taken(first)
            if candidate is not None:
                return first.line, candidate
            # Nothing of this line can start before something changes.
            queueing.remove(first)

    def _head(self, queueing: _Queueing, page: int) -> Candidate | None:
        if not queueing.ahead and queueing.may_have_more:
            found = self._fetch(queueing.line, queueing.last, page)
            queueing.may_have_more = len(found) == page
            queueing.ahead = list(found)
            if found:
                queueing.last = found[-1]
        return queueing.ahead[0] if queueing.ahead else None

    def _taken(self, queueing: _Queueing) -> Candidate | None:
        """The first of a line that fits, with its room held."""
        line = queueing.line
        for index, candidate in enumerate(queueing.ahead[:WINDOW]):
            if self._closed_by(line, candidate.resources):
                return None
            holder = self._holder_of(line, candidate)
            node = self._capacity.place(
                holder,
                line.project,
                candidate.resources,
                ends_s=self._now_s + candidate.takes_s,
            )
            if node is not None:
                del queueing.ahead[index]
                return candidate
            if index == 0:
                share, _ = self._key(line.project)
                self._capacity.pass_over(
                    holder,
                    Wish(line.project, candidate.resources, share),
                    now_s=self._now_s,
                    since_s=candidate.since_s,
                )
        return None
