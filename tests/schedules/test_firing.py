"""What becomes of a nominal time: under each policy, on time, late, and in odd weather."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobplane.engine.domain.job import DEFAULT_QUEUE
from jobplane.engine.domain.schedule import OverlapPolicy
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Submission
from jobplane.engine.scheduler.quota import change_limits
from jobplane.engine.store import queues, schedules
from jobplane.engine.store.queues import QueueState
from tests.schedules.rig import SPEC, START, Rig, rig_at

EVERY_MINUTE = "* * * * *"
HOURLY = "0 * * * *"
OTHERS = [policy for policy in OverlapPolicy if policy is not OverlapPolicy.ALLOW]


def at(text):
    return datetime.fromisoformat(f"2026-{text}Z")


def close(rig, queue=DEFAULT_QUEUE, state=QueueState.CLOSED):
    rig.database.write(
        lambda t: queues.set_state(
            t.connection, queue, state, reason="", updater="me", now=rig.clock.now()
        )
    ).result(30)


def test_a_fired_job_belongs_to_its_schedule(rig):
    name = rig.add("30 12 * * *")
    rig.run(at("03-02T12:30:00"))
    [job] = rig.jobs(name)
    assert (job.schedule, job.creator, job.project) == (name, "owner", "demo")
    assert job.idempotency_key == f"{name}@2026-03-02T12:30:00Z"
    assert job.status is JobStatus.QUEUED
    assert rig.outcomes(name) == ["SUBMITTED"]


def test_nothing_fires_before_its_time(rig):
    name = rig.add("30 12 * * *")
    rig.run(at("03-02T12:29:59"))
    assert not rig.jobs(name)


def test_a_day_of_fires_misses_none_and_doubles_none(rig):
    name = rig.add("*/15 * * * *", overlap=OverlapPolicy.ALLOW)
    rig.run(START + timedelta(days=1))
    expected = [START + timedelta(minutes=15 * n) for n in range(1, 97)]
    assert rig.nominals(name) == expected


def test_skip_leaves_a_fire_out_while_a_job_is_not_finished(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.SKIP)
    rig.run(START + timedelta(minutes=3))
    [job] = rig.jobs(name)
    fires = rig.get(name).fires
    assert [fire.outcome.value for fire in fires] == ["SKIPPED", "SKIPPED", "SUBMITTED"]
    assert (fires[0].job, fires[0].reason) == (job.name, "OVERLAP")
    rig.end(job)
    rig.run(START + timedelta(minutes=4))
    assert len(rig.jobs(name)) == 2


def test_queue_one_keeps_the_latest_fire_until_the_job_ends(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.QUEUE_ONE)
    rig.run(START + timedelta(minutes=3))
    [job] = rig.jobs(name)
    assert rig.outcomes(name) == ["WAITING", "SKIPPED", "SUBMITTED"]
    rig.end(job)
    rig.settle()
    assert rig.nominals(name) == [START + timedelta(minutes=n) for n in (1, 3)]
    assert rig.outcomes(name) == ["SUBMITTED", "SKIPPED", "SUBMITTED"]
    assert rig.get(name).waiting_at is None


def test_a_fire_that_waits_is_found_by_a_server_that_saw_no_end(rig, url):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.QUEUE_ONE)
    rig.run(START + timedelta(minutes=2))
    with rig_at(url, rig.clock) as other:
        other.end(rig.jobs(name)[0])
    rig.clock.move(seconds=5)
    rig.settle()
    assert len(rig.jobs(name)) == 2


def test_cancel_running_fires_once_the_job_has_ended(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.CANCEL_RUNNING)
    rig.run(START + timedelta(minutes=1))
    first = rig.jobs(name)[0]
    rig.begin(first)
    rig.run(START + timedelta(minutes=2))
    assert rig.job(first.name).status is JobStatus.CANCELLING
    assert rig.job(first.name).cancel_request.requester == name
    assert rig.outcomes(name) == ["WAITING", "SUBMITTED"]
    rig.end(first)
    rig.settle()
    assert rig.nominals(name) == [START + timedelta(minutes=n) for n in (1, 2)]


def test_cancel_running_needs_no_wait_for_a_job_that_never_began(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.CANCEL_RUNNING)
    rig.run(START + timedelta(minutes=2))
    first, second = rig.jobs(name)
    assert (first.status, second.status) == (JobStatus.CANCELLED, JobStatus.QUEUED)


def test_allow_runs_jobs_side_by_side(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.ALLOW)
    rig.run(START + timedelta(minutes=5))
    assert [job.status for job in rig.jobs(name)] == [JobStatus.QUEUED] * 5


@pytest.mark.parametrize("policy", OTHERS)
def test_after_a_day_without_a_server_the_latest_missed_time_fires(rig, policy):
    name = rig.add(HOURLY, overlap=policy, catchup_s=2 * 86400)
    rig.clock.move(days=1, minutes=5)
    rig.settle()
    assert rig.nominals(name) == [at("03-03T12:00:00")]
    submitted, missed = rig.get(name).fires
    assert submitted.outcome.value == "SUBMITTED"
    assert (missed.outcome.value, missed.reason) == ("MISSED", "TOO_LATE")
    assert (missed.nominal_at, missed.last_nominal_at) == (
        at("03-02T13:00:00"),
        at("03-03T11:00:00"),
    )


def test_after_a_day_without_a_server_allow_fires_each_time_of_the_window(rig):
    name = rig.add(HOURLY, overlap=OverlapPolicy.ALLOW, catchup_s=6 * 3600)
    rig.clock.move(days=1, minutes=5)
    rig.settle()
    assert rig.nominals(name) == [at(f"03-03T{hour:02}:00:00") for hour in range(7, 13)]
    missed = rig.get(name).fires[-1]
    assert (missed.nominal_at, missed.last_nominal_at) == (
        at("03-02T13:00:00"),
        at("03-03T06:00:00"),
    )


@pytest.mark.parametrize("policy", OverlapPolicy)
def test_what_is_later_than_the_window_never_fires(rig, policy):
    name = rig.add(HOURLY, overlap=policy, catchup_s=60)
    rig.clock.move(days=1, minutes=5)
    rig.settle()
    assert not rig.jobs(name)
    [missed] = rig.get(name).fires
    assert (missed.outcome.value, missed.last_nominal_at) == ("MISSED", at("03-03T12:00:00"))
    assert rig.get(name).next_at == at("03-03T13:00:00")
    rig.run(at("03-03T13:00:10"))
    assert rig.nominals(name) == [at("03-03T13:00:00")]


def test_a_window_of_nothing_still_fires_on_time(rig):
    name = rig.add(HOURLY, catchup_s=0)
    rig.run(at("03-02T13:00:20"), every=timedelta(hours=2))
    assert len(rig.jobs(name)) == 1


def test_a_clock_that_jumps_ahead_and_back_does_not_silence_a_schedule(rig):
    name = rig.add(HOURLY, overlap=OverlapPolicy.ALLOW)
    rig.clock.move(days=400, minutes=5)
    rig.settle()
    rig.clock.move(days=-400, minutes=-5)
    rig.settle()
    assert rig.get(name).next_at == at("03-02T13:00:00")
    rig.run(at("03-02T15:00:00"))
    assert rig.nominals(name)[-3:] == [at(f"03-02T{hour}:00:00") for hour in (13, 14, 15)]


def test_a_clock_that_goes_back_fires_no_time_twice(rig):
    name = rig.add(EVERY_MINUTE, overlap=OverlapPolicy.ALLOW)
    rig.run(START + timedelta(minutes=10))
    rig.clock.move(minutes=-5)
    rig.settle()
    rig.run(START + timedelta(minutes=12))
    assert rig.nominals(name) == [START + timedelta(minutes=n) for n in range(1, 13)]


def test_a_gap_of_the_clocks_fires_once_right_after_it(rig):
    rig.clock.at = at("03-28T12:00:00")
    name = rig.add("30 2 * * *", time_zone="Europe/Berlin", overlap=OverlapPolicy.ALLOW)
    rig.run(at("03-30T12:00:00"))
    assert rig.nominals(name) == [at("03-29T01:00:00"), at("03-30T00:30:00")]


def test_an_overlap_of_the_clocks_fires_once(rig):
    rig.clock.at = at("10-24T12:00:00")
    name = rig.add("30 2 * * *", time_zone="Europe/Berlin", overlap=OverlapPolicy.ALLOW)
    rig.run(at("10-26T12:00:00"))
    assert rig.nominals(name) == [at("10-25T00:30:00"), at("10-26T01:30:00")]


def test_a_time_that_was_submitted_but_not_booked_makes_no_second_job(rig):
    name = rig.add(HOURLY)
    before = rig.get(name)
    rig.run(at("03-02T13:00:00"))
    [job] = rig.jobs(name)
    # As a store would be in which the bookkeeping was lost.
    rig.put(before)
    rig.end(job)
    rig.settle()
    assert [one.job_id for one in rig.jobs(name)] == [job.job_id]
    assert rig.get(name).fires[0].job == job.name


def test_a_new_schedule_of_an_old_name_is_told_that_its_time_has_a_job(rig):
    name = rig.add(HOURLY)
    rig.run(at("03-02T13:00:00"))
    rig.end(rig.jobs(name)[0])
    rig.database.write(lambda t: schedules.remove(t.connection, "demo", "s")).result(30)
    rig.clock.move(minutes=-30)
    rig.add(HOURLY, template=Submission("demo", SPEC, priority=1))
    rig.run(at("03-02T13:00:00"))
    [fire] = rig.get(name).fires
    assert (fire.outcome.value, fire.reason) == ("REFUSED", "IDEMPOTENCY_KEY_REUSED")
    assert len(rig.jobs(name)) == 1


def test_two_servers_fire_each_time_once(rig, url):
    names = rig.add_many([(f"s{n}", EVERY_MINUTE) for n in range(20)], overlap=OverlapPolicy.ALLOW)
    with rig_at(url, rig.clock) as other:
        for _ in range(10):
            rig.clock.move(minutes=1)
            both(rig, other)
    for name in names:
        assert rig.nominals(name) == [START + timedelta(minutes=n) for n in range(1, 11)]


def both(first: Rig, second: Rig) -> None:
    """Both servers decide about the same reading of what is due."""
    due = [
        one.database.read_now(
            lambda c: schedules.due(c, now=first.clock.now(), after=schedules.Place(), limit=100)
        )
        for one in (first, second)
    ]
    orders = [
        one.ticker._order(schedule)
        for one, page in zip((first, second), due, strict=True)
        for schedule in page
    ]
    for order in orders:
        order.result(30)


def test_a_refused_submit_is_shown_and_the_next_time_is_tried(rig):
    name = rig.add(HOURLY)
    close(rig)
    rig.run(at("03-02T13:00:00"))
    [fire] = rig.get(name).fires
    assert (fire.outcome.value, fire.reason) == ("REFUSED", "QUEUE_CLOSED")
    assert "closed" in fire.message
    close(rig, state=QueueState.OPEN)
    rig.run(at("03-02T14:00:00"))
    assert rig.nominals(name) == [at("03-02T14:00:00")]


def test_a_submit_over_the_quota_is_shown(rig):
    name = rig.add(HOURLY, overlap=OverlapPolicy.ALLOW)
    rig.database.write(
        lambda t: change_limits(
            t, "demo", given={"queued": 1}, metrics=None, etag="", now=rig.clock.now()
        )
    ).result(30)
    rig.run(at("03-02T14:00:00"))
    assert len(rig.jobs(name)) == 1
    refused = rig.get(name).fires[0]
    assert (refused.outcome.value, refused.reason) == ("REFUSED", "QUOTA_EXCEEDED")


def test_a_template_that_no_longer_can_be_submitted_is_shown(rig):
    name = rig.add(HOURLY)
    schedule = rig.get(name)
    plan = schedule.plan
    spec = replace(plan.template.spec, kind="nonesuch")
    rig.put(replace(schedule, plan=replace(plan, template=replace(plan.template, spec=spec))))
    rig.run(at("03-02T13:00:00"))
    [fire] = rig.get(name).fires
    assert (fire.outcome.value, fire.reason) == ("REFUSED", "UNKNOWN_KIND")


def test_failures_in_a_row_pause_as_soon_as_the_last_of_them_ends(rig):
    name = rig.add(HOURLY, pause_after_failures=2)
    for hour in (13, 14):
        rig.run(at(f"03-02T{hour}:00:00"))
        rig.end(rig.jobs(name)[-1], failed=True)
    rig.settle()
    schedule = rig.get(name)
    assert schedule.plan.paused
    assert schedule.plan.pause_reason == "2 jobs in a row failed"
    assert schedule.next_at is None
    assert schedule.version == 2
    rig.run(at("03-03T14:00:00"), every=timedelta(hours=1))
    assert len(rig.jobs(name)) == 2


def test_a_success_and_a_cancel_stand_between_failures_each_in_its_way(rig):
    name = rig.add(HOURLY, pause_after_failures=2)
    endings = ["failed", "well", "failed", "cancelled", "failed"]
    for hour, ending in enumerate(endings, 13):
        rig.run(at(f"03-02T{hour}:00:00"))
        job = rig.jobs(name)[-1]
        rig.cancel(job) if ending == "cancelled" else rig.end(job, failed=ending == "failed")
        assert not rig.get(name).plan.paused
    rig.settle()
    assert rig.get(name).plan.paused


def test_jitter_delays_every_fire_and_loses_none(rig):
    name = rig.add(EVERY_MINUTE, jitter_s=3600, overlap=OverlapPolicy.ALLOW, catchup_s=60)
    rig.run(START + timedelta(minutes=31), every=timedelta(seconds=5))
    assert rig.nominals(name)[:30] == [START + timedelta(minutes=n) for n in range(1, 31)]
    delays = {fire.decided_at - fire.nominal_at for fire in rig.get(name).fires}
    assert len(delays) > 1
    assert max(delays) <= timedelta(seconds=65)


def test_of_ten_thousand_schedules_all_that_are_due_fire_and_no_other(tmp_path):
    with rig_at(f"sqlite:///{tmp_path / 'jobs.db'}") as rig:
        rig.add_many([(f"s{n}", "0 13 * * *" if n % 8 else "0 14 * * *") for n in range(1_500)])
        rig.add_many([(f"t{n}", "0 0 1 1 *") for n in range(8_500)])
        rig.clock.at = at("03-02T13:00:00")
        # One step is bounded, and says that there is more to do.
        assert rig.step()
        rig.settle()
        fired = rig.database.read_now(lambda c: c.exec_driver_sql("SELECT count(*) FROM jobs"))
        assert fired.scalar() == sum(1 for n in range(1_500) if n % 8)


def test_one_schedule_that_cant_be_decided_holds_up_no_other(rig, caplog):
    broken, sound = rig.add_many([("a", HOURLY), ("b", HOURLY)])
    prepare = rig.firing.prepare

    def fail(schedule):
        if schedule.name == broken:
            raise ValueError("a defect")
        return prepare(schedule)

    rig.firing.prepare = fail
    rig.clock.at = at("03-02T13:00:00")
    rig.step()
    assert len(rig.jobs(sound)) == 1
    assert not rig.jobs(broken)
    assert "schedule.not_decided" in caplog.messages
    rig.firing.prepare = prepare
    rig.settle()
    assert len(rig.jobs(broken)) == 1


def test_a_schedule_that_changed_since_it_was_read_is_looked_at_again(rig):
    name = rig.add(HOURLY)
    rig.clock.at = at("03-02T13:00:00")
    read = rig.get(name)
    rig.put(replace(read, version=2))
    assert rig.ticker._order(read).result(30) is None
    assert not rig.jobs(name)
    rig.settle()
    assert len(rig.jobs(name)) == 1


def test_what_is_not_due_costs_no_look(rig):
    rig.add_many([(f"s{n}", "0 0 1 1 *") for n in range(500)])
    looked = []
    rig.ticker._order = looked.append
    rig.clock.move(days=30)
    rig.settle()
    assert not looked


def test_the_time_of_everything_is_utc(rig):
    name = rig.add("0 6 * * MON-FRI", time_zone="America/New_York")
    rig.run(at("03-03T12:00:00"), every=timedelta(minutes=30))
    assert rig.nominals(name) == [at("03-03T11:00:00")]
    assert rig.get(name).fires[0].nominal_at.utcoffset() == timedelta(0)
