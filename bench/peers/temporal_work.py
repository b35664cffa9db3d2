"""The no-op as a Temporal workflow; run as a script it is the worker."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

QUEUE = "work"


@activity.defn
async def nothing() -> None:
    """Do nothing."""


@workflow.defn
class Noop:
    """A workflow that ends at once."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@workflow.defn
class NoopActivity:
    """A workflow of one activity that ends at once."""

    @workflow.run
    async def run(self) -> None:
        """Have nothing done."""
        await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=30))


async def work(address: str) -> None:
    """Work until the process is ended."""
    client = await Client.connect(address)
    await Worker(
        client, task_queue=QUEUE, workflows=[Noop, NoopActivity], activities=[nothing]
    ).run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
