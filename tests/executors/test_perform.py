"""Work ends as a conclusion, whatever it does and whenever it is ended."""

from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.domain.attempt import Broke
from jobplane.engine.executors.context import Attempt, AttemptContext
from jobplane.engine.executors.perform import perform
from jobplane.engine.kinds.base import Outcome, Stopped
from tests.executors.test_context import ListSink


class OverSink(ListSink):
    """Of an attempt that was ended from outside: it takes nothing more."""

    def artifact(self, **_: Any) -> None:
        raise Stopped


@pytest.mark.parametrize("sink", [ListSink(), OverSink()])
def test_work_that_fails_ends_as_broken(sink: ListSink, tmp_path: Path) -> None:
    attempt = Attempt(
        project="p",
        job_id="j",
        attempt=1,
        engine_version="1",
        folder=tmp_path / "work",
        outbox=tmp_path / "outbox",
        inputs={},
        settings={},
        checkpoint=None,
        answers={},
    )

    def work(spec: Any, context: AttemptContext) -> Outcome:
        raise FileNotFoundError(spec, context)

    conclusion = perform(work, None, AttemptContext(attempt, sink, lambda: 0.0))
    assert isinstance(conclusion, Broke)
    assert "FileNotFoundError" in conclusion.failure.message
