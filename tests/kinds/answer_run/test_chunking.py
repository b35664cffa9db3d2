import random
import string
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobplane.engine.kinds.answer_run.chunking import chunk_document, clean
from jobplane.engine.kinds.answer_run.language import sentence_spans
from jobplane.engine.kinds.answer_run.reading import read_document
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import RawFile


def chunks(text: str, size: int = 900, name: str = "a.md") -> Any:
    doc = read_document(RawFile(name, text.encode()), "d1", Limits(), lambda *_: None)
    assert doc is not None
    return chunk_document(doc, size)


def units(text: str) -> Any:
    return [unit for chunk in chunks(text) for unit in chunk.units]


def test_passages_follow_headings() -> None:
    found = chunks("# A\n\nOne.\n\n## B\n\nTwo.\n\n### C\n\nThree.\n\n## D\n\nFour.\n")
    assert [chunk.heading for chunk in found] == ["A", "A > B", "A > B > C", "A > D"]


def test_a_passage_is_the_exact_stretch_of_the_text() -> None:
    text = "# A\n\nOne **bold** word.\nTwo lines.\n\nMore.\n"
    [chunk] = chunks(text)
    assert text[chunk.start : chunk.end] == chunk.text == "One **bold** word.\nTwo lines.\n\nMore."


def test_each_sentence_knows_its_exact_place() -> None:
    text = "# A\n\nHere is one fish. Two fish! Is it red? Blue.\n"
    assert [text[unit.start : unit.end] for unit in units(text)] == [
        "Here is one fish.",
        "Two fish!",
        "Is it red?",
        "Blue.",
    ]


def test_a_long_section_is_cut_between_sentences() -> None:
    text = "# A\n\n" + " ".join(f"Sentence number {number} stands here." for number in range(60))
    found = chunks(text, 300)
    assert len(found) > 5
    assert all(len(chunk.text) <= 300 for chunk in found)
    assert all(chunk.text.endswith(".") for chunk in found)


def test_front_matter_is_no_passage() -> None:
    assert [chunk.text for chunk in chunks("---\ntitle: T\n---\n\nBody.\n")] == ["Body."]


def test_items_know_the_sentence_that_leads_them_in() -> None:
    found = units("The plan has two parts:\n\n- first part\n- second part\n")
    assert [(unit.kind, unit.lead) for unit in found[1:]] == [
        ("item", "The plan has two parts:"),
        ("item", "The plan has two parts:"),
    ]


def test_an_item_may_go_on_in_the_next_line() -> None:
    assert [unit.text for unit in units("- one\n  more\n- two\n")] == ["one more", "two"]


def test_rows_of_a_table_say_their_columns() -> None:
    [unit] = units("| Yard | Open |\n|---|---|\n| East | Monday |\n")
    assert unit.text == "Yard: East; Open: Monday"
    assert unit.kind == "row"


def test_a_catchword_stays_with_its_sentence() -> None:
    [first, second] = units("- **Retrofit fund.** Owners get a grant. It is paid once.\n")
    assert first.text == "Retrofit fund: Owners get a grant."
    assert second.lead == "Retrofit fund"


def test_a_heading_in_code_is_no_heading() -> None:
    found = chunks("# A\n\n```\n# not a heading\n```\n\nText.\n")
    assert {chunk.heading for chunk in found} == {"A"}


def test_underlined_headings_are_headings() -> None:
    assert [chunk.heading for chunk in chunks("Title\n=====\n\nOne.\n\nPart\n----\n\nTwo.\n")] == [
        "Title",
        "Title > Part",
    ]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("**bold** and _soft_ and `code`", "bold and soft and code"),
        ("a [link](http://evil.example/x) here", "a link here"),
        ("![tracker](http://evil.example/p.png)", "tracker"),
        ("snake_case_name and 2*3*4", "snake_case_name and 2*3*4"),
        ("> quoted\n> twice", "quoted twice"),
    ],
)
def test_text_is_read_without_its_markup(marked: str, plain: str) -> None:
    assert clean(marked) == plain


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Finch met Mr. Rowe. They spoke.", 2),
        ("It costs 9.8 cents. That is fixed.", 2),
        ("See e.g. the plan. It says so.", 2),
        ("J. Smith came. He left.", 2),
        ("What? Yes! Good.", 3),
        ("Open at 8 a.m. and shut at noon.", 1),
        ("No full stop", 1),
        ("", 0),
    ],
)
def test_sentences_end_where_they_end(text: str, count: int) -> None:
    assert len(list(sentence_spans(text))) == count


@settings(max_examples=60, deadline=None)
@example("0`_")
@given(st.text(alphabet=string.ascii_letters + " .!?\n#-*|`[]()_0123456789", max_size=400))
def test_every_place_is_inside_its_passage_and_every_passage_inside_the_text(text: str) -> None:
    if not text.strip():
        return
    for chunk in chunks(text, 200):
        assert 0 <= chunk.start < chunk.end <= len(chunk.doc.text)
        for unit in chunk.units:
            assert chunk.start <= unit.start < unit.end <= chunk.end
            assert clean(unit.text) == unit.text


@pytest.mark.parametrize(
    "sign", ["[", "-", "*", "_", "`", "(", "|", "#", ".", "![", "> ", "a.", "1. "]
)
def test_a_long_row_of_one_sign_is_cut_up_fast(sign: str) -> None:
    # A pattern that backtracks would hang here until the test's time-out.
    assert chunks("x\n\n" + sign * (400_000 // len(sign)))


def test_a_heap_of_random_signs_is_cut_up() -> None:
    chance = random.Random(3)
    signs = "ab .\n#-*|`[]()_>=!1"
    chunks("".join(chance.choice(signs) for _ in range(50_000)))
