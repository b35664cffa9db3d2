"""A fake server for each test, and clients of both kinds to it."""

from collections.abc import Iterator

import pytest

from jobplane.client import Client
from tests.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch, tmp_path):
    for name in ("ADDRESS", "PROJECT", "TOKEN", "CONTEXT", "TLS", "CA_FILE"):
        monkeypatch.delenv(f"JOBPLANE_{name}", raising=False)
    monkeypatch.setenv("JOBPLANE_CONFIG", str(tmp_path / "contexts.json"))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client
