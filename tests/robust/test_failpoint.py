"""Failpoints: read strictly, and of no effect until they are armed."""

import os
import signal

import pytest

from jobplane.engine import failpoint


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoint.configure("")


def test_a_point_that_is_not_armed_does_nothing():
    failpoint.configure("")
    failpoint.reach("commit_after")


def test_a_point_has_its_effect_at_the_visit_it_is_armed_for(monkeypatch: pytest.MonkeyPatch):
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(failpoint.os, "kill", lambda *call: sent.append(call))
    monkeypatch.setattr(failpoint.signal, "pause", lambda: None)
    failpoint.configure("commit_after:exit@3")
    for _ in range(2):
        failpoint.reach("commit_after")
        failpoint.reach("commit_before")
    assert not sent
    failpoint.reach("commit_after")
    failpoint.reach("commit_after")
    assert sent == [(os.getpid(), signal.SIGKILL)]


@pytest.mark.parametrize(
    "text",
    [
        "no_such_point:exit",
        "commit_after",
        "commit_after:sleep",
        "commit_after:exit@0",
        "commit_after:exit@-1",
        "commit_after:exit@two",
    ],
)
def test_what_names_no_point_or_no_effect_is_refused(text: str):
    with pytest.raises(failpoint.FailpointError):
        failpoint.configure(text)


def test_the_environment_arms_several_points():
    failpoint.configure_from({failpoint.VARIABLE: "commit_after:exit@5, submit_before_ack:exit"})
    assert failpoint._left == {"commit_after": 5, "submit_before_ack": 1}
