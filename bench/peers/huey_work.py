"""The no-op as a huey task, in the module that the consumer's command names."""

import os
from typing import Any

from huey import SqliteHuey

FILE = "BENCH_HUEY"


def queue(name: str, file: str) -> Any:
    """A queue of a file, each acknowledgement fsynced."""
    return SqliteHuey(name, filename=file, fsync=True)


def noop() -> int:
    """Do nothing; what gives no result is never seen to end."""
    return 1


app = queue("work", os.environ.get(FILE, ":memory:"))
app.task(name="noop")(noop)
