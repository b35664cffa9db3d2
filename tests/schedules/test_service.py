"""ScheduleService over a real server and a real engine."""

import time
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.v1 import job_service_pb2, quota_service_pb2, quota_service_pb2_grpc
from jobplane.v1 import schedule_service_pb2 as wire
from tests.schedules.schedule_server import NAME, THREAD, creation, probe_template, updating
from tests.service.library_server import refusal


def eventually(check, within_s=20.0):
    ends_at = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < ends_at, "it never came to be"
        time.sleep(0.02)
    return found


def moments(times):
    return [time.ToDatetime(tzinfo=UTC) for time in times]


def test_a_schedule_comes_back_as_it_was_given_with_its_defaults(server):
    made = server.create(
        cron="0 6 * * MON-FRI",
        time_zone="Europe/Berlin",
        template=probe_template(queue="slow", labels={"team": "q"}, priority=7),
        pause_after_failures=3,
    )
    assert made == server.get()
    assert (made.name, made.time_zone, made.creator) == (NAME, "Europe/Berlin", "dev")
    assert made.overlap_policy == wire.OVERLAP_POLICY_SKIP
    assert (made.catchup_window.seconds, made.jitter.seconds) == (60, 0)
    assert made.etag == '"1"'
    template = made.template
    assert (template.project, template.queue, template.priority) == ("demo", "slow", 7)
    assert made.template.spec.probe.isolation == THREAD
    assert len(made.next_times) == 5
    assert not made.recent_jobs


def test_a_second_schedule_of_a_name_is_refused(server):
    server.create()
    refused = refusal(server.stub.CreateSchedule, creation(), timeout=20)
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "ALREADY_EXISTS")
    assert refused.details["ResourceInfo"].resource_name == NAME


@pytest.mark.parametrize("method", ["GetSchedule", "DeleteSchedule", "TriggerSchedule"])
def test_an_unknown_schedule_is_not_found(server, method):
    request = getattr(wire, f"{method}Request")(name=NAME)
    refused = refusal(getattr(server.stub, method), request, timeout=20)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")


