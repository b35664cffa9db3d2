"""The asyncio client does what the blocking one does."""

import asyncio

import pytest

from jobplane.client import AsyncClient, errors, specs
from jobplane.v1 import artifact_pb2, artifact_service_pb2, job_pb2
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, give_artifact


def run(server: FakeServer, do):
    """Run a coroutine function with a client to the server."""

    async def main():
        async with AsyncClient(server.address) as client:
            return await do(client)

    return asyncio.run(main())


def test_a_job_is_submitted_and_watched_to_its_result(server: FakeServer):
    async def do(client: AsyncClient):
        job = await client.submit(specs.Probe(steps=3), job_id="a")
        server.change(lambda: run_to_end(server.jobs[job.name]))
        seen = [event.type async for event in job.events()]
        return seen, await job.result(timeout=10)

    seen, result = run(server, do)
    assert (seen[0], seen[-1]) == ("submitted", "finished")
    assert result.metrics["value"] == 3.0


def test_a_failed_job_raises(server: FakeServer):
    server.add(run_to_end(new_job("a"), job_pb2.JOB_STATUS_FAILED))
    with pytest.raises(errors.JobFailed):
        run(server, lambda client: client.job("a").result(timeout=10))


def test_a_wait_that_runs_out_says_that_the_job_goes_on(server: FakeServer):
    server.add(new_job("a"))
    with pytest.raises(errors.WaitTimeout, match="it goes on"):
        run(server, lambda client: client.wait("a", timeout=0.2))


def test_lists_and_histories_go_through_all_pages(server: FakeServer):
    for number in range(5):
        server.add(run_to_end(new_job(f"j{number}")))

    async def do(client: AsyncClient):
        ids = [job.id async for job in client.list()]
        return ids, [event.sequence async for event in client.history("j0")]

    ids, sequences = run(server, do)
    assert ids == ["j4", "j3", "j2", "j1", "j0"]
    assert sequences == list(range(1, len(sequences) + 1))


def test_the_steering_verbs_return_the_job(server: FakeServer):
    server.add(new_job("a"))

    async def do(client: AsyncClient):
        job = await client.get("a")
        told = [(await job.pause()).status, (await job.resume()).status]
        await job.answer({"q": "yes"}, input_id="i")
        told.append((await job.cancel()).status)
        return told, (await job.retry()).wire.origin_job, await client.count()

    assert run(server, do) == (
        ["PAUSED", "QUEUED", "CANCELLED"],
        "projects/default/jobs/a",
        2,
    )


def test_an_artifact_is_read_whole(server: FakeServer):
    give_artifact(server.add(run_to_end(new_job("a"))), "r.txt", b"all of it, in pieces")

    async def do(client: AsyncClient):
        return [await artifact.text() async for artifact in client.job("a").artifacts()]

    assert run(server, do) == ["all of it, in pieces"]


def test_kinds_counts_and_errors_are_those_of_the_blocking_client(server: FakeServer):
    async def do(client: AsyncClient):
        kinds = [kind.name async for kind in client.kinds()]
        with pytest.raises(errors.NotFound):
            await client.get("nobody")
        return kinds, await client.count_by("status")

    assert run(server, do) == (["kinds/probe"], {})


def test_an_upload_goes_on_when_grpc_cancels_its_call(server: FakeServer):
    tries = []

    async def break_under_the_last_message(_messages, **_options):
        tries.append("upload")
        if len(tries) == 1:
            raise asyncio.CancelledError
        return artifact_service_pb2.UploadArtifactResponse(
            artifact=artifact_pb2.Artifact(name="a"), received_bytes=3
        )

    async def do(client: AsyncClient):
        client.channel.stream_unary = lambda *_, **__: break_under_the_last_message
        return await client.upload(b"abc")

    assert run(server, do).name == "a"
    assert len(tries) == 2


def test_an_upload_that_its_caller_cancels_ends(server: FakeServer):
    async def do(client: AsyncClient):
        began = asyncio.Event()

        async def hang(_messages, **_options):
            began.set()
            await asyncio.Event().wait()

        client.channel.stream_unary = lambda *_, **__: hang
        task = asyncio.create_task(client.upload(b"abc"))
        await began.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(server, do)
