"""What goes to stdout, what to stderr, and in which form."""

import json

import pytest
from google.rpc import error_details_pb2 as details

from jobplane.v1 import job_pb2, kind_service_pb2
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import give_artifact, rich_status


@pytest.fixture
def done(server):
    return server.add(run_to_end(new_job("job-done")))


@pytest.mark.usefixtures("server")
def test_a_submit_prints_the_job_and_says_what_may_come_next(cli):
    ran = cli("submit", "--kind", "probe", "--key", "k")
    assert ran.out == "job job-1  kind=probe  project=default  key=k\n"
    assert "jobplane watch job-1" in ran.err


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [(["-q"], "job-1\n"), (["-o", "name"], "projects/default/jobs/job-1\n")],
)
def test_a_submit_can_print_the_id_alone(cli, flags, expected):
    assert cli("submit", "--kind", "probe", *flags).out == expected


def test_parameters_reach_the_server_with_the_types_of_the_contract(cli, server):
    cli("submit", "--kind", "probe", "-p", "steps=3", "-p", "step_duration=1.5s",
        "-p", "metrics=true", "--set", "policy.max_attempts=2", "--set", "display_name=7",
        "--label", "team=q", "--priority", "10")  # fmt: skip
    request = server.requests("SubmitJob")[0]
    assert request.spec.probe.steps == 3
    assert request.spec.probe.step_duration.ToMilliseconds() == 1500
    assert request.spec.probe.metrics
    assert request.spec.policy.max_attempts == 2
    assert request.spec.display_name == "7"
    assert dict(request.labels) == {"team": "q"}
    assert request.priority == 10


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spec.json", '{"probe": {"steps": 4}, "displayName": "x"}'),
        ("spec.toml", 'display_name = "x"\n[probe]\nsteps = 4\n'),
    ],
)
def test_a_spec_may_be_a_file_that_parameters_change(cli, server, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert cli("submit", str(tmp_path / name), "-p", "gaps=1").code == 0
    spec = server.requests("SubmitJob")[0].spec
    assert (spec.probe.steps, spec.probe.gaps, spec.display_name) == (4, 1, "x")


def test_a_spec_may_come_from_stdin(process, server):
    assert process("submit", "-", stdin='{"probe": {"steps": 4}}').code == 0
    assert server.requests("SubmitJob")[0].spec.probe.steps == 4


def test_an_unknown_kind_goes_as_custom(cli, server):
    cli("submit", "--kind", "sentiment", "-p", "text=good", "-p", "top.k=3")
    custom = server.requests("SubmitJob")[0].spec.custom
    assert custom.kind == "sentiment"
    assert custom.params["text"] == "good"
    assert custom.params["top"]["k"] == 3


def test_a_foreign_kind_goes_in_the_version_that_the_server_has(cli, server):
    server.kinds.append(kind_service_pb2.Kind(name="kinds/sentiment", schema_version="7"))
    cli("submit", "--kind", "sentiment", "-p", "text=good")
    cli("submit", "--kind", "sentiment", "--set", "custom.schema_version=6")
    sent = [request.spec.custom.schema_version for request in server.requests("SubmitJob")]
    assert sent == ["7", "6"]


def test_validate_only_writes_nothing(cli, server):
    assert cli("submit", "--kind", "probe", "--validate-only").code == 0
    assert server.jobs == {}


@pytest.mark.usefixtures("done")
def test_a_watch_without_a_terminal_is_one_line_per_change(cli):
    ran = cli("watch", "job-done")
    assert ran.out.splitlines() == [
        "job-done QUEUED kind probe",
        "job-done RUNNING",
        "job-done SUCCEEDED 16.0s 3 steps  value=3",
    ]


@pytest.mark.usefixtures("done")
def test_a_quiet_watch_is_the_final_line_alone(cli):
    ran = cli("watch", "@latest", "-q")
    assert ran.out == "job-done SUCCEEDED 16.0s 3 steps  value=3\n"
    assert ran.err == ""


@pytest.mark.usefixtures("done")
def test_a_watch_as_jsonl_is_every_event_and_the_job(cli):
    lines = [json.loads(line) for line in cli("watch", "job-done", "-o", "jsonl").out.splitlines()]
    assert [line["type"] for line in lines[:3]] == [
        "submitted",
        "status_changed",
        "attempt_started",
    ]
    assert lines[-1]["job_id"] == "job-done"


def test_a_watch_from_a_sequence_tells_only_what_came_later(cli, done):
    ran = cli("watch", "job-done", "-o", "jsonl", "--from-seq", str(done.wire.sequence - 1))
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line.get("type", "job") for line in lines] == ["finished", "job"]


