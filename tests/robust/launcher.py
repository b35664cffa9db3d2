"""Starts servers for the harness: one life after another, each a fork of a warm process.

`python -m tests.robust.launcher [--plant NAME] [--grace S]` reads its modules once, then
starts a server for every line on stdin, `{"arguments": [...], "environment": {...}}`, and says
on stdout what becomes of it. So a restart costs what the server itself needs, not what Python
needs to read modules. The fork is safe because nothing was started here yet: no thread, no
channel, no loop.
"""

import gc
import json
import os
import sys
import threading
from typing import Any, NoReturn

import sqlalchemy.dialects.sqlite
import uvicorn.loops.asyncio
import uvicorn.protocols.http.h11_impl
from alembic import command

from jobplane.engine.kinds.probe import work
from jobplane.service import __main__ as service
from jobplane.service import channelz, reflection
from tests.robust import fast_schedules, short_grace
from tests.robust.planted import plant

# What a server reads on its way up: it must be in this process for a fork to have it.
WARM = (command, work, channelz, reflection, sqlalchemy.dialects.sqlite, uvicorn.protocols)


def main() -> None:
    fast_schedules.install()
    if "--grace" in sys.argv:
        short_grace.install(float(sys.argv[sys.argv.index("--grace") + 1]))
    if "--plant" in sys.argv:
        plant(sys.argv[sys.argv.index("--plant") + 1])
    assert threading.active_count() == 1
    gc.freeze()
    _say("launcher ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _serve(json.loads(line))
        _say(f"launcher forked {pid}")
        _, status = os.waitpid(pid, 0)
        _say(f"launcher ended {os.waitstatus_to_exitcode(status)}")


def _serve(order: dict[str, Any]) -> NoReturn:
    """Be a server until its end."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.setsid()
    os.environ.update(order["environment"])
    sys.argv = [sys.argv[0], *order["arguments"]]
    try:
        code = service.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001  the log scan shall find it, whatever it is
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
