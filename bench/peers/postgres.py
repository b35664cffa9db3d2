"""A PostgreSQL cluster of our own, on loopback, as the distribution configures it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def cluster() -> Iterator[str]:
    """A fresh cluster, gone with the context; gives where to connect."""
    binaries = _binaries()
    # PostgreSQL refuses to be root; its own account can't enter a folder of root's.
    account = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp())
    if account:
        shutil.chown(folder, "postgres")
    data, port = folder / "data", _free_port()
    control = [*account, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    where = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        _run([*account, str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench"])
        _run([*control, "-l", str(folder / "log"), "-o", where, "start"])
        try:
            yield f"host=127.0.0.1 port={port} user=bench dbname=postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    """Where the newest server is; its programs are often not on the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    if found is None:
        sys.exit("no PostgreSQL server here; apt-get install postgresql")
    return Path(found).parent


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)  # noqa: S603  PostgreSQL's own programs
    if done.returncode:
        sys.exit(f"{Path(command[-1]).name} failed: {done.stderr.strip().splitlines()[-1:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
