"""Checks of a server: whether it is reached, over what, and what it is."""

from __future__ import annotations

import socket
import ssl
import time
import uuid
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import grpc

from jobplane.cli.exits import Exit, exit_of_error
from jobplane.cli.finding import Finding, Level, failure, ok, skipped, warning
from jobplane.cli.machine import chosen_context
from jobplane.cli.units import span
from jobplane.client import Client, JobplaneError
from jobplane.client._channel import is_loopback
from jobplane.client._event import instant
from jobplane.client._status import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobplane.cli.session import Session
    from jobplane.client._context import Context
    from jobplane.v1 import system_service_pb2

TIMEOUT_S = 5.0
API = "jobplane.v1"
SKEW_WARNED_S, SKEW_REFUSED_S = 2.0, 60.0
CERTIFICATE_DAYS = 14
HEALTH = "/grpc.health.v1.Health/Check"
# HealthCheckResponse with status SERVING, as it is on the wire.
SERVING = b"\x08\x01"
# What gRPC says of a port that speaks HTTP alone.
HTTP_1 = "http1.x"
OTHER_DOOR = "that is an HTTP port; gRPC has one of its own: see the ready line of the server"
START = "start one here with: jobplane dev; or name another: jobplane context set NAME --address …"


def server_findings(session: Session) -> Iterator[Finding]:
    """From the address to a stream that ends; what needs a broken part is left out."""
    try:
        context = chosen_context(session)
        client = Client(
            context.address,
            project=context.project,
            token=context.token,
            tls=context.tls,
            ca_file=context.ca_file,
            timeout=TIMEOUT_S,
        )
    except (ValueError, OSError) as error:
        yield failure("connection", str(error), "jobplane context show", code=Exit.USAGE)
        return
    with client:
        connection = connection_finding(context.address)
        yield connection
        if connection.exit is Exit.UNREACHABLE:
            yield skipped("server", "not asked: there is no connection")
            return
        encryption = list(_encryption(context))
        yield from encryption
        if any(finding.level is Level.FAILURE for finding in encryption):
            yield skipped("server", "not asked: the connection is not safe")
            return
        yield from _answers(client)


def connection_finding(address: str) -> Finding:
    """Whether something listens there."""
    if address.startswith(("unix:", "unix-abstract:")):
        return skipped("connection", f"{address} is a socket of this machine")
    host, _, port = address.removeprefix("dns:///").rpartition(":")
    began = time.monotonic()
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S):
            return ok("connection", f"{address} answers in {_ms(began)}")
    except ValueError:
        text = f"{address} is not HOST:PORT"
        return failure("connection", text, "jobplane context set", code=Exit.UNREACHABLE)
    except socket.gaierror as error:
        text = f"{host} is not known: {error.strerror}"
        advice = "check the name, and the network that it is known in"
    except TimeoutError:
        text, advice = f"{address} does not answer in {TIMEOUT_S:g} s", "check firewall and route"
    except OSError as error:
        text, advice = f"{address}: {error.strerror}", START
    return failure("connection", text, advice, code=Exit.UNREACHABLE)


def _encryption(context: Context) -> Iterator[Finding]:
    if context.address.startswith("unix"):
        return
    if not context.tls:
        if is_loopback(context.address):
            yield ok("tls", "not used, nor needed: the server is on this machine")
        else:
            text = "not used: whoever is on the way can read and change what is sent"
            yield warning("tls", text, "serve with TLS, and use --tls")
        return
    host, _, port = context.address.removeprefix("dns:///").rpartition(":")
    trust = ssl.create_default_context(cafile=context.ca_file or None)
    trust.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as raw,
            trust.wrap_socket(raw, server_hostname=host.strip("[]")) as wrapped,
        ):
            yield certificate_finding(wrapped, now=datetime.now(UTC))
    except ssl.SSLCertVerificationError as error:
        advice = "name its roots: jobplane context set NAME --ca-file FILE"
        yield failure("tls", error.verify_message, advice, code=Exit.UNREACHABLE)
    except (ssl.SSLError, OSError) as error:
        text = f"no TLS is spoken there: {error.strerror or error}"
        yield failure("tls", text, "leave out --tls, or ask for the right port",
                      code=Exit.UNREACHABLE)  # fmt: skip


def certificate_finding(wrapped: ssl.SSLSocket, *, now: datetime) -> Finding:
    """What the handshake came to, and how long its certificate still lasts."""
    if wrapped.selected_alpn_protocol() != "h2":
        text = "HTTP/2 was not agreed on, which gRPC needs"
        return failure("tls", text, "something between here and there speaks HTTP/1 only")
    certificate = wrapped.getpeercert() or {}
    ends = str(certificate.get("notAfter", ""))
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
    text = f"{wrapped.version()}, the certificate is good until {ends_at:%Y-%m-%d}"
    if ends_at - now < timedelta(days=CERTIFICATE_DAYS):
        return warning("tls", text, "renew it")
    return ok("tls", text)


