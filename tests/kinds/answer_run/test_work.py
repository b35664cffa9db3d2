import json
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from jobplane.engine.kinds.answer_run import KIND
from jobplane.engine.kinds.answer_run.work import ANSWER, CONTEXT, METRICS, RUN, run
from jobplane.engine.kinds.base import Stopped, WorkError
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire
from tests.kinds.answer_run.rig import EXAMPLES, LLM, ask, make_context
from tests.kinds.answer_run.stub_llm import Reply, stub_llm
from tests.kinds.fake_context import FakeContext

QUESTION = (
    "What are the main climate initiatives? Who leads Larkhaven Transit? "
    "What does a resident parking permit cost? How many hydrogen buses are there? "
    "What is the total of tonnes in emissions in 2023?"
)


def answer_examples(tmp_path: Path, **more: Any) -> FakeContext:
    folder = tmp_path / "attempt"
    folder.mkdir(parents=True)
    settings = {"document_roots": [str(EXAMPLES.parent)]}
    context = FakeContext(folder=folder, settings=settings, **more)
    spec = wire.AnswerRunSpec(question=QUESTION, markdown_path=EXAMPLES.name, enable_sql=True)
    run(spec, context)
    return context


def test_every_stage_runs_in_order(tmp_path: Path) -> None:
    assert answer_examples(tmp_path).finished_stages == list(KIND.stages)


def test_without_tables_the_stage_sql_is_left_out(tmp_path: Path) -> None:
    context = ask(tmp_path, "Who?", {"a.md": "Text."}).context
    assert "sql" not in context.stages


def test_the_fraction_never_falls(tmp_path: Path) -> None:
    reported = [report.fraction for report in answer_examples(tmp_path).reports]
    fractions = [fraction for fraction in reported if fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1.0


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first = answer_examples(tmp_path / "one").artifacts
    second = answer_examples(tmp_path / "two").artifacts
    for name in (ANSWER, CONTEXT, RUN):
        assert first[name].content == second[name].content


def test_two_runs_differ_in_their_id_alone(tmp_path: Path) -> None:
    first = answer_examples(tmp_path / "one", job_id="first-run").artifacts
    second = answer_examples(tmp_path / "two", job_id="other-run").artifacts
    assert first[ANSWER].content == second[ANSWER].content
    told = second[CONTEXT].content.replace(b"other-run", b"first-run")
    assert first[CONTEXT].content == told


def test_times_stand_in_the_metrics_alone(tmp_path: Path) -> None:
    artifacts = answer_examples(tmp_path).artifacts
    metrics = json.loads(artifacts[METRICS].content)
    assert set(metrics["stage_seconds"]) >= {"load", "retrieve", "sql", "verify"}


def test_artifacts_have_their_media_types(tmp_path: Path) -> None:
    artifacts = answer_examples(tmp_path).artifacts
    assert {name: artifact.media_type for name, artifact in artifacts.items()} == {
        ANSWER: "text/markdown",
        CONTEXT: "application/json",
        RUN: "application/json",
        METRICS: "application/json",
    }


def test_no_artifact_tells_a_path_of_the_server(tmp_path: Path) -> None:
    for artifact in answer_examples(tmp_path).artifacts.values():
        assert str(EXAMPLES.parent).encode() not in artifact.content
        assert str(tmp_path).encode() not in artifact.content


def test_the_result_names_the_artifacts_and_counts(tmp_path: Path) -> None:
    answered = ask(tmp_path, "Who led it?", {"a.md": "The office was led by Mara Stone.\n"})
    details = answered.details
    assert (details.answer_artifact, details.context_artifact) == (ANSWER, CONTEXT)
    assert (details.sub_questions, details.documents) == (1, 1)
    assert answered.outcome.metrics["passages"] == 1
    assert details.model == "extractive"


def test_the_gaps_of_the_job_are_those_of_the_bundle(tmp_path: Path) -> None:
    answered = ask(tmp_path, "How many cranes are there?", {"a.md": "A text on ships.\n"})
    [gap], [told] = answered.outcome.gaps, answered.bundle["gaps"]
    assert (gap.reason, gap.message, gap.subject) == (
        told["reason"],
        told["message"],
        told["sub_question"],
    )


def test_bad_settings_fail_the_run_and_say_which(tmp_path: Path) -> None:
    with pytest.raises(WorkError) as caught:
        ask(
            tmp_path,
            "Who?",
            {"a.md": "x"},
            context=make_context(tmp_path, settings={"limits": {"x": 1}}),
        )
    assert caught.value.reason == "BAD_SETTINGS"
    assert "answers.limits" in caught.value.message


def test_a_cancel_at_any_safe_point_ends_the_run_without_artifacts(tmp_path: Path) -> None:
    whole = len(answer_examples(tmp_path / "whole").safe_points)
    assert whole > 30
    for stop_after in range(0, whole, max(1, whole // 12)):
        folder = tmp_path / f"stop-{stop_after}"
        with pytest.raises(Stopped):
            answer_examples(folder, stop_after=stop_after)


@pytest.mark.robust
def test_safe_points_lie_close_together(tmp_path: Path) -> None:
    # 3000 papers: long enough that a stage without safe points would show.
    paper = "# Paper {0}\n\n" + "The crane number {0} lifts ships of the harbour in winter. " * 8
    papers = {f"{number}.md": paper.format(number) for number in range(3000)}
    started = monotonic()
    points = ask(tmp_path, "What does crane number 7 lift?", papers).context.safe_points
    gaps = [later - earlier for earlier, later in zip([started, *points], points, strict=False)]
    assert max(gaps[1:]) < 2.0


def test_a_question_in_another_language_is_a_gap_rather_than_a_guess(tmp_path: Path) -> None:
    papers = {"a.md": "# Hafenamt\n\nDas Hafenamt hat viele Schiffe im Winter.\n"}
    assert ask(tmp_path, "Wer leitet das Hafenamt?", papers).gap_reasons


@pytest.mark.parametrize(
    "question", ["?", "\x00\x1b[31m", "a" * 4000, "\u202e???", "((((", "'; DROP TABLE x"]
)
def test_an_odd_question_breaks_nothing(tmp_path: Path, question: str) -> None:
    answered = ask(
        tmp_path, question, {"a.md": "# T\n\nA text.\n", "t.csv": "a,b\n1,2\n"}, enable_sql=True
    )
    assert answered.markdown.isprintable() or "\n" in answered.markdown
    assert "\x1b" not in answered.markdown


def test_a_model_that_repeats_a_hostile_document_is_escaped(tmp_path: Path) -> None:
    paper = "The office <script>alert(1)</script> is led by Mara Stone.\n"
    reply = Reply("The office <script>alert(1)</script> is led by Mara Stone [1].")
    with stub_llm(reply) as stub:
        context = make_context(tmp_path, settings=stub.settings())
        llm = LLM(mode=LLM.MODE_OPENAI_COMPATIBLE)
        answered = ask(tmp_path, "Who leads the office?", {"a.md": paper}, context=context, llm=llm)
    assert "<script" not in answered.markdown
