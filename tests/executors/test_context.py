"""The context thins out what the work says, and stops it when told."""

# ruff: noqa: ARG002  the sink keeps only what is looked at

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Intent
from jobplane.engine.domain.event import DurablePayload, MetricReported, Warned
from jobplane.engine.domain.job import Progress, Question
from jobplane.engine.executors.context import Asking, Attempt, AttemptContext, Order
from jobplane.engine.kinds.base import Stopped


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class ListSink:
    """Keeps what it is told, as short as it can."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.progresses: list[Progress] = []
        self.on_checkpoint: Callable[[], None] = lambda: None

    def beat(self) -> None:
        self.said.append("beat")

    def progress(self, progress: Progress) -> None:
        self.said.append(progress.completed_units)
        self.progresses.append(progress)

    def events(self, payloads: Sequence[DurablePayload]) -> None:
        self.said.append(list(payloads))

    def artifact(
        self, *, name: str, path: Path, media_type: str, artifact_type: ArtifactType, stage: str
    ) -> None:
        self.said.append((name, path.read_bytes()))

    def checkpoint(self, data: bytes, *, completed_units: int) -> None:
        self.said.append(data)
        self.on_checkpoint()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink() -> ListSink:
    return ListSink()


@pytest.fixture
def context(clock: Clock, sink: ListSink, tmp_path: Path) -> AttemptContext:
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
        answers={"colour": "red"},
    )
    return AttemptContext(attempt, sink, clock)


def test_the_first_progress_goes_out_at_once(context: AttemptContext, sink: ListSink) -> None:
    context.progress(1)

    assert sink.said == [1]


def test_of_many_progresses_the_latest_goes_out_when_it_is_due(
    context: AttemptContext, sink: ListSink, clock: Clock
) -> None:
    for number in range(5):
        context.progress(number)
    assert sink.said == [0]
    clock.now += 0.2
    context.flush_due()

    assert sink.said == [0, 4]


def test_a_progress_that_waits_goes_out_before_what_follows(
    context: AttemptContext, sink: ListSink
) -> None:
    context.progress(1)
    context.progress(2)
    context.warn("ODD", "x")

    assert sink.said == [1, 2, [Warned("ODD", "x")]]


def test_metrics_wait_for_company(context: AttemptContext, sink: ListSink, clock: Clock) -> None:
    context.metric(1, a=1)
    context.metric(2, a=2)
    assert sink.said == []
    clock.now += 0.1
    context.metric(3, a=3)

    assert sink.said == [[MetricReported(n, {"a": float(n)}) for n in (1, 2, 3)]]


def test_fraction_is_worked_out_and_bounded(context: AttemptContext, sink: ListSink) -> None:
    context.progress(3, 2)

    assert sink.progresses[0].fraction == 1.0


def test_safe_points_show_life_but_not_each(
    context: AttemptContext, sink: ListSink, clock: Clock
) -> None:
    for _ in range(100):
        context.safe_point()
    clock.now += 1.5
    context.safe_point()

    assert sink.said == ["beat", "beat"]


def test_a_cancel_saves_nothing(context: AttemptContext, sink: ListSink) -> None:
    context.order(Intent.CANCEL)
    with pytest.raises(Stopped):
        context.safe_point(lambda: b"state")

    assert sink.said == []
    assert context.stopped_for is Order.CANCEL


def test_a_pause_taken_back_while_it_saves_does_not_stop(
    context: AttemptContext, sink: ListSink
) -> None:
    sink.on_checkpoint = lambda: context.order(Intent.CONTINUE)
    context.order(Intent.PAUSE)
    context.safe_point(lambda: b"state")

    assert sink.said == [b"state"]
    assert context.stopped_for is None


def test_a_cancel_while_a_pause_saves_wins(context: AttemptContext, sink: ListSink) -> None:
    sink.on_checkpoint = lambda: context.order(Intent.CANCEL)
    context.order(Intent.PAUSE)
    with pytest.raises(Stopped):
        context.safe_point(lambda: b"state")

    assert context.stopped_for is Order.CANCEL


def test_continue_does_not_take_back_a_cancel(context: AttemptContext) -> None:
    context.order(Intent.CANCEL)
    context.order(Intent.CONTINUE)
    with pytest.raises(Stopped):
        context.safe_point()


def test_content_given_as_bytes_leaves_no_file_behind(
    context: AttemptContext, sink: ListSink, tmp_path: Path
) -> None:
    context.save_artifact("a/b.txt", "text", media_type="text/plain")

    assert sink.said == [("a/b.txt", b"text")]
    assert list((tmp_path / "outbox").iterdir()) == []


def test_a_relative_path_is_one_in_the_folder(context: AttemptContext, sink: ListSink) -> None:
    (context.folder / "made").write_bytes(b"x")
    context.save_artifact("made", Path("made"), media_type="text/plain")

    assert sink.said == [("made", b"x")]
    assert (context.folder / "made").exists()


def test_an_answer_that_is_there_is_given_with_defaults_for_the_rest(
    context: AttemptContext,
) -> None:
    questions = [Question("colour", required=True), Question("size", default_value="M")]

    assert context.ask("?", questions) == {"colour": "red", "size": "M"}


@pytest.mark.parametrize(
    "questions",
    [
        [Question("colour"), Question("other", required=True)],
        [Question("other", default_value="x")],
    ],
)
def test_a_question_that_was_not_answered_is_asked(
    context: AttemptContext, questions: list[Question]
) -> None:
    with pytest.raises(Asking) as asked:
        context.ask("?", questions)

    assert asked.value.request.questions == tuple(questions)


def test_stages_nest_and_come_to_their_ends(context: AttemptContext) -> None:
    with context.stage("outer"):
        with context.stage("inner"):
            assert context.current_stage == "inner"
        assert context.current_stage == "outer"

    assert context.current_stage == ""
