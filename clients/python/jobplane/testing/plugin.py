"""The pytest plugin: fixtures that give a test a server of its own.

pytest loads this module wherever the package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import pytest

from jobplane.testing.clock import FakeClock
from jobplane.testing.faults import Faults
from jobplane.testing.history import assert_events as check_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobplane.client import Client, Job
    from jobplane.testing.local_server import LocalServer

INSTALL = "pip install 'jobplane[server]'"
SETTINGS = ("ADDRESS", "PROJECT", "TOKEN", "CONTEXT", "TLS", "CA_FILE")
WAIT_S = 30.0


class SubmitAndWait(Protocol):
    """What the fixture `submit_and_wait` gives."""

    def __call__(self, spec: Any, *, timeout: float = WAIT_S, **fields: Any) -> Job:
        """Job once it has ended, however it did."""
        ...


class AssertEvents(Protocol):
    """What the fixture `assert_events` gives."""

    def __call__(self, job: Job, expected: Sequence[str], *, exactly: bool = False) -> None:
        """Check what a job went through."""
        ...


@pytest.fixture
def jobplane(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LocalServer]:
    """A real server in this process, with data of its own; `Client()` finds it by itself."""
    try:
        from jobplane.testing.local_server import LocalServer  # noqa: PLC0415  it is an extra
    except ModuleNotFoundError as error:
        pytest.fail(
            f"the fixture jobplane needs the server, which is not installed ({error.name} is "
            f"missing); install it with: {INSTALL}",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("jobplane")
    clock = request.getfixturevalue("fake_clock") if "fake_clock" in request.fixturenames else None
    with LocalServer(folder / "data", clock=clock, faults=Faults()) as server:
        for name in SETTINGS:
            monkeypatch.delenv(f"JOBPLANE_{name}", raising=False)
        monkeypatch.setenv("JOBPLANE_CONFIG", str(folder / "contexts.json"))
        monkeypatch.setenv("JOBPLANE_ADDRESS", server.address)
        monkeypatch.setenv("JOBPLANE_PROJECT", server.project)
        yield server


@pytest.fixture
def jobplane_client(jobplane: LocalServer) -> Client:
    """A client of the test's server."""
    return jobplane.client


@pytest.fixture
def jobplane_faults(jobplane: LocalServer) -> Faults:
    """What goes wrong with the next calls."""
    return jobplane.faults


@pytest.fixture
def fake_clock() -> FakeClock:
    """The time of the test's server, which stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
def submit_and_wait(jobplane: LocalServer) -> SubmitAndWait:
    """Submits a spec, and gives the job once it has ended."""

    def submit(spec: Any, *, timeout: float = WAIT_S, **fields: Any) -> Job:
        return jobplane.client.submit(spec, **fields).wait(timeout)

    return submit


@pytest.fixture
def assert_events() -> AssertEvents:
    """Checks what a job went through."""
    return check_events
