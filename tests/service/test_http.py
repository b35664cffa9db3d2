"""The HTTP door, asked as an ASGI app."""

import asyncio

import pytest

from jobplane.service.http import application, is_loopback_authority


class Answer:
    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def take(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


def ask(path: str, *, method: str = "GET", is_ready: bool = True, **headers: str) -> Answer:
    async def ready() -> bool:
        return is_ready

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = {"host": "127.0.0.1:8070", **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(key.encode(), value.encode()) for key, value in sent.items()],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8070),
    }
    answer = Answer()
    app = application(version="1.2.3", grpc_address="127.0.0.1:7070", is_ready=ready)
    asyncio.run(app(scope, receive, answer.take))
    return answer


def test_the_page_says_where_grpc_is():
    answer = ask("/")
    assert answer.status == 200
    assert b"127.0.0.1:7070" in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_live_process_is_healthy_even_when_it_is_not_ready():
    assert ask("/healthz", is_ready=False).status == 200


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
def test_readiness_is_that_jobs_can_be_submitted(is_ready, status):
    assert ask("/readyz", is_ready=is_ready).status == status


def test_an_unknown_path_is_not_found():
    assert ask("/nope").status == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8070", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_a_host_that_is_not_this_machine_is_refused(host, method):
    assert ask("/", method=method, host=host).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil"])
def test_another_origin_is_refused(origin):
    assert ask("/readyz", origin=origin).status == 403


def test_our_own_origin_is_fine():
    assert ask("/readyz", origin="http://localhost:8070").status == 200


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("[::1]", True),
        ("[::1]:8070", True),
        ("127.0.0.1:x", False),
        ("localhost.evil:80", False),
        ("evil@localhost", False),
        ("::1", False),
    ],
)
def test_a_loopback_authority_is_known_by_its_name(authority, expected):
    assert is_loopback_authority(authority) is expected
