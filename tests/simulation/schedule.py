"""A schedule: what happens in what order, all out of one seed; then calm, until all has ended."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.model import BrokenPromiseError
from tests.simulation.storage import disk
from tests.simulation.world import SHOWN_LINES, Plan, inhabited, simulated

# The slowest of thousands needed about thirty.
ROUNDS = 300
# More deaths than this, with nobody killing, are a job that is never given up.
CALM_LIVES = 80
LEASE_S = 30.0
# Where a verb mostly makes sense; elsewhere it is tried now and then.
FITTING = {"answer": "AWAITING_INPUT", "resume": "PAUSED"}


@dataclass
class Run:
    """What became of a schedule."""

    plan: Plan
    digest: str = ""
    trace: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)
    error: BaseException | None = None
    story: str = ""


def run(plan):
    """Live through a schedule; what broke a promise is in the outcome, with its story."""
    with (
        simulated(),
        tempfile.TemporaryDirectory(prefix="jobplane-simulation-") as folder,
        inhabited(plan, folder) as world,
    ):
        outcome = Run(plan)
        try:
            _storm(world)
            _calm(world)
        except Exception as error:  # noqa: BLE001  whatever it is, its story is wanted
            outcome.error = error
            outcome.story = _story(world, error)
        outcome.digest = world.digest()
        outcome.trace = world.trace
        outcome.counts = world.counts
        return outcome


def _story(world, error):
    lines = [f"{world.plan}", f"broken: {error!r}", "", "the last lines of the trace:"]
    lines += world.trace[-SHOWN_LINES:]
    for job_id in world.model.jobs:
        if job_id in str(error):
            lines += ["", f"history of {job_id}:", *world.model.told_again(job_id)]
    return "\n".join(lines)


# The storm: faults, callers and workers at once.


def _storm(world):
    for _ in range(world.plan.steps):
        world.bury_the_dead()
        if len(world.servers) < world.plan.servers:
            _boot(world)
        _choice(world)(world)
        world.check()


def _boot(world):
    """Start a server; mostly nothing else happens before it is up."""
    server = world.boot()
    if world.rng.chance(0.8):
        while server.loop.has_work and not server.is_up and not server.is_dead:
            world.act_round(server)


def _choice(world):
    """What happens next, of all that can."""
    possible = {act: weight for act, (weight, can) in ACTIONS.items() if can(world)}
    return world.rng.choices(list(possible), list(possible.values()))[0]


def _waits(world, what):
    return any(what(server) for server in world.servers if not server.is_dead)


def _server(world):
    return world.rng.choice(world.servers) if world.servers else None


def _is_any_up(world):
    return any(server.is_up for server in world.servers)


def _up(world):
    up = [server for server in world.servers if server.is_up]
    return world.rng.choice(up) if up else None


def _call(world):
    server = _up(world)
    if server is None:
        return
    model, rng, callers = world.model, world.rng, world.callers
    known = list(model.acknowledged)
    if not known or (len(model.jobs) < world.plan.jobs and rng.chance(0.5)):
        server.spawn(callers.submit(server, callers.new_submission()))
        return
    job_id = rng.choice(known)
    verb = rng.choices(
        ("again", "cancel", "force", "pause", "resume", "answer", "get"), (2, 2, 1, 4, 4, 3, 1)
    )[0]
    if verb in FITTING:
        fitting = [one for one in known if model.jobs[one].status == FITTING[verb]]
        job_id = rng.choice(fitting or known)
    world.note(f"{verb} {job_id}")
    match verb:
        case "again" if callers.sent:
            repeated = callers.sent[rng.choice(list(callers.sent))]
            server.spawn(callers.submit(server, repeated))
        case "cancel" | "force":
            server.spawn(callers.cancel(server, job_id, force=verb == "force"))
        case "pause":
            server.spawn(callers.pause(server, job_id))
        case "resume":
            server.spawn(callers.resume(server, job_id))
        case "answer":
            server.spawn(callers.answer(server, job_id))
        case _:
            server.spawn(callers.get(server, job_id))


def _commit(world):
    _of_those(world, lambda server: server.database.has_work, world.act_commit)


def _round(world):
    _of_those(world, lambda server: server.loop.has_work, world.act_round)


def _of_those(world, what, act):
    act(world.rng.choice([one for one in world.servers if not one.is_dead and what(one)]))


def _is_any_due(server):
    return any(one.is_due for one in server.background)


def _background(world):
    def act(server):
        due = [one for one in server.background if one.is_due]
        world.act_background(server, world.rng.choice(due))

    _of_those(world, _is_any_due, act)


def _attempt(world):
    world.act_attempt(world.rng.choice(list(world.attempts.values())))


def _stale(world):
    world.act_stale(world.rng.choice(world.stale))


def _pass_time(world):
    world.time.advance(world.rng.choice((0.01, 0.1, 0.5, 2.0, 5.0)))
    for server in list(world.servers):
        world.act_timers(server)


def _watch(world):
    if server := _up(world):
        world.callers.watch_again(server)


def _fault(world):  # noqa: C901  one case for each fault
    rng, faults = world.rng, world.faults
    kind = rng.choices(
        (
            "crash",
            "crash_soon",
            "unavailable",
            "lost_answer",
            "fail_inside",
            "jump",
            "sleep",
            "stop",
        ),
        (2, 5, 2, 6, 3, 3, 3, 1),
    )[0]
    world.note(f"fault: {kind}")
    match kind:
        case "crash":
            if server := _server(world):
                world.crash_server(server, "is killed")
        case "crash_soon":
            faults.crash_in = rng.randint(1, 12)
        case "unavailable":
            faults.unavailable = rng.randint(1, 8)
        case "lost_answer":
            faults.lost_answer_in = rng.randint(1, 3)
        case "fail_inside":
            faults.fail_inside_in = rng.randint(1, 4)
        case "jump":
            world.sometimes("jumped")
            world.time.jump(rng.choice((-3600.0, -5.0, 5.0, 3600.0)))
        case "sleep":
            # The whole machine stands still: leases run out.
            world.time.advance(LEASE_S + 5)
        case "stop":
            if server := _up(world):
                server.spawn(server.stop())


# How likely each is among those that are possible.
ACTIONS = {
    _call: (16, _is_any_up),
    _commit: (26, lambda world: _waits(world, lambda server: server.database.has_work)),
    _round: (26, lambda world: _waits(world, lambda server: server.loop.has_work)),
    _background: (14, lambda world: _waits(world, _is_any_due)),
    _attempt: (24, lambda world: bool(world.attempts)),
    _stale: (1, lambda world: bool(world.stale) and world.plan.faults),
    _pass_time: (10, lambda _: True),
    _watch: (3, _is_any_up),
    _fault: (3, lambda world: world.plan.faults),
}


# The calm: no more faults; what was begun must end, in bounded time.


def _calm(world):
    world.faults.calm()
    world.is_stormy = False
    if world.plan.faults and world.rng.chance(0.6):
        # The last of the faults: from here on the clock only runs.
        world.time.jump(-3600.0)
    world.note("calm")
    lives = 0
    for number in range(ROUNDS):
        world.bury_the_dead()
        while len(world.servers) < world.plan.servers:
            _boot(world)
            lives += 1
            if lives > CALM_LIVES:
                _fail_open(world, f"{lives} servers died")
        _do_all(world)
        world.callers.must_have_heard()
        if _is_over(world):
            _last_look(world)
            world.rounds = number
            return
        _let_time_pass(world)
    _fail_open(world, f"{ROUNDS} rounds of calm")


def _do_all(world):
    for server in list(world.servers):
        for _ in range(3):
            _work_off(world, server)
        if server.is_up:
            world.callers.watch_again(server)
            _resume_paused(world, server)
    for attempt in list(world.attempts.values()):
        # Who hangs in the job's live attempt is for the lease to find.
        if not (attempt.is_hung and attempt.intent is None and _is_current(world, attempt)):
            attempt.is_hung = False
            world.act_attempt(attempt)
    world.check()


def _work_off(world, server):
    """Run what is due on a server, and what that brings about."""
    world.act_round(server)
    for _ in range(20):
        if server.loop.has_work and not server.is_dead:
            world.act_round(server)
    while server.database.has_work and not server.is_dead:
        world.act_commit(server)
    world.act_timers(server)
    for one in list(server.background):
        if one.is_due:
            world.act_background(server, one)


def _is_current(world, attempt):
    history = world.model.jobs[attempt.assignment.job_id]
    return history.is_live and history.attempt == attempt.assignment.attempt


def _resume_paused(world, server):
    for history in world.model.jobs.values():
        if history.status == "PAUSED":
            server.spawn(world.callers.resume(server, history.job_id))


def _is_over(world):
    if world.model.open_jobs() or world.attempts:
        return False
    return all(watcher.is_done for watcher in world.callers.watchers)


def _let_time_pass(world):
    """A little while somebody works, else until somebody has something to do."""
    if any(not attempt.is_hung for attempt in world.attempts.values()):
        world.time.advance(0.3)
        return
    now = world.time.wall()
    (due_us,) = (
        disk()
        .raw.execute(
            "SELECT min(t) FROM (SELECT due_us AS t FROM jobs UNION ALL SELECT ready_us FROM jobs"
            " UNION ALL SELECT heartbeat_us + ? FROM jobs WHERE worker <> '')",
            (int(LEASE_S * 1e6),),
        )
        .fetchone()
    )
    left_s = due_us / 1e6 - now.timestamp() + 3.0 if due_us is not None else 0.5
    world.time.advance(min(max(left_s, 0.5), 7200.0))


def _fail_open(world, after):
    waiting = [watcher.job_id for watcher in world.callers.watchers if not watcher.is_done]
    evidence = f"after {after}: open {world.model.open_jobs()}, watched {waiting}"
    live = [attempt.assignment.job_id for attempt in world.attempts.values()]
    raise BrokenPromiseError("liveness", f"{evidence}, with a worker {live}")


def _last_look(world):
    """What only shows at the end: kept counts, and the whole history once more."""
    world.check()
    raw = disk().raw
    loads = raw.execute("SELECT * FROM loads WHERE queued <> 0 OR active <> 0").fetchall()
    if loads:
        raise BrokenPromiseError("loads", f"all has ended, but counted are {loads}")
    open_ones = raw.execute("SELECT count(*) FROM job_dependencies").fetchone()[0]
    if open_ones:
        raise BrokenPromiseError("depends", f"{open_ones} conditions are open for ever")
    for history in world.model.jobs.values():
        rows = raw.execute(
            "SELECT e.sequence, e.type, e.status, e.attempt FROM job_events e"
            " JOIN jobs j ON j.pk = e.job_pk WHERE j.job_id = ? ORDER BY e.sequence",
            (history.job_id,),
        ).fetchall()
        if rows != [event[:4] for event in history.events]:
            raise BrokenPromiseError("P4", f"the history of {history.job_id} was rewritten")
    for watcher in world.callers.watchers:
        seen = [event[1] for event in world.model.jobs[watcher.job_id].events]
        if watcher.types != seen:
            raise BrokenPromiseError("P5", f"the watch of {watcher.job_id} saw {watcher.types}")


def plan_of(seed):
    """The schedule of a seed: mostly one server under faults, some with two, some in peace."""
    return Plan(seed, servers=2 if seed % 5 == 4 else 1, faults=seed % 17 != 16)