def _answers(client: Client) -> Iterator[Finding]:
    began, before = time.monotonic(), datetime.now(UTC)
    try:
        info = client.server_info()
    except JobplaneError as error:
        yield _refused("server", error)
        return
    took_s = time.monotonic() - began
    mode = ", open to all of this machine" if info.development else ""
    yield ok("server", f"jobplane {info.version}, engine {info.engine}, store {info.store}{mode}; "
                       f"answers in {_ms(began)}")  # fmt: skip
    yield version_finding(info, mine=version("jobplane"))
    # It was read somewhere between the question and the answer.
    skew = instant(info.server_time) - before - timedelta(seconds=took_s / 2)
    yield clock_finding(skew.total_seconds(), doubt_s=took_s / 2)
    yield _health(client)
    yield _access(client)
    yield _stream(client)
    yield _kinds(info)


def version_finding(info: system_service_pb2.GetServerInfoResponse, *, mine: str) -> Finding:
    """Whether both sides speak of the same things."""
    if API not in info.api_versions:
        text = f"it serves {', '.join(info.api_versions) or 'nothing'}, this client needs {API}"
        return failure("version", text, "use a client of the server's version")
    if _line(info.version) != _line(mine):
        text = f"server {info.version}, client {mine}: what only one of them knows fails"
        return warning("version", text, f"pip install 'jobplane=={info.version}'")
    return ok("version", f"client and server are both of {'.'.join(_line(mine))}, {API}")


def clock_finding(skew_s: float, *, doubt_s: float) -> Finding:
    """How far the server's clock is ahead of this one."""
    off = max(0.0, abs(skew_s) - doubt_s)
    way = "ahead of" if skew_s > 0 else "behind"
    text = f"the server's is {span(timedelta(seconds=off))} {way} this one"
    advice = "set both by NTP; ages, --since and schedules rest on them"
    if off >= SKEW_REFUSED_S:
        return failure("clock", text, advice)
    if off >= SKEW_WARNED_S:
        return warning("clock", text, advice)
    return ok("clock", f"the server's agrees with this one, give or take {_span(doubt_s)}")


def _health(client: Client) -> Finding:
    channel: Any = client.channel
    try:
        answer = channel.unary_unary(HEALTH)(b"", timeout=TIMEOUT_S, metadata=client.metadata)
    except grpc.RpcError as error:
        return _refused("health", error_of(error))
    if answer != SERVING:
        text = "the server takes no jobs now"
        return failure("health", text, "look at its log: disk, database or a stop that goes on")
    return ok("health", "the server takes jobs")


def _access(client: Client) -> Finding:
    try:
        number = client.count()
    except JobplaneError as error:
        return _refused("access", error)
    return ok("access", f"project {client.project} can be read: {number} jobs")


def _stream(client: Client) -> Finding:
    """Whether a stream gets through, first frame to end; a proxy may let only calls pass."""
    began = time.monotonic()
    nothing = f'job_set = "doctor-{uuid.uuid4().hex}"'
    try:
        with client.watch_jobs(nothing, until_all_finished=True, timeout=TIMEOUT_S) as watch:
            for _ in watch:
                pass
    except JobplaneError as error:
        return _refused("watch", error)
    return ok("watch", f"a stream begins and ends in {_ms(began)}")


def _kinds(info: system_service_pb2.GetServerInfoResponse) -> Finding:
    missing = [kind for kind in info.kinds if not kind.available]
    text = f"{len(info.kinds) - len(missing)} can run"
    if not missing:
        return ok("kinds", text)
    names = ", ".join(kind.name.removeprefix("kinds/") for kind in missing)
    hints = " and ".join(sorted({kind.install_hint for kind in missing if kind.install_hint}))
    return warning("kinds", f"{text}; {names} can't", f"on the server: {hints or 'see its log'}")


def _refused(check: str, error: JobplaneError) -> Finding:
    text = f"{error.message} ({' '.join(part for part in (error.code, error.reason) if part)})"
    advice = OTHER_DOOR if HTTP_1 in error.message else error.hint
    return failure(check, text, advice or "jobplane context show", code=exit_of_error(error))


def _line(of: str) -> tuple[str, ...]:
    """Versions with the same first two numbers understand each other."""
    return tuple(of.split(".")[:2])


def _ms(began: float) -> str:
    return _span(time.monotonic() - began)


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