@pytest.mark.usefixtures("done")
def test_a_live_watch_draws_a_bar_and_leaves_its_lines(cli):
    ran = cli("watch", "job-done", "--progress", "always", "--color", "never")
    assert " 00:00  QUEUED" in ran.out
    assert "steps        done" in ran.out
    assert "job-done SUCCEEDED" in ran.out


@pytest.mark.usefixtures("done")
def test_a_result_is_json_on_stdout(cli):
    assert json.loads(cli("result", "job-done").out)["metrics"] == {"value": 3.0}


def test_a_failed_result_leaves_stdout_empty(cli, server):
    server.add(run_to_end(new_job("bad"), job_pb2.JOB_STATUS_FAILED))
    ran = cli("result", "bad", "-o", "json")
    assert ran.out == ""
    assert json.loads(ran.err)["reason"] == "PROBE_FAILED"


def test_an_error_as_json_has_all_its_members(cli, server):
    violation = details.BadRequest.FieldViolation(field="spec.probe.steps", description="too big")
    server.refuse(
        "SubmitJob",
        rich_status(
            "INVALID_ARGUMENT",
            "INVALID_SPEC",
            "1 field is wrong",
            details.BadRequest(field_violations=[violation]),
        ),
    )
    told = json.loads(cli("submit", "--kind", "probe", "-o", "json").err)
    assert set(told) == {"code", "reason", "message", "violations", "request_id", "hint"}
    assert told["violations"][0]["field"] == "spec.probe.steps"
    assert told["request_id"] == "req-1"


def test_wrong_usage_is_json_too(cli):
    assert json.loads(cli("ls", "--nonsense", "-o", "json").err)["reason"] == "USAGE"


@pytest.mark.usefixtures("done")
def test_a_list_is_a_table_with_its_summary_on_stderr(cli, server):
    server.add(new_job("job-new"))
    ran = cli("ls")
    head, first, second = ran.out.splitlines()
    assert head.split() == [
        "ID",
        "KIND",
        "STATUS",
        "PROG",
        "ATT",
        "AGE",
        "DURATION",
        "OWNER",
        "INFO",
    ]
    assert first.startswith("job-new ")
    assert "SUCCEEDED" in second
    assert ran.err == "2 jobs · 1 queued · 1 succeeded\n"


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize(
    ("form", "expected"),
    [("name", "projects/default/jobs/job-done\n"), ("wide", "QUEUE"), ("json", '"job_id"')],
)
def test_a_list_has_other_forms(cli, form, expected):
    assert expected in cli("ls", "-o", form).out


def test_a_list_says_that_there_is_more(cli, server):
    for number in range(3):
        server.add(new_job(f"j{number}"))
    ran = cli("ls", "--limit", "2")
    assert len(ran.out.splitlines()) == 3
    assert "there are more" in ran.err


def test_list_options_become_one_filter(cli, server):
    cli("ls", "--status", "failed,running", "--kind", "hpo", "--label", "team=nlp",
        "--filter", "priority > 3", "--queue", 'a"b')  # fmt: skip
    assert server.requests("ListJobs")[0].filter == (
        'priority > 3 AND (status = FAILED OR status = RUNNING) AND kind = "hpo"'
        ' AND queue = "a\\"b" AND labels.team = "nlp"'
    )


