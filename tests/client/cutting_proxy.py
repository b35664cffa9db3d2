"""A TCP proxy that cuts the connection after so many HTTP/2 DATA frames of the server."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Literal, Self

HEADER = 9
DATA = 0
Cut = Literal["close", "reset", "silence"]


class CuttingProxy:
    """Forwards to a port; each connection from `cuts` is cut after that many messages."""

    def __init__(self, port: int, cuts: list[int], how: Cut = "close") -> None:
        self._target = ("127.0.0.1", port)
        self._cuts = cuts
        self._how = how
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.connections = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for item in [self._listener, *self._open]:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, do, *arguments) -> None:
        thread = threading.Thread(target=do, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            cut_after = self._cuts.pop(0) if self._cuts else None
            self._spawn(self._copy, client, server)
            self._spawn(self._copy_frames, server, client, cut_after)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                target.sendall(chunk)

    def _copy_frames(
        self, source: socket.socket, target: socket.socket, cut_after: int | None
    ) -> None:
        """Copy whole frames, and cut in their midst once enough DATA went through."""
        sent = 0
        with suppress(OSError, ValueError):
            while True:
                header = read(source, HEADER)
                body = read(source, int.from_bytes(header[:3], "big"))
                if header[3] == DATA and body:
                    if sent == cut_after:
                        self._cut(source, target)
                        return
                    sent += 1
                target.sendall(header + body)

    def _cut(self, source: socket.socket, target: socket.socket) -> None:
        if self._how == "silence":
            return
        if self._how == "reset":
            target.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for item in (target, source):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()


def read(source: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; ValueError at the end of the connection."""
    content = b""
    while len(content) < size:
        chunk = source.recv(size - len(content))
        if not chunk:
            raise ValueError("the connection ended")
        content += chunk
    return content
