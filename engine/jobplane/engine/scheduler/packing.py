"""Packing: which machine has room for an attempt, and how large jobs come by a machine.

A demand goes where it fits best: on spot machines if it may, away from GPUs that it does not
need, and where least is left over, so that large holes stay large. A job that does not fit and
waits for longer than the patience gets a machine reserved, one for each project and those with
the smallest share first: nothing else is placed there unless it is certain to be gone before
the machine is free enough. So it waits for no more than what runs on that machine already.
"""

import math
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jobplane.engine.domain.job import Resources
from jobplane.engine.domain.standing import NO_RESOURCES
from jobplane.engine.settings import NodeSettings, SchedulerSettings

# Of many machines, this part may be kept free for jobs that are too large for the rest.
RESERVABLE = 4
AMOUNTS = ("gpu_count", "cpu", "memory_bytes")
# Below it, what is left of a core by adding and taking away is nothing.
EPSILON = 1e-9


def nodes_of(settings: SchedulerSettings) -> tuple[NodeSettings, ...]:
    """The machines of the settings, or this one."""
    if settings.nodes:
        return settings.nodes
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return (NodeSettings("local", cpu=os.cpu_count() or 1, memory_bytes=memory_bytes),)


@dataclass(frozen=True, slots=True)
class Allocation:
    """What an attempt holds, and until when at the longest."""

    project: str
    node: str
    resources: Resources
    ends_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Wish:
    """What a job needs that does not fit, and the share that its project has by now."""

    project: str
    demand: Resources
    share: float = 0.0


class _Room:
    """A machine and what is free of it."""

    def __init__(self, node: NodeSettings) -> None:
        self.node = node
        self.cpu = node.cpu
        self.memory_bytes = node.memory_bytes
        self.gpus = dict(node.gpus)
        self.held: dict[Hashable, Allocation] = {}
        self.reserve(None, None)

    @property
    def share(self) -> float:
        return self.wish.share if self.wish else 0.0

    def reserve(self, holder: Hashable | None, wish: Wish | None) -> None:
        self.reserved_for = holder
        self.wish = wish

    def fits(self, demand: Resources) -> bool:
        return _is_enough(demand, self.cpu, self.memory_bytes, self.gpus)

    def change(self, demand: Resources, sign: int) -> None:
        self.cpu += sign * demand.cpu
        self.memory_bytes += sign * demand.memory_bytes
        if demand.gpu_count:
            self.gpus[demand.gpu_type] += sign * demand.gpu_count

    def ready_s(self, demand: Resources) -> float:
        """When it has room for a demand at the latest; infinity when nobody knows."""
        cpu, memory_bytes, gpus = self.cpu, self.memory_bytes, dict(self.gpus)
        if _is_enough(demand, cpu, memory_bytes, gpus):
            return -math.inf
        for allocation in sorted(self.held.values(), key=lambda one: one.ends_s):
            cpu += allocation.resources.cpu
            memory_bytes += allocation.resources.memory_bytes
            if allocation.resources.gpu_count:
                gpus[allocation.resources.gpu_type] += allocation.resources.gpu_count
            if _is_enough(demand, cpu, memory_bytes, gpus):
                return allocation.ends_s
        return math.inf

    def waste(self, demand: Resources) -> tuple[bool, bool, float]:
        """How ill a demand goes here: the lowest is the best."""
        spot_unused = demand.spot_ok and not self.node.spot
        gpu_unused = bool(self.node.gpus) and not demand.gpu_count
        left = [_part(self.cpu - demand.cpu, self.node.cpu)]
        left.append(_part(self.memory_bytes - demand.memory_bytes, self.node.memory_bytes))
        if demand.gpu_count:
            count = self.node.gpus[demand.gpu_type]
            left.append(_part(self.gpus[demand.gpu_type] - demand.gpu_count, count))
        return spot_unused, gpu_unused, sum(left)


