"""Everything about the server that an operator may set, read once at the root."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Limits and addresses of the server; times are in seconds."""

    host: str = "127.0.0.1"
    port: int = 7070
    http_port: int = 8070
    # Shows stacks in errors and opens channelz; everybody may do all. Loopback only.
    dev: bool = False
    reflection: bool = True
    # A stream's reader that takes nothing for so long is cut off.
    slow_consumer_s: float = 60.0
    max_watches_per_principal: int = 10_000
    max_watches: int = 20_000
    max_frame_bytes: int = MIB
    event_cache_bytes: int = 16 * MIB
    page_bytes: int = 3 * MIB
    max_message_bytes: int = 4 * MIB
    # Base of the pages that errors link to.
    documentation_url: str = ""
    # A reconnect storm must queue, not be dropped: default soft limit 1,000.
    max_pending_requests: int = 10_000
    max_pending_requests_hard: int = 30_000
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    min_ping_interval_s: float = 10.0
    # How long a stop waits: for watches to take their last frame, then for open calls.
    drain_s: float = 1.0
    grace_s: float = 1.5

    def channel_options(self) -> tuple[tuple[str, int], ...]:
        """Options of the grpc server."""
        return (
            # A port that is taken shall be refused, not shared.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.server.max_pending_requests", self.max_pending_requests),
            ("grpc.server.max_pending_requests_hard_limit", self.max_pending_requests_hard),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_s)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout_s)),
            # The default of 60 s would win over the keepalive time-out.
            ("grpc.http2.ping_timeout_ms", _ms(self.keepalive_timeout_s)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", _ms(self.min_ping_interval_s)),
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.min_ping_interval_s)),
            ("grpc.enable_channelz", int(self.dev)),
        )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
