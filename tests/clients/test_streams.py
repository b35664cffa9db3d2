"""The Python client's sets, logs and batches against the real server, over cuts."""

import asyncio

import pytest

from jobplane.cli.main import run
from jobplane.client import AsyncClient, BatchItem, Client, errors, specs
from tests.client.cutting_proxy import CuttingProxy
from tests.service.loop_thread import LoopThread
from tests.service.real_server import PROCESS, THREAD, RealServer


@pytest.fixture(scope="module")
def loop_thread():
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def real(loop_thread, tmp_path, monkeypatch):
    for name in ("ADDRESS", "PROJECT", "TOKEN", "CONTEXT", "TLS", "CA_FILE"):
        monkeypatch.delenv(f"JOBPLANE_{name}", raising=False)
    monkeypatch.setenv("JOBPLANE_CONFIG", str(tmp_path / "contexts.json"))
    server = RealServer(loop_thread, tmp_path / "data")
    yield server
    server.close()


@pytest.fixture
def client(real):
    with Client(address(real), project="demo") as client:
        yield client


def address(server):
    return f"127.0.0.1:{server.port}"


def item(ref="", **fields):
    return BatchItem(spec=specs.Probe(isolation=THREAD, steps=1), ref=ref, **fields)


def told(change):
    return (change.name, change.job.status, change.matches, change.deleted)


def test_a_set_is_followed_until_all_are_finished(client):
    jobs = client.submit_batch([item(job_set="a") for _ in range(5)])
    with client.watch_jobs('job_set = "a"', until_all_finished=True, timeout=30) as watch:
        changes = list(watch)
    assert watch.synced
    assert {job.name for job in jobs} == set(watch.jobs)
    assert all(job.done for job in watch.jobs.values())
    assert changes[-1].job.done


def test_a_job_that_leaves_is_told_and_forgotten(real, client):
    real.pause()
    (job,) = client.submit_batch([item()])
    with client.watch_jobs("status = QUEUED", timeout=30) as watch:
        assert told(next(watch)) == (job.name, "QUEUED", True, False)
        job.cancel()
        assert told(next(watch)) == (job.name, "CANCELLED", False, False)
        assert watch.jobs == {}


@pytest.mark.parametrize("cut_after", range(1, 7))
def test_a_set_cut_at_any_message_is_the_same_set(real, cut_after):
    real.pause()
    for _ in range(3):
        real.submit()
    with (
        CuttingProxy(real.port, [cut_after] * 3) as proxy,
        Client(proxy.address, project="demo") as watching,
        Client(address(real), project="demo") as steering,
        watching.watch_jobs(until_all_finished=True, timeout=30) as watch,
    ):
        first = [next(watch) for _ in range(3)]
        for change in first:
            steering.cancel(change.name)
        rest = list(watch)
        assert {name: job.status for name, job in watch.jobs.items()} == {
            change.name: "CANCELLED" for change in first
        }
        assert {change.name for change in rest} == {change.name for change in first}


@pytest.mark.parametrize("cut_after", [1, 2, 3, 4])
def test_a_log_cut_at_any_message_is_the_same_log(real, cut_after):
    job = real.submit(isolation=PROCESS, log_bytes=1_500_000)
    real.wait(job)
    with Client(address(real), project="demo") as client:
        whole = list(client.logs(job.name))
    with (
        CuttingProxy(real.port, [cut_after] * 3) as proxy,
        Client(proxy.address, project="demo") as client,
    ):
        for follow in (False, True):
            assert list(client.logs(job.name, follow=follow, timeout=60)) == whole
    assert [line.number for line in whole] == list(range(1, len(whole) + 1))


def test_a_log_is_followed_from_the_queue(real, client):
    job = client.submit(specs.Probe(isolation=PROCESS, log_bytes=200))
    with job.logs(follow=True, timeout=60) as lines:
        texts = [line.text for line in lines]
    assert sum(len(text) + 1 for text in texts) >= 200
    assert [line.text for line in job.logs(tail=1)] == texts[-1:]


