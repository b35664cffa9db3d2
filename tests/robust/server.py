"""The server under test: started, killed and started again on the same port and folder."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.robust.history import OPEN_END, History, Life

ROOT = Path(__file__).parents[2]
START_WITHIN_S = 30.0
STOP_WITHIN_S = 15.0
# After the death of a server its children must be gone.
CHILDREN_WITHIN_S = 5.0
# What a full disk still takes: lines of the log, small artifacts, nothing of the database.
FULL_BYTES = 128 * 1024
LOG_NAME = "server.log"


class ServerError(Exception):
    """The server did not come up, or would not go."""


class Server:
    """One server after another, each a life in the history."""

    def __init__(
        self,
        *,
        data: Path,
        history: History,
        clock: Callable[[], float],
        plant: str = "",
        grace_s: float = 0,
    ) -> None:
        self._data = data
        self._history = history
        self._clock = clock
        self._plant = plant
        self._grace_s = grace_s
        self.port = free_port()
        self._pid = 0
        self._is_gone = False
        self._launcher: asyncio.subprocess.Process | None = None
        self._ended = asyncio.Event()
        self._ready = asyncio.Event()
        self._came = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._hunts: list[asyncio.Task[None]] = []

    @property
    def life(self) -> Life:
        return self._history.lives[-1]

    @property
    def is_up(self) -> bool:
        return self._ready.is_set() and not self._ended.is_set()

    @property
    def log(self) -> Path:
        return self._data.parent / LOG_NAME

    async def open(self) -> None:
        """Warm the launcher up."""
        command = [sys.executable, "-m", "tests.robust.launcher"]
        if self._plant:
            command += ["--plant", self._plant]
        if self._grace_s:
            command += ["--grace", str(self._grace_s)]
        with self.log.open("ab") as log:
            self._launcher = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
            )
        self._reader = asyncio.create_task(self._read())
        await self._within(START_WITHIN_S, self._came, "the launcher did not come up")

    async def fork(self, *, failpoints: str = "") -> None:
        """Begin a life; returns before the server answers."""
        launcher = self._launcher
        assert launcher is not None
        assert launcher.stdin is not None
        for one in (self._ended, self._ready, self._came):
            one.clear()
        number = len(self._history.lives) + 1
        self._history.lives.append(Life(number, self._clock(), failpoint=failpoints))
        arguments = ["--port", str(self.port), "--http-port", "0", "--data", str(self._data)]
        order = {
            "arguments": [*arguments, "--log-format", "json", "--log-level", "WARNING"],
            "environment": {"JOBPLANE_FAILPOINTS": failpoints},
        }
        launcher.stdin.write(json.dumps(order).encode() + b"\n")
        await self._within(START_WITHIN_S, self._came, "the launcher did not fork")

    async def start(self) -> None:
        """Begin a life, and wait until the server answers."""
        await self.fork()
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Wait until the server says that it is ready."""
        await self._within(START_WITHIN_S, self._ready, "no ready line")
        if self.life.exit_code is not None:
            raise ServerError(self._with_log(f"the server ended with {self.life.exit_code}"))

    async def fork_and_die(self, failpoint: str, *, within_s: float) -> bool:
        """Begin a life that ends at a failpoint; False when it did not come by in time."""
        await self.fork(failpoints=failpoint)
        if await self.wait_ended(within_s):
            return True
        await self.kill()
        return False

    async def wait_ended(self, timeout_s: float) -> bool:
        """Wait until the server has ended by itself; False when it did not."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        """End the life as a crash would."""
        await self._end(signal.SIGKILL, "kill")

    async def stop(self) -> None:
        """End the life as an operator would."""
        await self._end(signal.SIGTERM, "stop")

    async def _end(self, number: signal.Signals, how: str) -> None:
        children = self.children()
        self.life.how = how
        os.kill(self._pid, number)
        await self._within(STOP_WITHIN_S, self._ended, f"no end on {number.name}")
        self._hunts.append(asyncio.create_task(self._hunt(self.life, children)))

    async def freeze(self, seconds: float) -> None:
        """Stop the server in its tracks for a while."""
        self.life.troubles.append("frozen")
        os.kill(self._pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(self._pid, signal.SIGCONT)

    async def fill_disk(self, seconds: float) -> None:
        """Have every file be full for a while: the system refuses what is beyond the limit."""
        self.life.troubles.append("disk full")
        process = psutil.Process(self._pid)
        _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (FULL_BYTES, hard))
        await asyncio.sleep(seconds)
        process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))

    def kill_a_child(self, rng: random.Random) -> None:
        """Kill one of the server's processes, if it has any."""
        if children := self.children():
            self.life.troubles.append("child killed")
            with suppress(psutil.NoSuchProcess):
                rng.choice(children).kill()

    def children(self) -> list[psutil.Process]:
        """Every process that this life has started and that lives."""
        try:
            return psutil.Process(self._pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    async def _hunt(self, life: Life, children: list[psutil.Process]) -> None:
        """Note which children outlive their server."""
        until = self._clock() + CHILDREN_WITHIN_S
        while alive := [one for one in children if _is_alive(one)]:
            if self._clock() > until:
                life.survivors = [f"{one.pid} {_command(one)}" for one in alive]
                return
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End the launcher, and whatever it still runs."""
        for hunt in self._hunts:
            await hunt
        if self._launcher is None:
            return
        if self._pid and not self._ended.is_set():
            os.kill(self._pid, signal.SIGKILL)
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()
        await self._launcher.wait()
        assert self._reader is not None
        await self._reader

    async def _read(self) -> None:
        assert self._launcher is not None
        assert self._launcher.stdout is not None
        while line := (await self._launcher.stdout.readline()).decode():
            match line.split():
                case ["launcher", "ready"]:
                    self._came.set()
                case ["launcher", "forked", pid]:
                    self._pid = int(pid)
                    self._came.set()
                case ["launcher", "ended", code]:
                    self._note_end(int(code))
                case ["jobplane", "ready", *_]:
                    self.life.ready = self._clock()
                    self._ready.set()
                case _:
                    self._history.log_lines.append(f"stdout: {line.rstrip()}")
        # The launcher is gone; nobody shall wait for it in vain.
        self._is_gone = True
        for one in (self._came, self._ready, self._ended):
            one.set()

    async def _within(self, seconds: float, event: asyncio.Event, complaint: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            raise ServerError(self._with_log(complaint)) from None
        if self._is_gone:
            raise ServerError(self._with_log("the launcher ended"))

    def _with_log(self, complaint: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([complaint, *lines[-30:]])

    def _note_end(self, code: int) -> None:
        self.life.ended = self._clock()
        self.life.exit_code = code
        died_there = self.life.failpoint and code == -signal.SIGKILL
        self.life.how = self.life.how or ("failpoint" if died_there else "by itself")
        self._ended.set()
        if self.life.ready is OPEN_END:
            # Whoever waits for it shall not wait in vain.
            self._ready.set()


def free_port() -> int:
    """A port below those that the system gives to outgoing calls: it must stay ours."""
    for port in range(20_011 + os.getpid() % 5_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free port")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[-120:]
    except psutil.NoSuchProcess:
        return "gone meanwhile"
