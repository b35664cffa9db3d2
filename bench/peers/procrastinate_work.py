"""The no-op as a procrastinate task, in the module that the worker's command names."""

import os

from procrastinate import App, PsycopgConnector

from bench.peers.figures import WIDTH

CONNECT = "BENCH_POSTGRES"


async def noop() -> None:
    """Do nothing."""


def queues(connect: str) -> App:
    """The application that client and worker share."""
    made = App(connector=PsycopgConnector(conninfo=connect, min_size=4, max_size=WIDTH))
    made.task(name="noop")(noop)
    return made


app = queues(os.environ.get(CONNECT, ""))
