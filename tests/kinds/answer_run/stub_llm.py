"""A chat-completions endpoint on loopback that behaves as a test tells it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What one request is answered with."""

    text: str = "NO_ANSWER"
    status: int = 200
    finish: str = "stop"
    stream: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    # Sent as it is, instead of a completion.
    raw: bytes | None = None
    # Nothing more is sent after so many pieces, until the stub is closed.
    hang_after: int | None = None
    # The connection is closed after so many pieces.
    cut_after: int | None = None
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7})


@dataclass
class Stub:
    """A running stub: where it listens, what it was asked."""

    base_url: str
    replies: list[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings with this endpoint as the default one."""
        endpoint = {"base_url": self.base_url, "model": "stub", "first_backoff_s": 0.01, **more}
        return {"endpoints": {"default": endpoint}}


@contextmanager
def stub_llm(*replies: Reply) -> Iterator[Stub]:
    """A stub that gives the replies in order, the last one for ever."""
    server = _Server(("127.0.0.1", 0), _Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_address[1]}/v1", list(replies) or [Reply()])
    server.stub = stub
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.released.set()
        server.shutdown()
        thread.join(5)
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: Stub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        stub = self.server.stub
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = len(stub.requests)
        stub.requests.append({"path": self.path, **json.loads(body)})
        stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        reply = stub.replies[min(number, len(stub.replies) - 1)]
        if reply.raw is not None or reply.status != 200:
            self._send(reply, reply.raw or b'{"error": {"message": "told to fail"}}')
        elif reply.stream:
            self._stream(stub, reply)
        else:
            self._send(reply, json.dumps(_whole(reply)).encode())

    def _send(self, reply: Reply, body: bytes) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, stub: Stub, reply: Reply) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        for number, event in enumerate(_events(reply)):
            if number == reply.cut_after:
                return
            if number == reply.hang_after:
                stub.hanging.set()
                stub.released.wait(30)
                return
            self.wfile.write(f"data: {event}\n\n".encode())
            self.wfile.flush()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _events(reply: Reply) -> Iterator[str]:
    for start in range(0, len(reply.text), 12):
        piece = {"content": reply.text[start : start + 12]}
        yield json.dumps({"choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
    yield json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish}]})
    yield json.dumps({"choices": [], "usage": reply.usage})
    yield "[DONE]"


def _whole(reply: Reply) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    return {"choices": [choice], "usage": reply.usage}
