"""Decisions in virtual time: capacity is never exceeded, nobody starves, shares are fair."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobplane.engine.domain.job import Resources
from jobplane.engine.scheduler.packing import Capacity, Wish, nodes_of
from jobplane.engine.settings import NodeSettings, SchedulerSettings
from tests.engine.cluster import Cluster, Task

GIB = 2**30
ONE = (NodeSettings("one", 8, 32 * GIB, {"A100": 8}),)

NODES = st.lists(
    st.builds(
        NodeSettings,
        st.just(""),
        st.integers(1, 16).map(float),
        st.integers(1, 64).map(lambda number: number * GIB),
        st.dictionaries(st.sampled_from(["A100", "T4"]), st.integers(1, 8), max_size=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
).map(
    lambda nodes: [
        NodeSettings(f"n{at}", node.cpu, node.memory_bytes, node.gpus, node.spot)
        for at, node in enumerate(nodes)
    ]
)
DEMANDS = st.builds(
    lambda cpu, memory, kind, count, spot: Resources(
        cpu, memory * GIB, kind if count else "", count, spot
    ),
    st.floats(0, 16).map(lambda cpu: round(cpu, 1)),
    st.integers(0, 64),
    st.sampled_from(["A100", "T4"]),
    st.integers(0, 8),
    st.booleans(),
)
TASKS = st.builds(
    Task,
    st.sampled_from(["red", "green", "blue"]),
    st.floats(0, 300),
    st.floats(1, 100),
    DEMANDS,
    st.integers(0, 1000),
    st.sampled_from([math.inf, 100.0]),
)


def check_capacity(cluster, _):
    for node in cluster.nodes:
        held = [task.resources for task in cluster._running.values() if task.node == node.name]
        assert sum(one.cpu for one in held) <= node.cpu + 1e-6
        assert sum(one.memory_bytes for one in held) <= node.memory_bytes
        for kind in {one.gpu_type for one in held if one.gpu_count}:
            used = sum(one.gpu_count for one in held if one.gpu_type == kind)
            assert used <= node.gpus.get(kind, 0)
        assert all(one.spot_ok or not node.spot for one in held)
    assert len(cluster._running) <= cluster.slots


@given(NODES, st.lists(TASKS, max_size=60), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_capacity_is_never_exceeded_and_every_job_that_can_run_does(nodes, tasks, slots):
    capacity = Capacity(nodes, patience_s=10)
    tasks = [task for task in tasks if not capacity.misfit(task.resources)]
    done = Cluster(nodes, slots=slots, patience_s=10).run(tasks, on_start=check_capacity)
    assert all(task.started_s is not None for task in done)


@given(NODES, DEMANDS)
@settings(max_examples=200, deadline=None)
def test_a_misfit_is_named_by_a_field_that_is_set(nodes, demand):
    field = Capacity(nodes, patience_s=1).misfit(demand)
    fits = Capacity(nodes, patience_s=1).place("x", "p", demand, ends_s=1) is not None
    assert (field == "") == fits
    assert not field or field == "spot_ok" or getattr(demand, field)


@pytest.mark.parametrize("small_s", [5.0, 50.0])
def test_a_large_job_starts_within_the_patience_and_one_running_job(small_s):
    patience_s = 30.0
    stream = [Task("busy", at * small_s / 16, small_s, Resources(cpu=1.0)) for at in range(1000)]
    large = Task("calm", 3 * small_s, 10, Resources(cpu=8.0))
    cluster = Cluster(ONE, patience_s=patience_s, tick_s=1)
    cluster.run([*stream, large])
    assert large.waited_s <= patience_s + small_s + 2 * cluster.tick_s


@given(st.integers(1, 900), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_the_least_urgent_job_starves_no_longer_than_its_priority_is_worth(priority, cores):
    rush = [Task("one", at, 8, Resources(cpu=float(cores)), 1000) for at in range(0, 6000, 8)]
    meek = Task("one", 1, 8, Resources(cpu=float(cores)), priority)
    Cluster(ONE, slots=1).run([*rush, meek])
    assert meek.waited_s <= (1000 - priority) * 3.6 + 2 * 8


@given(
    st.lists(st.sampled_from([1.0, 2.0, 4.0]), min_size=2, max_size=4),
    st.integers(5, 40),
)
@settings(max_examples=40, deadline=None)
def test_no_project_is_ahead_of_another_that_waits_by_more_than_one_job(demands, number):
    def check(cluster, task):
        shares = {name: cluster.share_of(name) for name in names if cluster.backlog_of(name)}
        before = cluster.share_of(task.project) - _part(task.resources.cpu)
        # Whoever starts had no larger share than any other that waits and would have fitted.
        for name, share in shares.items():
            demand = cluster.backlog_of(name)[0].resources
            free = 8 - sum(one.resources.cpu for one in cluster._running.values())
            if name != task.project and demand.cpu <= free:
                assert before <= share + 1e-6

    names = [f"p{at}" for at in range(len(demands))]
    tasks = [
        Task(name, 0, 10 + at % 3, Resources(cpu=cpu))
        for name, cpu in zip(names, demands, strict=True)
        for at in range(number)
    ]
    Cluster(ONE, slots=100, patience_s=1e9).run(tasks, on_start=check)


def _part(cpu):
    return cpu / 8


def test_equal_projects_get_equal_turns_whoever_came_first():
    first = [Task("first", 0, 10) for _ in range(400)]
    second = [Task("second", 100, 10) for _ in range(100)]
    Cluster(ONE, slots=4).run([*first, *second])
    second.sort(key=lambda task: task.started_s)
    # Half of the slots: two starts in ten seconds.
    assert second[-1].waited_s <= 100 / 2 * 10 + 20


def test_a_weight_gives_its_part():
    tasks = [Task(name, 0, 10) for name in ("heavy", "light") for _ in range(300)]
    cluster = Cluster(ONE, slots=8, weights={"heavy": 3.0})
    done = cluster.run(tasks)
    early = [task for task in done if task.started_s < 200]
    heavy = sum(task.project == "heavy" for task in early)
    assert heavy / len(early) == pytest.approx(0.75, abs=0.05)


def test_demands_go_where_they_waste_least():
    nodes = (
        NodeSettings("gpu", 32, 64 * GIB, {"A100": 8}),
        NodeSettings("plain", 32, 64 * GIB),
        NodeSettings("spot", 32, 64 * GIB, spot=True),
    )
    capacity = Capacity(nodes, patience_s=1)
    assert capacity.place(1, "p", Resources(cpu=4.0), ends_s=1) == "plain"
    assert capacity.place(2, "p", Resources(cpu=4.0, spot_ok=True), ends_s=1) == "spot"
    gpu = Resources(cpu=4.0, gpu_type="A100", gpu_count=1)
    assert capacity.place(3, "p", gpu, ends_s=1) == "gpu"
    assert capacity.place(4, "p", Resources(cpu=28.0), ends_s=1) == "plain"
    assert capacity.place(5, "p", Resources(cpu=28.0), ends_s=1) == "gpu"


def test_a_reserved_machine_takes_what_is_gone_in_time():
    capacity = Capacity(ONE, patience_s=10)
    large = Resources(cpu=8.0)
    capacity.place("runs", "p", Resources(cpu=4.0), ends_s=100)
    for now_s in (0, 10):
        assert capacity.place("large", "p", large, ends_s=math.inf) is None
        capacity.pass_over("large", Wish("p", large), now_s=now_s)
    assert capacity.place("long", "q", Resources(cpu=1.0), ends_s=200) is None
    assert capacity.place("unknown", "q", Resources(cpu=1.0), ends_s=math.inf) is None
    assert capacity.place("short", "q", Resources(cpu=1.0), ends_s=90) == "one"
    capacity.release("runs")
    capacity.release("short")
    assert capacity.place("large", "p", large, ends_s=math.inf) == "one"


def test_a_reservation_ends_with_the_wait():
    capacity = Capacity(ONE, patience_s=0)
    capacity.place("runs", "p", Resources(cpu=4.0), ends_s=math.inf)
    capacity.pass_over("large", Wish("p", Resources(cpu=8.0)), now_s=0)
    assert capacity.place("small", "q", Resources(cpu=1.0), ends_s=math.inf) is None
    capacity.round_over()
    capacity.round_over()
    assert capacity.place("small", "q", Resources(cpu=1.0), ends_s=math.inf) == "one"


def test_without_an_inventory_this_machine_is_it():
    (node,) = nodes_of(SchedulerSettings())
    assert node.cpu >= 1
    assert node.memory_bytes > 0
    assert not node.gpus
