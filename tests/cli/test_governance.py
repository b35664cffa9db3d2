"""Data sets, quotas, queues and changes of jobs, on the command line of a real server."""

import asyncio
import hashlib
import json
import uuid
from pathlib import Path

import pytest

from jobplane.client import AsyncClient, Client, errors, specs

FILE = b"a,b\n1,2\n3,4\n"
DIGEST = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
def project(plane, monkeypatch):
    """Project of this test alone, on the server of all of them."""
    name = f"p{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("JOBPLANE_ADDRESS", plane)
    monkeypatch.setenv("JOBPLANE_PROJECT", name)
    return name


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "trades.csv"
    file.write_bytes(FILE)
    return str(file)


def test_a_file_is_registered_shown_and_listed(cli, project, table):
    made = cli("datasets", "register", "trades@v1", table, "--format", "table", "--label", "a=b")
    assert made.code == 0, made.err
    assert DIGEST in made.out
    shown = json.loads(cli("datasets", "show", "trades@v1", "-o", "json").out)
    assert (shown["sha256"], shown["format"], shown["labels"]) == (DIGEST, "table", {"a": "b"})
    assert cli("datasets", "ls").out.splitlines()[1].startswith("trades@v1  table")
    assert cli("datasets", "ls", "-o", "name").out == f"{shown['name']}\n"


def test_a_repeat_with_other_content_is_refused(cli, project, table, tmp_path):
    assert cli("datasets", "register", "trades@v1", table).code == 0
    assert cli("datasets", "register", "trades@v1", table).code == 0
    (tmp_path / "other.csv").write_text("x\n")
    refused = cli("datasets", "register", "trades@v1", str(tmp_path / "other.csv"))
    assert refused.code == 8
    assert "reason: ALREADY_EXISTS" in refused.err


def test_an_artifact_is_registered_by_its_name(cli, project, table):
    name = cli("artifacts", "put", table).out.strip()
    assert cli("datasets", "register", "trades", name, "-q").out == (
        f"trades@sha256-{DIGEST[:12]}\n"
    )


def test_a_version_must_be_named(cli, project):
    ran = cli("datasets", "show", "trades")
    assert (ran.code, "ID@VERSION" in ran.err) == (2, True)
    assert cli("datasets", "show", "trades@v9").code == 5


def test_a_dry_run_registers_nothing(cli, project, table):
    assert cli("datasets", "register", "trades@v1", table, "--dry-run").code == 0
    assert cli("datasets", "ls", "-o", "json").out == "[]\n"


def test_limits_are_set_shown_and_taken_away(cli, project):
    assert cli("quota", "set", "running=4", "artifact_bytes=10G").code == 0
    rows = [line.split() for line in cli("quota").out.splitlines()]
    assert ["running", "0", "4", "4"] in rows
    assert ["artifact_bytes", "0", "B", "10", "GB", "10", "GB"] in rows
    cli("quota", "set", "running=none")
    assert json.loads(cli("quota", "-o", "json").out)["limits"] == {"artifact_bytes": 1e10}


def test_a_dry_run_of_a_limit_says_what_would_change(cli, project):
    ran = cli("quota", "set", "queued=7", "--dry-run")
    assert ran.out == "queued: none -> 7\n"
    assert "limits" not in json.loads(cli("quota", "-o", "json").out)


@pytest.mark.parametrize(
    ("limit", "told"),
    [("running", "METRIC=LIMIT"), ("running=-1", "from 0"), ("running=much", "a number"),
     ("walking=1", "must be queued"), ("queued=nan", "a number")],
)  # fmt: skip
def test_a_wrong_limit_is_refused_by_name(cli, project, limit, told):
    ran = cli("quota", "set", limit)
    assert (ran.code, told in ran.err) == (2, True)


def test_a_stale_limit_is_not_overwritten(cli, project):
    assert cli("quota", "set", "running=4", "--etag", "stale").code == 8


def test_a_queue_is_cordoned_closed_and_opened(cli, project):
    queue = f"q{project}"
    assert cli("queues", "cordon", queue, "--dry-run").out.split()[-4] == "open"
    assert cli("queues", "cordon", queue, "--reason", "repair").out.splitlines()[1].split() == [
        queue, "cordoned", "0", "0", "-",
    ]  # fmt: skip
    cli("submit", "--kind", "probe", "--queue", queue)
    shown = json.loads(cli("queues", "show", queue, "-o", "json").out)
    assert (shown["state"], shown["queued"]) == ("QUEUE_STATE_CORDONED", "1")
    cli("queues", "close", queue)
    closed = cli("submit", "--kind", "probe", "--queue", queue)
    assert (closed.code, "QUEUE_CLOSED" in closed.err) == (8, True)
    assert cli("queues", "open", queue).code == 0
    assert queue in cli("queues", "-o", "csv").out


def test_artifacts_are_verified_where_they_are_and_where_they_were_saved(cli, project, tmp_path):
    job = cli("submit", "--kind", "probe", "-p", "artifact_bytes=5000", "--wait", "-q").out.split()
    assert job[1] == "SUCCEEDED"
    whole = cli("artifacts", "verify", job[0])
    assert (whole.code, "intact" in whole.out) == (0, True)
    saved = cli("artifacts", "get", job[0], "--all", "-d", str(tmp_path)).out.split()
    assert cli("artifacts", "verify", job[0], "-d", str(tmp_path)).code == 0
    Path(saved[0]).write_bytes(b"other")
    damaged = cli("artifacts", "verify", job[0], "-d", str(tmp_path))
    assert (damaged.code, "damaged" in damaged.out) == (70, True)


def test_a_download_goes_on_where_it_broke_off(cli, project, tmp_path):
    probe = ("--kind", "probe", "-p", "artifact_bytes=5000")
    job = cli("submit", *probe, "--wait", "-q").out.split()[0]
    [path] = cli("artifacts", "get", job, "--all", "-d", str(tmp_path)).out.split()
    content = Path(path).read_bytes()
    for left, code in ((content[:1234], 0), (b"x" * 1234, 70), (b"", 0), (content, 0)):
        Path(f"{path}.part").write_bytes(left)
        assert cli("artifacts", "get", job, "--all", "-d", str(tmp_path)).code == code
    assert Path(path).read_bytes() == content


def test_the_asynchronous_client_has_the_same_calls(plane, project):
    async def calls():
        async with AsyncClient(plane) as client:
            upload = await client.upload(FILE)
            made = await client.register_dataset("d", upload, version="v1")
            assert (await client.dataset("d@v1")).sha256 == made.sha256 == DIGEST
            assert [one.name async for one in client.datasets()] == [made.name]
            assert (await client.update_quota({"queued": 9})).limits["queued"] == 9
            assert (await client.quota()).limits["queued"] == 9
            assert (await client.set_queue_state(f"a{project}", "cordoned")).queued == 0
            assert f"queues/a{project}" in {one.name async for one in client.queues()}
            job = await client.submit(specs.Probe(steps=1), queue=f"a{project}")
            changed = await client.update(job, priority=7, labels={"x": "y"})
            assert (changed.wire.priority, dict(changed.wire.labels)) == (7, {"x": "y"})
            await client.cancel(job)
            await client.delete(job)
            with pytest.raises(errors.NotFound):
                await client.get(job)

    asyncio.run(calls())


def test_what_is_wrong_with_a_change_is_said_before_it_is_sent(plane, project):
    with Client(plane) as client:
        with pytest.raises(errors.InvalidSpec, match="nothing to change"):
            client.update("a")
        with pytest.raises(errors.InvalidSpec, match="open, cordoned, closed"):
            client.set_queue_state("a", "ajar")