class Capacity:
    """An inventory, and who holds what of it."""

    def __init__(self, nodes: Iterable[NodeSettings], *, patience_s: float) -> None:
        self._rooms = {node.name: _Room(node) for node in nodes}
        self._patience_s = patience_s
        self._held: dict[Hashable, Allocation] = {}
        self._usage: dict[str, dict[str, float]] = {}
        self._totals = _totals(room.node for room in self._rooms.values())
        # Jobs that did not fit, since when, and whether they were seen in this round.
        self._passed_over: dict[Hashable, float] = {}
        self._seen: set[Hashable] = set()

    @property
    def nodes(self) -> Sequence[NodeSettings]:
        """The machines."""
        return [room.node for room in self._rooms.values()]

    @property
    def held(self) -> Mapping[Hashable, Allocation]:
        """Who holds what."""
        return self._held

    def misfit(self, demand: Resources) -> str:
        """What keeps a demand from ever fitting: the name of the field, or "" when it can fit."""
        if demand == NO_RESOURCES or any(_could_hold(node, demand) for node in self.nodes):
            return ""
        if any(_could_hold(node, replace(demand, spot_ok=True)) for node in self.nodes):
            return "spot_ok"
        if demand.gpu_count and not any(one.gpus.get(demand.gpu_type) for one in self.nodes):
            return "gpu_type"
        asked = [name for name in AMOUNTS if getattr(demand, name)]
        # One field alone, if one alone is too much.
        return next((name for name in asked if self._is_too_much(name, demand)), asked[0])

    def _is_too_much(self, name: str, demand: Resources) -> bool:
        alone = Resources(spot_ok=True, gpu_type=demand.gpu_type)
        alone = replace(alone, **{name: getattr(demand, name)})
        return not any(_could_hold(node, alone) for node in self.nodes)

    def place(
        self, holder: Hashable, project: str, demand: Resources, *, ends_s: float
    ) -> str | None:
        """Hold room for an attempt; the machine, or None when it does not fit now."""
        self.release(holder)
        if demand == NO_RESOURCES:
            self._hold(holder, Allocation(project, "", demand, ends_s))
            return ""
        rooms = [room for room in self._allowed(holder, demand, ends_s) if room.fits(demand)]
        if not rooms:
            return None
        best = min(rooms, key=lambda room: room.waste(demand))
        best.change(demand, -1)
        allocation = Allocation(project, best.node.name, demand, ends_s)
        best.held[holder] = allocation
        self._hold(holder, allocation)
        self._forget(holder)
        return best.node.name

    def release(self, holder: Hashable) -> None:
        """Give back what an attempt held; one that holds nothing is fine."""
        allocation = self._held.pop(holder, None)
        if allocation is None:
            return
        for resource, amount in _amounts(allocation.resources):
            self._usage[allocation.project][resource] -= amount
        if self._usage[allocation.project]["slots"] <= EPSILON:
            del self._usage[allocation.project]
        if allocation.node:
            room = self._rooms[allocation.node]
            room.change(allocation.resources, 1)
            del room.held[holder]

    def share_of(self, project: str, *, slots: int) -> float:
        """The largest part that a project holds of any resource."""
        usage = self._usage.get(project)
        if not usage:
            return 0.0
        totals = self._totals | {"slots": slots}
        return max(_part(amount, totals.get(resource, 0)) for resource, amount in usage.items())

    def pass_over(
        self, holder: Hashable, wish: Wish, *, now_s: float, since_s: float = math.inf
    ) -> None:
        """Note that a job does not fit now; it gets a machine reserved when it waits for long."""
        self._seen.add(holder)
        since_s = self._passed_over.setdefault(holder, min(since_s, now_s))
        if now_s - since_s < self._patience_s:
            return
        reserved = {room.wish.project: room for room in self._rooms.values() if room.wish}
        if own := reserved.get(wish.project):
            # One for each project: who has the longest backlog shall not have them all.
            if own.reserved_for == holder:
                own.reserve(holder, wish)
            return
        if len(reserved) >= max(1, len(self._rooms) // RESERVABLE):
            richest = max(reserved.values(), key=lambda room: room.share)
            if richest.share <= wish.share:
                return
            richest.reserve(None, None)
        rooms = [
            room
            for room in self._rooms.values()
            if room.wish is None and _could_hold(room.node, wish.demand)
        ]
        if rooms:
            soonest = min(
                rooms, key=lambda room: (room.ready_s(wish.demand), -room.waste(wish.demand)[2])
            )
            soonest.reserve(holder, wish)

    def round_over(self) -> None:
        """Forget jobs that a whole round did not see: they run, or do not wait any more."""
        for holder in [one for one in self._passed_over if one not in self._seen]:
            self._forget(holder)
        self._seen.clear()

    def _allowed(self, holder: Hashable, demand: Resources, ends_s: float) -> Iterator[_Room]:
        for room in self._rooms.values():
            if room.node.spot and not demand.spot_ok:
                continue
            if room.wish is None or room.reserved_for == holder:
                yield room
            elif ends_s < math.inf and ends_s <= room.ready_s(room.wish.demand) < math.inf:
                # It is gone before the machine is free enough for whom it is kept.
                yield room

    def _hold(self, holder: Hashable, allocation: Allocation) -> None:
        self._held[holder] = allocation
        usage = self._usage.setdefault(allocation.project, {})
        for resource, amount in _amounts(allocation.resources):
            usage[resource] = usage.get(resource, 0) + amount

    def _forget(self, holder: Hashable) -> None:
        if self._passed_over.pop(holder, None) is None:
            return
        for room in self._rooms.values():
            if room.reserved_for == holder:
                room.reserve(None, None)


def _is_enough(demand: Resources, cpu: float, memory: int, gpus: Mapping[str, int]) -> bool:
    return (
        demand.cpu <= cpu + EPSILON
        and demand.memory_bytes <= memory
        and (not demand.gpu_count or demand.gpu_count <= gpus.get(demand.gpu_type, 0))
    )


def _could_hold(node: NodeSettings, demand: Resources) -> bool:
    allowed = demand.spot_ok or not node.spot
    return allowed and _is_enough(demand, node.cpu, node.memory_bytes, node.gpus)


def _amounts(demand: Resources) -> Iterator[tuple[str, float]]:
    """What a demand counts as in a project's share: a slot, and what it asks for."""
    yield "slots", 1
    if demand.cpu:
        yield "cpu", demand.cpu
    if demand.memory_bytes:
        yield "memory", demand.memory_bytes
    if demand.gpu_count:
        yield f"gpu:{demand.gpu_type}", demand.gpu_count


def _totals(nodes: Iterable[NodeSettings]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for node in nodes:
        parts = {"cpu": node.cpu, "memory": float(node.memory_bytes)}
        parts |= {f"gpu:{kind}": float(count) for kind, count in node.gpus.items()}
        for name, amount in parts.items():
            totals[name] = totals.get(name, 0.0) + amount
    return totals


def _part(amount: float, total: float) -> float:
    return amount / total if total else 0.0
