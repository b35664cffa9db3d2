"""The keeper: a small process that is the parent of every child, and the end of each.

It stands between the server and the work for what only a parent without threads can do
well: start children while the server is busy, reap every descendant (it is their subreaper),
watch their memory, and end all of them within moments of the server's death, which it sees as
the end of its socket. It runs as a plain script on the standard library alone.

It reads JSON messages with op "spawn" (three descriptors: socket, stdout, stderr), "limit" and
"kill", and writes messages with op "spawned", "refused" and "exited".
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
# More than a socket takes in one message, so none is ever cut.
_MAX_MESSAGE = 1 << 18
_CHILD_SOCKET = 3
# Received descriptors are moved above those that a child gets by number.
_FIRST_FREE_FD = 16
_MEMORY_TICK_S = 0.05
# The whole tree is walked only on every so many ticks: it costs a file per process.
_TREE_TICKS = 5
_REST_S = 5.0
_SWEEP_S = 2.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def child_pids(pid: int) -> list[int]:
    """Give the children of a process; none when it is gone."""
    pids: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208  pathlib costs start time
    except OSError:
        return pids
    for task in tasks:
        # A thread that ends meanwhile hands its children to another one.
        path = f"/proc/{pid}/task/{task}/children"
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:  # noqa: PTH123  as above
            pids += [int(word) for word in file.read().split()]
    return pids


def descendants(pid: int) -> list[int]:
    """Give the children of a process, their children, and so on."""
    found: list[int] = []
    fresh = child_pids(pid)
    while fresh:
        found += fresh
        fresh = [child for parent in fresh for child in child_pids(parent) if child not in found]
    return found


def marked_pids(marker: str) -> list[int]:
    """Give the processes that have `marker` (NAME=value) in their environment."""
    wanted = marker.encode()
    pids: list[int] = []
    for name in os.listdir("/proc"):  # noqa: PTH208  as above
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123  as above
                if wanted in file.read().split(b"\0"):
                    pids.append(int(name))
    return pids


def resident_bytes(pid: int, *, only_own: bool) -> int:
    """Give the memory a process holds; pages that it shares are its parent's when `only_own`."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123  as above
            fields = file.read().split()
    except OSError:
        return 0
    resident = int(fields[1]) - (int(fields[2]) if only_own else 0)
    return resident * _PAGE_BYTES


def oom_kills() -> int:
    """Give how many processes the kernel ended for lack of memory since it started."""
    with contextlib.suppress(OSError), open("/proc/vmstat", encoding="ascii") as file:  # noqa: PTH123  as above
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def kill(pid: int) -> None:
    """End a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


class Charge:
    """One child under the keeper's care."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limit = 0
        self.peak = 0
        self.was_over_limit = False
        self.oom_kills_before = oom_kills()


class Keeper:
    """Children by pid, and the socket to the server."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._charges: dict[int, Charge] = {}
        self._tick = 0
        self._null = os.open(os.devnull, os.O_RDWR)
        self._signal_read, self._signal_write = os.pipe()
        os.set_blocking(self._signal_read, False)
        os.set_blocking(self._signal_write, False)

    def run(self) -> None:
        """Serve until the server is gone, then leave nothing behind."""
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._signal_write, warn_on_full_buffer=False)
        try:
            while self._turn():
                pass
        except ConnectionError:
            pass
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """Do what is to be done next; False when the server is gone."""
        is_watching = any(charge.limit for charge in self._charges.values())
        timeout_s = _MEMORY_TICK_S if is_watching else _REST_S
        ready, _, _ = select.select([self._server.fileno(), self._signal_read], [], [], timeout_s)
        if self._signal_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._signal_read, 4096)
        self._reap()
        if self._server.fileno() in ready and not self._obey():
            return False
        if is_watching:
            self._watch_memory()
        return True

    def _obey(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self._server, _MAX_MESSAGE, 3)
        if not data:
            return False
        message = json.loads(data)
        if message["op"] == "spawn":
            self._spawn(message, fds)
            return True
        pid = next((p for p, c in self._charges.items() if c.name == message["id"]), None)
        if pid is not None and message["op"] == "kill":
            self._kill_family(pid)
        elif pid is not None and message["op"] == "limit":
            self._charges[pid].limit = message["bytes"]
        return True

    def _spawn(self, message: dict[str, Any], fds: list[int]) -> None:
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_FD) for fd in fds]
        for fd in fds:
            os.close(fd)
        channel, stdout, stderr = moved
        places = ((self._null, 0), (stdout, 1), (stderr, 2), (channel, _CHILD_SOCKET))
        try:
            pid = os.posix_spawn(
                message["argv"][0],
                message["argv"],
                message["env"],
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, place) for fd, place in places],
                setsid=True,
                setsigdef=_DEFAULT_SIGNALS,
            )
        except OSError as error:
            self._tell({"op": "refused", "id": message["id"], "why": str(error)})
            return
        finally:
            for fd in moved:
                os.close(fd)
        self._charges[pid] = Charge(message["id"])
        self._tell({"op": "spawned", "id": message["id"], "pid": pid})

    def _tell(self, message: dict[str, Any]) -> None:
        self._server.send(json.dumps(message).encode())

    def _kill_family(self, pid: int) -> None:
        """End a child and all below it; what escapes the walk is swept when the child is reaped."""
        below = descendants(pid)
        kill(pid)
        for other in below:
            kill(other)

    def _reap(self) -> None:
        """Take in every process that ended; what a dead child left behind is ended first."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            charge = self._charges.pop(pid, None)
            if charge is None:
                continue
            self._sweep()
            code = os.waitstatus_to_exitcode(status)
            self._tell(
                {
                    "op": "exited",
                    "id": charge.name,
                    "code": code,
                    "cpu_s": usage.ru_utime + usage.ru_stime,
                    "peak_bytes": max(charge.peak, usage.ru_maxrss * 1024),
                    "over_limit": charge.was_over_limit,
                    "oom": code == -signal.SIGKILL and oom_kills() > charge.oom_kills_before,
                }
            )

    def _sweep(self) -> None:
        """End every child that is nobody's: orphans come to their subreaper."""
        deadline = time.monotonic() + _SWEEP_S
        while time.monotonic() < deadline:
            strays = [pid for pid in child_pids(os.getpid()) if pid not in self._charges]
            if not strays:
                return
            for pid in strays:
                kill(pid)
            for pid in strays:
                self._await_end(pid, deadline)

    def _await_end(self, pid: int, deadline: float) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                signal.sigtimedwait((signal.SIGCHLD,), 0.002)

    def _watch_memory(self) -> None:
        self._tick += 1
        for pid, charge in self._charges.items():
            if not charge.limit or charge.was_over_limit:
                continue
            held = resident_bytes(pid, only_own=False)
            if self._tick % _TREE_TICKS == 0:
                held += sum(resident_bytes(other, only_own=True) for other in descendants(pid))
            charge.peak = max(charge.peak, held)
            if held > charge.limit:
                charge.was_over_limit = True
                self._kill_family(pid)

    def _end_all(self) -> None:
        for pid in tuple(self._charges):
            self._kill_family(pid)
        self._charges.clear()
        self._sweep()


def main() -> None:
    """Serve the server at the other end of the socket that argv names."""
    server = socket.socket(fileno=int(sys.argv[1]))
    server.set_inheritable(False)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.umask(0o077)
    os.chdir("/")
    for pid in marked_pids(sys.argv[2]):
        kill(pid)
    Keeper(server).run()


if __name__ == "__main__":
    main()