def test_an_update_of_an_unknown_schedule_is_not_found(server):
    refused = refusal(server.stub.UpdateSchedule, updating("paused", paused=True), timeout=20)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"cron": "61 * * * *"}, "schedule.cron", "column 1: minute: 61"),
        ({"cron": "0 0 31 2 *"}, "schedule.cron", "names a day that none of the months has"),
        ({"cron": "* * *"}, "schedule.cron", "must have five fields"),
        ({"time_zone": "Europe/Berln"}, "schedule.time_zone", "did you mean Europe/Berlin"),
        ({"template": probe_template(job_id="j")}, "schedule.template.job_id", "must be unset"),
        (
            {"template": probe_template(idempotency_key="k")},
            "schedule.template.idempotency_key",
            "must be unset",
        ),
        (
            {"template": probe_template(validate_only=True)},
            "schedule.template.validate_only",
            "must be unset",
        ),
        (
            {"template": probe_template(project="other")},
            "schedule.template.project",
            "must be 'demo' or empty",
        ),
        ({"template": probe_template(queue="NO")}, "schedule.template.queue", "must match"),
        (
            {"template": job_service_pb2.SubmitJobRequest()},
            "schedule.template.spec",
            "",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_field(server, fields, field, said):
    refused = refusal(server.stub.CreateSchedule, creation(**fields), timeout=20)
    assert refused.code == "INVALID_ARGUMENT"
    assert refused.fields == [field]
    assert said in refused.details["BadRequest"].field_violations[0].description


def test_a_template_is_needed(server):
    request = creation()
    request.schedule.ClearField("template")
    refused = refusal(server.stub.CreateSchedule, request, timeout=20)
    assert refused.fields == ["schedule.template"]


def test_a_template_is_held_to_the_rules_of_its_kind(server):
    template = probe_template()
    template.spec.inputs["nonesuch"].artifact = "projects/demo/artifacts/" + "0" * 64
    refused = refusal(server.stub.CreateSchedule, creation(template=template), timeout=20)
    assert refused.fields == ["schedule.template.spec.inputs[nonesuch]"]


def test_an_unknown_kind_is_refused(server):
    template = job_service_pb2.SubmitJobRequest()
    template.spec.custom.kind = "nonesuch"
    refused = refusal(server.stub.CreateSchedule, creation(template=template), timeout=20)
    assert refused.reason == "UNKNOWN_KIND"


def test_a_closed_queue_refuses_no_schedule_but_its_fires(server):
    quotas = quota_service_pb2_grpc.QuotaServiceStub(server.channel)
    quotas.SetQueueState(
        quota_service_pb2.SetQueueStateRequest(
            name="queues/default", state=quota_service_pb2.QUEUE_STATE_CLOSED
        ),
        timeout=20,
    )
    server.create()
    refused = refusal(server.trigger)
    assert refused.reason == "QUEUE_CLOSED"
    server.make_due()
    fire = eventually(lambda: server.get().recent_fires)[0]
    assert (fire.outcome, fire.reason) == (wire.ScheduleFire.OUTCOME_REFUSED, "QUEUE_CLOSED")


def test_a_due_schedule_fires_and_its_job_runs(server):
    server.create()
    nominal = server.make_due()
    shown = eventually(lambda: server.get() if server.get().recent_jobs else None)
    [fire] = shown.recent_fires
    assert fire.nominal_time.ToDatetime(tzinfo=UTC) == nominal
    assert (fire.outcome, fire.job) == (wire.ScheduleFire.OUTCOME_SUBMITTED, shown.recent_jobs[0])
    assert shown.etag == '"1"'
    job = server.jobs.WaitJob(
        job_service_pb2.WaitJobRequest(name=fire.job, timeout={"seconds": 20}), timeout=25
    ).job
    assert (job.schedule, job.creator, job.done) == (NAME, "dev", True)
    counted = server.jobs.CountJobs(
        job_service_pb2.CountJobsRequest(project="demo", filter=f'schedule = "{NAME}"'), timeout=20
    )
    assert counted.total == 1


def test_an_update_changes_what_its_mask_names(server):
    made = server.create(jitter={"seconds": 5}, pause_after_failures=2)
    changed = server.update("cron", "jitter", cron="*/5 * * * *", pause_after_failures=9)
    assert (changed.cron, changed.jitter.seconds) == ("*/5 * * * *", 0)
    assert changed.pause_after_failures == 2
    assert changed.template == made.template
    assert changed.etag != made.etag
    assert changed == server.get()


def test_an_update_is_checked_as_a_whole(server):
    server.create()
    request = updating("cron", "time_zone", cron="0 0 31 4 *", time_zone="UTC")
    assert refusal(server.stub.UpdateSchedule, request, timeout=20).fields == ["schedule.cron"]
    request = updating("template", template=probe_template(job_id="j"))
    refused = refusal(server.stub.UpdateSchedule, request, timeout=20)
    assert refused.fields == ["schedule.template.job_id"]


def test_an_update_with_an_old_etag_is_refused(server):
    made = server.create()
    server.update("jitter", jitter={"seconds": 1})
    request = updating("jitter", etag=made.etag, jitter={"seconds": 2})
    refused = refusal(server.stub.UpdateSchedule, request, timeout=20)
    assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert server.get().jitter.seconds == 1


def test_a_paused_schedule_has_no_times_until_it_goes_on(server):
    server.create()
    paused = server.update("paused", "pause_reason", paused=True, pause_reason="holiday")
    assert (paused.paused, paused.pause_reason, len(paused.next_times)) == (True, "holiday", 0)
    resumed = server.update("paused", paused=False)
    assert (resumed.paused, resumed.pause_reason, len(resumed.next_times)) == (False, "", 5)


def test_a_trigger_fires_a_paused_schedule_once_by_key(server):
    server.create(paused=True)
    first, again = server.trigger("k"), server.trigger("k")
    assert again.job.name == first.job.name
    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert server.trigger().job.name != first.job.name
    shown = server.get()
    assert first.job.name in shown.recent_jobs
    assert len(shown.recent_jobs) == len(shown.recent_fires) == 2
    assert {fire.reason for fire in shown.recent_fires} == {"TRIGGERED"}
    assert first.job.schedule == NAME


def test_a_deleted_schedule_leaves_its_jobs(server):
    server.create()
    job = server.trigger().job
    server.stub.DeleteSchedule(wire.DeleteScheduleRequest(name=NAME), timeout=20)
    assert refusal(server.get).reason == "NOT_FOUND"
    found = server.jobs.GetJob(job_service_pb2.GetJobRequest(name=job.name), timeout=20)
    assert found.job.schedule == NAME


def test_schedules_are_listed_by_name_page_by_page(server):
    for schedule_id in ("b", "c", "a"):
        server.create(schedule_id)
    server.create("z", project="other")
    listed, token = [], ""
    while True:
        request = wire.ListSchedulesRequest(project="demo", page_size=2, page_token=token)
        page = server.stub.ListSchedules(request, timeout=20)
        listed += [schedule.name.rpartition("/")[2] for schedule in page.schedules]
        token = page.next_page_token
        if not token:
            break
    assert listed == ["a", "b", "c"]
    foreign = wire.ListSchedulesRequest(project="other", page_token="AAAA")
    refused = refusal(server.stub.ListSchedules, foreign, timeout=20)
    assert refused.reason == "INVALID_PAGE_TOKEN"


def test_a_preview_stores_nothing_and_shows_a_change_of_clocks(server):
    after = Timestamp()
    after.FromDatetime(datetime(2026, 3, 28, 1, 30, tzinfo=UTC))
    request = wire.PreviewScheduleRequest(
        cron="30 2 * * *", time_zone="Europe/Berlin", count=3, after=after
    )
    times = moments(server.stub.PreviewSchedule(request, timeout=20).times)
    assert [f"{time:%d %H:%M}" for time in times] == ["28 01:30", "29 01:00", "30 00:30"]
    assert not server.stub.ListSchedules(
        wire.ListSchedulesRequest(project="demo"), timeout=20
    ).schedules


def test_a_preview_shows_five_times_from_now_and_says_what_is_wrong(server):
    request = wire.PreviewScheduleRequest(cron="0 0 * * *")
    times = moments(server.stub.PreviewSchedule(request, timeout=20).times)
    assert len(times) == 5
    assert times == sorted(times)
    assert times[0] > datetime.now(UTC)
    bad = wire.PreviewScheduleRequest(cron="0 25 * * *")
    refused = refusal(server.stub.PreviewSchedule, bad, timeout=20)
    assert refused.fields == ["cron"]


def test_sensitive_values_are_not_in_errors(server):
    template = job_service_pb2.SubmitJobRequest()
    template.spec.custom.kind = "probe"
    template.spec.custom.params["secret"] = "hunter2"
    refused = refusal(server.stub.CreateSchedule, creation(template=template), timeout=20)
    assert "hunter2" not in refused.message + str(refused.details)
