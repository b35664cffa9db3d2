"""A user's script: every line of it must be typed, for mypy and for pyright."""
# ruff: noqa: T201 - a script of this kind prints

import asyncio
from datetime import datetime

from jobplane.client import (
    AsyncClient,
    Client,
    Event,
    Interruption,
    Job,
    WatchPlan,
    errors,
    specs,
)


def tell(interruption: Interruption) -> None:
    print(interruption.cause, interruption.cursor)


def submit(client: Client) -> Job:
    spec = specs.JobSpec(
        display_name="three steps",
        probe=specs.Probe(steps=3, step_duration=specs.Duration(seconds=1)),
        policy=specs.RunPolicy(max_attempts=2),
    )
    return client.submit(spec, labels={"team": "q"}, priority=700)


def last_time(events: list[Event]) -> datetime | None:
    return events[-1].time if events else None


def main() -> None:
    with Client("127.0.0.1:7070", project="default") as client:
        job = submit(client)
        plan = WatchPlan(heartbeat_s=5, timeout_s=60)
        for event in job.events(plan=plan, on_interruption=tell):
            fraction: float = event.progress.fraction if event.progress else 0.0
            print(event.sequence, event.type, event.status, fraction)
        try:
            metrics: dict[str, float] = dict(job.result(timeout=60).metrics)
            print(metrics)
        except errors.JobFailed as error:
            attempt: int = error.attempt
            print(error.reason, attempt, error.failure.message)
        except errors.WaitTimeout as error:
            print(error.hint)
        names: list[str] = [other.id for other in client.list("status = FAILED", limit=10)]
        total: int = client.count()
        content: bytes = job.artifact("table.csv").read()
        print(names, total, len(content), client.server_info().version)


async def amain() -> None:
    async with AsyncClient() as client:
        job = await client.submit({"probe": {"steps": 3}})
        async with job.events() as events:
            async for event in events:
                print(event.sequence, event.done)
        result = await job.result()
        print(result.headline, [other.id async for other in client.list()])


if __name__ == "__main__":
    main()
    asyncio.run(amain())
