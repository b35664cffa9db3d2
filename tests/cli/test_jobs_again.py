"""Jobs changed, set side by side, submitted again and removed, on a real server."""

import csv
import json
import uuid

import pytest


@pytest.fixture
def project(plane, monkeypatch):
    """Project of this test alone, on the server of all of them."""
    name = f"p{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("JOBPLANE_ADDRESS", plane)
    monkeypatch.setenv("JOBPLANE_PROJECT", name)
    return name


@pytest.fixture
def submit(cli, project):
    """Submit a probe and give its id, once it has ended."""

    def submitted(*arguments):
        ran = cli("submit", "--kind", "probe", "-p", "steps=2", *arguments, "--wait", "-q")
        assert ran.code == 0, ran.err
        return ran.out.split()[0]

    return submitted


@pytest.fixture
def waiting(cli, project):
    """Give the id of a job that waits in a queue of its own."""
    cli("queues", "cordon", f"q{project}")
    ran = cli("submit", "--kind", "probe", "--queue", f"q{project}", "--label", "a=b", "-q")
    return ran.out.strip()


def job(cli, job_id):
    return json.loads(cli("describe", job_id, "-o", "json").out)


def test_a_resubmit_changes_what_is_said_and_keeps_the_rest(cli, submit):
    first = submit("--label", "team=q", "--priority", "700")
    ran = cli("resubmit", first, "-p", "steps=4", "--label", "try=2", "--wait", "-o", "json")
    again = json.loads(ran.out)
    assert (ran.code, again["job_id"] != first) == (0, True)
    assert (again["spec"]["probe"]["steps"], again["priority"]) == (4, 700)
    assert again["labels"] == {"team": "q", "try": "2"}


def test_a_resubmit_that_is_only_checked_shows_the_spec(cli, submit):
    first = submit()
    ran = cli("resubmit", first, "-p", "steps=4", "--dry-run")
    assert json.loads(ran.out)["probe"]["steps"] == 4
    assert cli("resubmit", first, "-p", "steps=-4", "--dry-run").code == 2
    assert cli("count").out == "1\n"


def test_a_diff_tells_the_fields_that_differ(cli, submit):
    one, other = submit("--label", "a=1"), submit("-p", "gaps=1", "--label", "a=2")
    ran = cli("diff", one, other)
    assert [line.split() for line in ran.out.splitlines()[1:]] == [
        ["labels.a", "1", "2"],
        ["spec.probe.gaps", "-", "1"],
    ]
    assert json.loads(cli("diff", one, other, "-o", "json").out)[0]["field"] == "labels.a"
    assert "do not differ" in cli("diff", one, one).err


def test_metrics_are_compared_in_columns(cli, submit):
    jobs = [submit("-p", "metrics=true"), submit("-p", "metrics=true", "-p", "gaps=1")]
    rows = list(csv.reader(cli("compare", *jobs, "-o", "csv").out.splitlines()))
    assert [row[0] for row in rows] == ["job", *jobs]
    assert len(rows[0]) > 4
    named = cli("compare", *jobs, "--metric", rows[0][4], "-o", "json")
    assert list(json.loads(named.out)[0]["metrics"]) == [rows[0][4]]


def test_a_waiting_job_gets_another_priority_queue_and_labels(cli, project, waiting):
    assert cli("priority", waiting, "900", "--dry-run").code == 0
    assert job(cli, waiting)["priority"] != 900
    assert cli("priority", waiting, "900").code == 0
    changed = ("--queue", f"r{project}", "--label", "c=d", "--no-label", "a", "-o", "json")
    cli("queues", "cordon", f"r{project}")
    found = json.loads(cli("update", waiting, *changed).out)
    assert (found["priority"], found["queue"]) == (900, f"r{project}")
    assert found["labels"] == {"c": "d"}
    assert cli("update", waiting).code == 2


@pytest.mark.parametrize("command", [["pause"], ["cancel"], ["priority", "1"]])
def test_a_dry_run_leaves_the_job_as_it_is(cli, waiting, command):
    before = job(cli, waiting)
    ran = cli(command[0], waiting, *command[1:], "--dry-run")
    assert (ran.code, "--dry-run" in ran.err) == (0, True)
    assert job(cli, waiting)["sequence"] == before["sequence"]


def test_only_a_finished_job_is_deleted_and_only_when_meant(cli, submit, waiting):
    done = submit()
    assert "cancel it first" in cli("delete", waiting, "-y").err
    assert cli("delete", done, "--dry-run").code == 0
    assert "--yes" in cli("delete", done).err
    assert cli("delete", done, "-y").code == 0
    assert cli("describe", done).code == 5


def test_a_submit_prints_the_log_and_exits_as_the_job_ended(cli, project):
    ran = cli("submit", "--kind", "probe", "-p", "log_bytes=300", "--logs")
    assert (ran.code, len(ran.out) >= 300) == (0, True)
    assert "SUCCEEDED" in ran.err
    failing = ("-p", "fail_at_step=1", "-p", "failure_mode=FAILURE_MODE_RAISE")
    assert cli("submit", "--kind", "probe", *failing, "--logs").code == 1


def test_a_submit_may_return_once_the_job_runs(cli, project):
    slow = ("-p", "steps=600", "-p", "step_duration=0.1s")
    ran = cli("submit", "--kind", "probe", *slow, "--wait", "--until", "running", "-q")
    assert (ran.code, ran.out.split()[1]) == (0, "RUNNING")
    assert cli("watch", ran.out.split()[0], "--until", "running").code == 0
    assert cli("cancel", ran.out.split()[0], "--force").code == 0


def test_log_lines_can_be_those_of_late(cli, submit):
    done = submit("-p", "log_bytes=300")
    assert cli("logs", done, "--since", "10m").out
    assert cli("logs", done, "--since", "0").out == ""


def test_a_list_is_sorted_by_short_names_and_filtered_by_owner(cli, submit):
    jobs = [submit("--priority", "1"), submit("--priority", "2")]
    assert cli("ls", "--sort", "priority", "-q").out.split() == jobs
    assert cli("ls", "--sort", "-priority", "-q").out.split() == jobs[::-1]
    assert cli("ls", "--owner", "nobody", "-q").out == ""


def test_a_list_as_csv_has_every_field_and_no_formula(cli, submit):
    submit("-p", "metrics=true", "--label", "team==1+1")
    [row] = csv.DictReader(cli("ls", "-o", "csv").out.splitlines())
    assert (row["status"], row["labels.team"]) == ("SUCCEEDED", "'=1+1")
    assert row["create_time"].endswith("Z")