def test_a_filter_of_its_own_is_sent_as_it_stands(cli, server):
    cli("ls", "--filter", "bogus = 1")
    assert server.requests("ListJobs")[0].filter == "bogus = 1"


@pytest.mark.usefixtures("done")
def test_counts_come_in_a_table_by_value(cli, server):
    server.add(new_job("job-new"))
    assert cli("count").out == "2\n"
    assert cli("count", "--by", "status").out.splitlines()[1:] == [
        "QUEUED     1",
        "SUCCEEDED  1",
    ]


def test_describe_tells_the_cause_first(cli, server):
    server.add(run_to_end(new_job("bad"), job_pb2.JOB_STATUS_FAILED))
    lines = cli("describe", "bad").out.splitlines()
    assert lines[1].startswith("Status    FAILED")
    assert lines[2].startswith("Why       PROBE_FAILED told to fail")


def test_events_are_the_history(cli, done):
    numbers = [int(line.split()[0]) for line in cli("events", "job-done").out.splitlines()[1:]]
    assert numbers == list(range(1, done.wire.sequence + 1))


def test_a_prefix_stands_for_the_one_id_that_has_it(cli, server):
    server.add(run_to_end(new_job("0123abcd-1")))
    server.add(run_to_end(new_job("0456abcd-1")))
    assert "0123abcd-1" in cli("describe", "012").out


def test_a_prefix_of_several_ids_is_refused_with_their_names(cli, server):
    server.add(run_to_end(new_job("0123a")))
    server.add(run_to_end(new_job("0123b")))
    ran = cli("cancel", "0123")
    assert ran.code == 2
    assert "0123a" in ran.err
    assert "0123b" in ran.err
    assert server.requests("CancelJob") == []


@pytest.mark.usefixtures("server")
def test_latest_of_an_empty_project_says_how_to_make_one(cli):
    ran = cli("watch", "@latest")
    assert ran.code == 5
    assert "jobplane submit" in ran.err


def test_a_dry_run_cancels_nothing(cli, server):
    server.add(new_job("a"))
    assert cli("cancel", "a", "--dry-run").code == 0
    assert server.requests("CancelJob") == []


def test_steering_prints_the_job_as_it_is_then(cli, server):
    server.add(new_job("a"))
    assert "PAUSED" in cli("pause", "a").out
    assert "QUEUED" in cli("resume", "a").out
    assert "CANCELLED" in cli("cancel", "a").out
    assert cli("retry", "a", "-q").out == "job-2\n"


def test_an_answer_without_a_terminal_says_what_is_asked(cli, server):
    job = server.add(new_job("a"))
    job.wire.pending_input.input_id = "q"
    job.wire.pending_input.prompt = "Go on?"
    job.wire.pending_input.questions.add(id="proceed", choices=["yes", "no"])
    ran = cli("answer", "a")
    assert ran.code == 2
    assert "-a proceed=" in ran.err
    assert cli("answer", "a", "-a", "proceed=yes").code == 0
    assert dict(server.requests("ProvideJobInput")[0].answers) == {"proceed": "yes"}


def test_wait_takes_several_jobs_and_exits_as_the_first_that_did_not_succeed(cli, server):
    server.add(run_to_end(new_job("good")))
    server.add(run_to_end(new_job("bad"), job_pb2.JOB_STATUS_TIMED_OUT))
    ran = cli("wait", "good", "bad")
    assert ran.code == 4
    assert [line.split()[0] for line in ran.out.splitlines()] == ["good", "bad"]


def test_wait_for_any_returns_with_the_first_end(cli, server):
    server.add(new_job("slow"))
    server.add(run_to_end(new_job("fast")))
    ran = cli("wait", "slow", "fast", "--any")
    assert (ran.code, ran.out.split()[0]) == (0, "fast")


