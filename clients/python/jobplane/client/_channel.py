"""Channels to a server: kept alive, retried where that is safe, and closed with their owner."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from jobplane.client._methods import METHODS

if TYPE_CHECKING:
    from jobplane.client._context import Context

# All three are needed: with keepalive alone a half-open peer is noticed after a minute.
KEEPALIVE_TIME_MS = 20_000
KEEPALIVE_TIMEOUT_MS = 10_000
RETRY_POLICY = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "3s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
Options = list[tuple[str, Any]]


def is_loopback(address: str) -> bool:
    """Whether an address leads to this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.removeprefix("dns:///").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retried_methods() -> list[dict[str, str]]:
    """Methods that may be repeated without harm, as a service config names them."""
    return [
        {"service": method.service, "method": method.name}
        for method in METHODS.values()
        if method.is_repeatable
    ]


def service_config() -> str:
    """Retry policy in the form that gRPC takes."""
    return json.dumps({"methodConfig": [{"name": retried_methods(), "retryPolicy": RETRY_POLICY}]})


def channel_options(address: str, *, own_connection: bool) -> Options:
    """Options of a channel; a channel of its own shares no connection with others."""
    return [
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # The default waits up to two minutes before it tries a server that is back again.
        ("grpc.initial_reconnect_backoff_ms", 200),
        # This one bounds a single attempt to connect, TLS included.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.service_config", service_config()),
        ("grpc.use_local_subchannel_pool", int(own_connection)),
        # A proxy of the environment can't reach this machine's own loopback.
        ("grpc.enable_http_proxy", int(not is_loopback(address))),
    ]


def call_metadata(context: Context) -> tuple[tuple[str, str], ...]:
    """Metadata of every call; refuses to send a token over the network in clear text."""
    if not context.token:
        return ()
    if not context.tls and not is_loopback(context.address):
        raise ValueError(
            f"a token is not sent to {context.address} without TLS; use tls=True (--tls)"
        )
    return (("authorization", f"Bearer {context.token}"),)


def credentials(context: Context) -> grpc.ChannelCredentials | None:
    """TLS credentials, or None for plain text."""
    if not context.tls:
        return None
    roots = Path(context.ca_file).read_bytes() if context.ca_file else None
    return grpc.ssl_channel_credentials(root_certificates=roots)


def open_channel(context: Context, *, own_connection: bool = False) -> grpc.Channel:
    """Channel for blocking calls."""
    options = channel_options(context.address, own_connection=own_connection)
    secrets = credentials(context)
    if secrets is None:
        return grpc.insecure_channel(context.address, options)
    return grpc.secure_channel(context.address, secrets, options)


def open_aio_channel(context: Context, *, own_connection: bool = False) -> grpc.aio.Channel:
    """Channel for asyncio."""
    options = channel_options(context.address, own_connection=own_connection)
    secrets = credentials(context)
    if secrets is None:
        return grpc.aio.insecure_channel(context.address, options)
    return grpc.aio.secure_channel(context.address, secrets, options)
