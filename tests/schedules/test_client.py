"""Both clients and the command line, against a real server."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from jobplane.cli.main import run
from jobplane.client import AsyncClient, Client, errors
from tests.schedules.schedule_server import NAME

SPEC = {"probe": {"isolation": "ISOLATION_THREAD"}}


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path, server):
    for name in ("PROJECT", "TOKEN", "CONTEXT", "TLS", "CA_FILE"):
        monkeypatch.delenv(f"JOBPLANE_{name}", raising=False)
    monkeypatch.setenv("JOBPLANE_CONFIG", str(tmp_path / "contexts.json"))
    monkeypatch.setenv("JOBPLANE_ADDRESS", server.address)
    monkeypatch.setenv("JOBPLANE_PROJECT", "demo")


@pytest.fixture
def cli(capsys):
    def ran(*arguments, code=0):
        ended = run(["schedules", *arguments])
        told = capsys.readouterr()
        assert ended == code, told.err
        return told.out if code == 0 else told.err

    return ran


def test_a_client_keeps_and_fires_schedules():
    with Client() as client:
        made = client.create_schedule(
            "nightly", SPEC, cron="0 2 * * *", overlap="allow", jitter=90.5, queue="slow"
        )
        assert (made.name, made.template.queue, made.jitter.nanos) == (NAME, "slow", 500_000_000)
        changed = client.update_schedule(NAME, cron="0 3 * * *", paused=True, etag=made.etag)
        assert (changed.cron, changed.paused) == ("0 3 * * *", True)
        assert client.schedule("nightly") == changed
        assert list(client.schedules()) == [changed]
        job = client.trigger_schedule("nightly", idempotency_key="k")
        assert client.trigger_schedule("nightly", idempotency_key="k").deduplicated
        assert job.wire.schedule == NAME
        client.delete_schedule("nightly")
        with pytest.raises(errors.NotFound):
            client.schedule("nightly")


def test_an_async_client_does_the_same():
    async def scenario():
        async with AsyncClient() as client:
            await client.create_schedule("nightly", SPEC, cron="0 2 * * *")
            changed = await client.update_schedule("nightly", pause_after_failures=2)
            assert changed.pause_after_failures == 2
            assert [one.name async for one in client.schedules()] == [NAME]
            assert (await client.trigger_schedule("nightly")).wire.schedule == NAME
            assert (await client.schedule("nightly")).recent_jobs
            await client.delete_schedule("nightly")
            after = datetime(2026, 1, 1, tzinfo=UTC)
            times = await client.preview_schedule("0 2 * * *", count=1, after=after)
            assert times == [datetime(2026, 1, 1, 2, tzinfo=UTC)]

    asyncio.run(scenario())


def test_a_client_refuses_what_can_be_seen_to_be_wrong():
    with Client() as client:
        with pytest.raises(errors.InvalidSpec, match="neither a schedule id"):
            client.schedule("a/b")
        with pytest.raises(errors.InvalidSpec, match="none of skip, queue_one"):
            client.create_schedule("s", SPEC, cron="0 2 * * *", overlap="never")
        with pytest.raises(errors.InvalidSpec, match="must come with a spec"):
            client.update_schedule("s", queue="slow")
        with pytest.raises(errors.InvalidSpec, match="column 3: hour"):
            client.create_schedule("s", SPEC, cron="0 25 * * *")


CREATE = ("create", "nightly", "--kind", "probe", "-p", "isolation=ISOLATION_THREAD")


def test_the_command_line_makes_shows_and_lists(cli):
    made = cli(*CREATE, "--cron", "0 6 * * MON-FRI", "--time-zone", "Europe/Berlin",
               "--overlap", "queue_one", "--catchup-window", "1h", "--label", "team=q")  # fmt: skip
    assert made.startswith("schedule nightly  0 6 * * MON-FRI  Europe/Berlin  active\nnext: 2")
    shown = cli("show", "nightly")
    assert "kind: probe\nqueue: default\noverlap: queue_one\ncatch-up window: 1h0m\n" in shown
    assert shown.count("next: ") == 5
    [headers, row] = cli("ls").splitlines()
    assert headers.split() == ["SCHEDULE", "CRON", "ZONE", "STATE", "NEXT", "LAST", "FIRE"]
    assert row.startswith("nightly   0 6 * * MON-FRI  Europe/Berlin  active  2")
    assert cli("ls", "-o", "name") == f"{NAME}\n"
    assert json.loads(cli("show", "nightly", "-o", "json"))["template"]["labels"] == {"team": "q"}


def test_the_command_line_changes_pauses_and_fires(cli):
    cli(*CREATE, "--cron", "0 6 * * *", "--paused")
    assert "active" in cli("resume", "nightly")
    assert "0 7 * * *" in cli("update", "nightly", "--cron", "0 7 * * *", "--jitter", "30s")
    assert "paused: holiday\nnext: -\n" in cli("pause", "nightly", "--reason", "holiday")
    job_id = cli("trigger", "nightly", "-q").strip()
    shown = cli("show", "nightly")
    assert "jitter: 30.0s" in shown
    assert f"submitted  {job_id}  TRIGGERED triggered by dev" in shown
    assert cli("delete", "nightly") == ""
    assert "nightly does not exist" in cli("show", "nightly", code=5)


def test_the_command_line_previews_a_change_of_clocks(cli):
    told = cli("preview", "30 2 * * *", "--time-zone", "Europe/Berlin", "-n", "2",
               "--after", "2026-03-28T12:00")  # fmt: skip
    assert told == "2026-03-29T01:00:00Z\n2026-03-30T00:30:00Z\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("update", "nightly"), "nothing to change"),
        (("update", "nightly", "-p", "steps=3"), "-p needs FILE or --kind"),
        (("create", "nightly", "--cron", "* * * * *"), "give a FILE"),
        (("preview", "* * * * *", "--after", "soon"), "is no time"),
        ((*CREATE, "--cron", "* * * * *", "--jitter", "soon"), "is no time span"),
    ],
)
def test_wrong_usage_exits_2_and_says_what(cli, arguments, said):
    assert said in cli(*arguments, code=2)