def test_artifacts_are_listed_saved_and_printed(cli, done, tmp_path):
    give_artifact(done, "tables/a.csv", b"x,y\n1,2\n")
    assert "tables/a.csv" in cli("artifacts", "ls", "job-done").out
    ran = cli("artifacts", "get", "job-done", "--all", "-d", str(tmp_path))
    assert ran.out == f"{tmp_path / 'tables/a.csv'}\n"
    assert (tmp_path / "tables/a.csv").read_bytes() == b"x,y\n1,2\n"


def test_an_artifact_is_printed_byte_by_byte(process, done):
    give_artifact(done, "a.txt", b"all of it")
    assert process("artifacts", "cat", "job-done", "a.txt").out == "all of it"


def test_an_artifact_whose_name_leads_elsewhere_is_not_saved(cli, done, tmp_path):
    give_artifact(done, "../evil", b"x")
    folder = tmp_path / "in"
    assert cli("artifacts", "get", "job-done", "--all", "-d", str(folder)).code == 2
    assert not (tmp_path / "evil").exists()


@pytest.mark.usefixtures("server")
def test_kinds_are_listed_shown_and_exemplified(cli):
    listed = cli("kinds", "ls").out
    assert "probe" in listed
    assert cli("kinds").out == listed
    assert cli("kinds", "-o", "name").out == "kinds/probe\n"
    assert "step_duration" in cli("kinds", "show", "probe").out
    example = cli("kinds", "example", "probe").out
    assert json.loads(example)["probe"]["steps"] is None


@pytest.mark.usefixtures("server")
def test_an_example_can_be_submitted_as_it_is(cli, tmp_path):
    (tmp_path / "spec.json").write_text(cli("kinds", "example", "probe").out)
    assert cli("submit", str(tmp_path / "spec.json")).code == 0


@pytest.mark.usefixtures("done")
def test_any_method_can_be_called_by_reflection(cli, server):
    server.reflect()
    assert "jobplane.v1.JobService/GetJob" in cli("api").out
    ran = cli("api", "GetJob", '{"name": "projects/default/jobs/job-done"}')
    assert json.loads(ran.out)["job"]["status"] == "JOB_STATUS_SUCCEEDED"


@pytest.mark.usefixtures("done")
def test_a_stream_called_by_reflection_is_one_object_per_line(cli, server):
    server.reflect()
    request = '{"name": "projects/default/jobs/job-done", "after_sequence": 0}'
    ran = cli("api", "jobplane.v1.JobService/WatchJob", request)
    assert json.loads(ran.out.splitlines()[-1])["end"]["reason"] == "REASON_FINISHED"


@pytest.mark.parametrize("arguments", [["NoSuch"], ["GetJob", '{"nam": "x"}'], ["GetJob", "{"]])
def test_a_wrong_call_by_reflection_is_wrong_usage(cli, server, arguments):
    server.reflect()
    assert cli("api", *arguments).code == 2


def test_contexts_are_kept_used_and_shown_without_their_token(cli, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    assert cli("context", "set", "prod", "--address", "db:1", "--project", "p", "--tls",
               "--token-file", str(tmp_path / "token")).code == 0  # fmt: skip
    assert cli("context", "set", "dev", "--address", "127.0.0.1:2").code == 0
    assert cli("context", "use", "dev").code == 0
    shown = json.loads(cli("context", "show", "--context", "prod", "-o", "json").out)
    assert (shown["address"], shown["token"]) == ("db:1", "set")
    assert json.loads(cli("context", "show", "-o", "json").out)["address"] == "127.0.0.1:2"
    assert (tmp_path / "contexts.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(cli, shell):
    assert "_JOBPLANE_COMPLETE" in cli("completion", shell).out


def test_the_version_is_that_of_the_distribution(cli):
    assert cli("version").out.startswith("client ")


def test_help_names_every_command_and_loads_no_grpc(process):
    from jobplane.cli import main

    ran = process("--help")
    assert all(f"\n  {name} " in ran.out for name in main.COMMANDS)


@pytest.mark.parametrize("command", ["dev", "submit", "watch", "wait", "result", "ls", "api"])
def test_every_command_has_help(cli, command):
    ran = cli(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith("Usage: jobplane")