def test_a_log_of_nobody_is_not_found(client):
    with pytest.raises(errors.NotFound):
        list(client.logs("nobody"))


def test_batches_are_jobs_or_errors(client):
    first, second = client.submit_batch([item("a"), item(depends_on=["#a"])])
    assert second.wire.spec.depends_on[0].job == first.name
    with pytest.raises(errors.InvalidSpec) as refused:
        client.submit_batch([item(), item(queue="NO")])
    assert refused.value.violations[0].field == "items[1].request.queue"
    good, bad = client.submit_batch([item(), item(queue="NO")], allow_partial=True)
    assert good.id
    assert isinstance(bad, errors.InvalidSpec)


def test_many_jobs_are_cancelled_by_filter_or_by_name(real, client):
    real.pause()
    jobs = client.submit_batch([item(job_set="a") for _ in range(10)])
    assert client.cancel_all(filter='job_set = "a"', dry_run=True).affected == 10
    done = client.cancel_all([jobs[0], "nobody"])
    assert done.affected == 1
    assert list(done.refused) == ["projects/demo/jobs/nobody"]
    assert isinstance(done.refused["projects/demo/jobs/nobody"], errors.NotFound)
    assert client.cancel_all(filter='job_set = "a"', reason="enough").affected == 9
    with pytest.raises(ValueError, match="either"):
        client.cancel_all()


def test_asyncio_has_the_same(real):
    async def scenario():
        async with AsyncClient(address(real), project="demo") as client:
            jobs = await client.submit_batch([item(job_set="a") for _ in range(3)])
            watch = client.watch_jobs('job_set = "a"', until_all_finished=True, timeout=30)
            async with watch:
                async for _ in watch:
                    pass
            assert set(watch.jobs) == {job.name for job in jobs}
            printing = await client.submit(specs.Probe(isolation=PROCESS, log_bytes=100))
            lines = [line async for line in printing.logs(follow=True, timeout=60)]
            assert [line.number for line in lines] == list(range(1, len(lines) + 1))
            assert (await client.cancel_all(filter='job_set = "a"')).affected == 0

    asyncio.run(scenario())


def cli(capsys, server, *arguments):
    code = run([*arguments, "--address", address(server), "--project", "demo"])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_a_log(capsys, real):
    job = real.submit(isolation=PROCESS, log_bytes=150)
    code, out, _ = cli(capsys, real, "logs", job.job_id, "-f", "--timestamps")
    assert code == 0
    first, *_ = out.splitlines()
    assert first[10] == "T"
    assert first.endswith("a probe prints this line because it was told to print some bytes")
    code, out, _ = cli(capsys, real, "logs", job.job_id, "--tail", "1", "-o", "jsonl")
    assert '"stream": "stdout"' in out


def test_the_command_watches_a_set(capsys, real):
    job = real.submit(job_set="a")
    code, out, err = cli(
        capsys, real, "watch", "--filter", 'job_set = "a"', "--until-finished", "--timeout", "30s"
    )
    assert code == 0
    assert out.splitlines()[-1].split()[:2] == [job.job_id, "SUCCEEDED"]
    assert "1 jobs match" in err


def test_the_command_cancels_a_set(capsys, real):
    real.pause()
    for _ in range(3):
        real.submit(job_set="a")
    which = ("cancel", "--filter", 'job_set = "a"')
    assert cli(capsys, real, *which, "--dry-run")[:2] == (0, "3\n")
    code, _, err = cli(capsys, real, *which)
    assert code == 2
    assert "3 jobs match" in err
    assert cli(capsys, real, *which, "--yes")[:2] == (0, "3\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch",),
        ("watch", "a", "--filter", "done = true"),
        ("cancel",),
        ("cancel", "a", "--filter", "done = true"),
        ("cancel", "--filter", "done = true", "--force"),
    ],
)
def test_jobs_and_filter_exclude_each_other(capsys, real, arguments):
    assert cli(capsys, real, *arguments)[0] == 2
