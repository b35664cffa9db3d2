"""The server's end of the keeper: children are asked for here, and their ends are told here."""

import contextlib
import itertools
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_KEEPER = Path(__file__).with_name("keeper.py")
_COMMAND = (sys.executable, "-I", "-S", str(_KEEPER))
_MAX_MESSAGE = 1 << 18
_CLOSE_S = 5.0
OWNER_VARIABLE = "JOBPLANE_OWNER"
CHILD_VARIABLE = "JOBPLANE_CHILD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended; negative codes are signals, no code means that nobody knows."""

    code: int | None
    cpu_s: float = 0.0
    peak_bytes: int = 0
    was_over_limit: bool = False
    was_oom: bool = False
    refusal: str = ""


class Child:
    """One child: its socket, its outputs and its end."""

    def __init__(self, name: str, family: "Family", channel: socket.socket) -> None:
        self.name = name
        self._family = family
        self.channel = channel
        self.stdout = -1
        self.stderr = -1
        self.exit: Exit | None = None
        self.pid = 0
        self._on_exit: Callable[[], None] | None = None

    def when_exited(self, call: Callable[[], None]) -> None:
        """Have `call` made once the child is reaped, at once if it is."""
        self._on_exit = call
        if self.exit is not None:
            call()

    def ended(self, how: Exit) -> None:
        """Note the end; only the first counts."""
        if self.exit is None:
            self.exit = how
            if self._on_exit is not None:
                self._on_exit()

    def kill(self) -> None:
        """End the child and everything below it."""
        self._family.tell({"op": "kill", "id": self.name})

    def limit_memory(self, limit_bytes: int) -> None:
        """Have the child ended when it holds more."""
        self._family.tell({"op": "limit", "id": self.name, "bytes": limit_bytes})

    def close(self) -> None:
        """Let go of the socket and the outputs; a child that lives ends of it."""
        self.channel.close()
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1


class Family:
    """All children of one server, through its keeper."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._lock = threading.Lock()
        self._children: dict[str, Child] = {}
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._is_closed = False

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper, 0 when there is none."""
        return self._keeper.pid if self._keeper is not None else 0

    def spawn(self, argv: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Ask for a child; a refusal is told as its end."""
        name = f"{self._owner}-{next(self._numbers)}"
        child, theirs = self._wired(name)
        markers = {OWNER_VARIABLE: self._owner, CHILD_VARIABLE: name}
        message = {"op": "spawn", "id": name, "argv": [*argv], "env": {**environment, **markers}}
        try:
            with self._lock:
                if self._is_closed:
                    raise ConnectionError("the executor is stopped")
                keeper = self._connected()
                self._children[name] = child
                socket.send_fds(keeper, [json.dumps(message).encode()], theirs)
        except OSError as error:
            self._children.pop(name, None)
            child.ended(Exit(code=None, refusal=str(error)))
        finally:
            for fd in theirs:
                os.close(fd)
        return child

    def _wired(self, name: str) -> tuple[Child, list[int]]:
        """Give a child with its ends of socket and outputs, and the ends that it is to get."""
        ours, line = socket.socketpair()
        child = Child(name, self, ours)
        theirs = [line.detach()]
        try:
            child.stdout, stdout = os.pipe()
            theirs.append(stdout)
            child.stderr, stderr = os.pipe()
            theirs.append(stderr)
        except OSError:
            child.close()
            for fd in theirs:
                os.close(fd)
            raise
        return child, theirs

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send the keeper a message; a keeper that is gone has taken its children with it."""
        with self._lock, contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.send(json.dumps(message).encode())

    def _connected(self) -> socket.socket:
        """Give the socket to the keeper, which is started when there is none."""
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._keeper = subprocess.Popen(  # noqa: S603  our own script
                    [*_COMMAND, str(theirs.fileno()), f"{OWNER_VARIABLE}={self._owner}"],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={},
                    start_new_session=True,
                )
            self._socket = ours
            self._reader = threading.Thread(
                target=self._read_loop, args=(ours, self._keeper), name="keeper", daemon=True
            )
            self._reader.start()
        return self._socket

    def _read_loop(self, source: socket.socket, keeper: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                data = source.recv(_MAX_MESSAGE)
            except OSError:
                data = b""
            if not data:
                break
            self._hear(json.loads(data))
        self._lose(source, keeper)

    def _hear(self, message: Mapping[str, Any]) -> None:
        child = self._children.get(message["id"])
        if child is None:
            return
        if message["op"] == "spawned":
            child.pid = message["pid"]
            return
        self._children.pop(message["id"], None)
        if message["op"] == "refused":
            child.ended(Exit(code=None, refusal=message["why"]))
            return
        child.ended(
            Exit(
                code=message["code"],
                cpu_s=message["cpu_s"],
                peak_bytes=message["peak_bytes"],
                was_over_limit=message["over_limit"],
                was_oom=message["oom"],
            )
        )

    def _lose(self, source: socket.socket, keeper: subprocess.Popen[bytes]) -> None:
        """Give up on a keeper that is gone, and have another clean up after it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(_CLOSE_S)
        with self._lock:
            if self._socket is source:
                self._socket = None
            children = tuple(self._children.values())
            self._children.clear()
            source.close()
            if not self._is_closed:
                _log.error("the keeper of children is gone", extra={"code": keeper.returncode})
                with contextlib.suppress(OSError):
                    self._connected()
        for child in children:
            child.ended(Exit(code=None))

    def close(self) -> None:
        """End every child and the keeper."""
        with self._lock:
            self._is_closed = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_WR)
        if self._reader is not None:
            self._reader.join(_CLOSE_S)
