"""The HTTP door: a page that says what is here, and the probes of an orchestrator.

Connect, gRPC-Web, JSON and the dashboard are to be routes of this same app.
"""

import asyncio
import html
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_STARTED_POLL_S = 0.005
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Jobplane</title></head>
<body><h1>Jobplane {version}</h1>
<p>This is a job control plane. It is spoken to over gRPC at <code>{grpc}</code>:</p>
<pre>grpcurl -plaintext {grpc} list
jobplane ls --address {grpc}</pre>
<p><a href="/healthz">/healthz</a> says that the process lives,
<a href="/readyz">/readyz</a> that jobs can be submitted.</p></body></html>
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def application(
    *, version: str, grpc_address: str, is_ready: Callable[[], Awaitable[bool]]
) -> ASGIApp:
    """Give the app behind the door."""
    page = _PAGE.format(version=html.escape(version), grpc=html.escape(grpc_address))

    async def home(_: Request) -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        if await is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", status_code=503)

    routes = [Route("/", home), Route("/healthz", healthz), Route("/readyz", readyz)]
    return LoopbackOnly(Starlette(routes=routes))


class LoopbackOnly:
    """Refuses what a web page of somebody else could make a browser send here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if its Host and Origin are this machine's own."""
        refusal = _refusal(Headers(scope=scope)) if scope["type"] == "http" else ""
        if refusal:
            await PlainTextResponse(refusal + "\n", status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _refusal(headers: Headers) -> str:
    if not is_loopback_authority(headers.get("host", "")):
        return "the Host header must name this machine: localhost, 127.0.0.1 or [::1]"
    origin = headers.get("origin")
    if origin is not None and not is_loopback_authority(origin.partition("://")[2]):
        return "requests from other origins are refused"
    return ""


def is_loopback_authority(authority: str) -> bool:
    """Whether `host[:port]` is a loopback name; what names resolve to is not asked."""
    name, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = authority, "0"
    return name.lower() in _LOOPBACK_NAMES and port.isdecimal()


class HttpServer(uvicorn.Server):
    """Serves the app in our event loop; signals are the process's own matter."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        super().__init__(config)

    async def wait_started(self) -> None:
        """Return when requests are answered."""
        # Uvicorn tells of it by a flag only.
        while not self.started:  # noqa: ASYNC110  see above
            await asyncio.sleep(_STARTED_POLL_S)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """Give a listening socket; raises OSError when the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock
