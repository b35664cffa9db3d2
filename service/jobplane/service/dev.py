"""The development server: everything in one process, open to this machine only."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jobplane.engine import failpoint
from jobplane.engine.settings import EngineSettings
from jobplane.service import logs
from jobplane.service.composition import UNREADABLE, local_house
from jobplane.service.data_dir import DataDirError, held
from jobplane.service.http import HttpServer, application, listen
from jobplane.service.rpc.auth import DevAuthenticator
from jobplane.service.server import Server
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts

HOST = "127.0.0.1"
DISTRIBUTION = "jobplane"
EXIT_UNUSABLE = 2
ANSWERS = "answer_run"
LLM_KEY = "JOBPLANE_LLM_KEY"
# A stop that takes longer is cut; what is durable stays so.
STOP_WITHIN_S = 4.5

_log = logging.getLogger("jobplane.dev")


def run_dev(
    *,
    port: int,
    http_port: int,
    data_dir: Path,
    log_format: str = "auto",
    log_level: str = "INFO",
    documents: Sequence[Path] = (),
    llm_endpoint: str = "",
    llm_model: str = "",
) -> int:
    """Serve until SIGTERM or SIGINT; gives the exit code."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    logs.configure(level=log_level, as_json=as_json)
    folder = data_dir.absolute()
    settings = ServiceSettings(host=HOST, port=port, http_port=http_port, dev=True)
    try:
        failpoint.configure_from(os.environ)
        with held(folder), _listen("grpc", port) as probe, _listen("http", http_port) as door:
            # Only asked whether the port is free: grpc binds its own socket.
            probe.close()
            engine = EngineSettings(
                folder,
                kinds={ANSWERS: _answers(documents, llm_endpoint, llm_model)},
                kind_environment={ANSWERS: _secrets(LLM_KEY)},
            )
            return asyncio.run(_serve(settings, engine, door))
    except (DataDirError, failpoint.FailpointError, OSError) as error:
        sys.stderr.write(f"jobplane dev: {error}\n")
        return EXIT_UNUSABLE


def _listen(purpose: str, port: int) -> socket.socket:
    try:
        return listen(HOST, port)
    except OSError as error:
        raise OSError(f"{purpose} port {port} can't be had: {error.strerror}") from error


def _answers(documents: Sequence[Path], endpoint: str, model: str) -> dict[str, Any]:
    """Settings of answer runs: what they may read, and which model they may ask."""
    named = {"base_url": endpoint, "model": model, "key_env": LLM_KEY}
    return {
        "document_roots": [str(folder.resolve()) for folder in documents],
        "endpoints": {"default": named} if endpoint else {},
    }


def _secrets(*names: str) -> dict[str, str]:
    """Variables of this process that only the attempts of one kind shall have."""
    return {name: os.environ[name] for name in names if name in os.environ}


async def _serve(
    settings: ServiceSettings, engine_settings: EngineSettings, door: socket.socket
) -> int:
    """Serve on grpc and HTTP until a signal."""
    folder = engine_settings.data_dir
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http_address = f"http://{HOST}:{door.getsockname()[1]}"
    facts = ServerFacts(
        version=version(DISTRIBUTION),
        engine="local",
        store="sqlite",
        started_at=datetime.now(UTC),
        http_address=http_address,
        max_watch_age_s=engine_settings.watch_max_age_s,
        max_running_attempts=engine_settings.thread_slots + engine_settings.process_slots,
        max_artifact_bytes=engine_settings.max_upload_bytes,
    )
    server = Server(settings, local_house(engine_settings), facts, DevAuthenticator())
    try:
        grpc_address = f"{HOST}:{await server.start()}"
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise DataDirError(f"{folder} can't be used: {reason}") from error
    except OSError as error:
        # Without a file it is about the address, and says so.
        if error.filename is None:
            raise
        text = f"{folder} can't be used: {error.filename}: {error.strerror}"
        raise DataDirError(text) from error
    http = HttpServer(
        application(version=facts.version, grpc_address=grpc_address, is_ready=server.is_ready)
    )
    http_task = asyncio.create_task(http.serve([door]))
    await http.wait_started()
    sys.stdout.write(f"jobplane ready grpc={grpc_address} http={http_address} data={folder}\n")
    sys.stdout.flush()
    await stop.wait()
    _cut_a_long_stop()
    http.should_exit = True
    await server.stop()
    await http_task
    return 0


def _cut_a_long_stop() -> None:
    """End the process if the stop hangs: a promise to whoever sent the signal."""

    def cut() -> None:
        _log.error("server.stop_cut", extra={"after_s": STOP_WITHIN_S})
        os._exit(0)

    timer = threading.Timer(STOP_WITHIN_S, cut)
    timer.daemon = True
    timer.start()
