from typing import Any

import pytest

from jobplane.engine.kinds.answer_run.questions import sub_questions
from jobplane.engine.kinds.answer_run.wanted import Wanted


def wanted(text: str) -> Any:
    [question] = sub_questions(text)
    return question.wanted


def texts(text: str) -> Any:
    return [question.text for question in sub_questions(text)]


def test_one_question_stays_one() -> None:
    assert texts("What does the plan cost?") == ["What does the plan cost?"]


def test_questions_in_a_row_are_taken_apart() -> None:
    assert texts("Who leads it? When did it open?") == ["Who leads it?", "When did it open?"]


def test_questions_joined_by_and_are_taken_apart() -> None:
    assert texts("Who leads the office and when did it open?") == [
        "Who leads the office",
        "when did it open?",
    ]


def test_nouns_joined_by_and_stay_together() -> None:
    assert len(texts("What do bread and butter cost?")) == 1


def test_a_list_of_questions_is_taken_apart() -> None:
    assert texts("1. Who leads the office?\n2. Where is the harbour office?") == [
        "Who leads the office?",
        "Where is the harbour office?",
    ]


def test_a_question_that_points_back_inherits_the_names_before_it() -> None:
    _, second = sub_questions("Who leads Larkhaven Transit? How many people does it employ?")
    assert [term.surface for term in second.inherited] == ["Larkhaven", "Transit"]


def test_a_question_that_stands_alone_inherits_nothing() -> None:
    _, second = sub_questions("Who leads Larkhaven Transit? How many ferries are there?")
    assert second.inherited == ()


def test_names_numbers_and_quotes_are_required() -> None:
    [question] = sub_questions('How many homes in Rope Walk had "district heating" in 2024?')
    assert set(question.required) >= {"rope", "walk", "2024", "district", "heat"}


def test_a_question_asked_again_is_taken_once_but_where_it_points_back() -> None:
    assert len(sub_questions("Who leads the office? " * 20)) == 1
    asked = "Where is the mill? When did it open? Where is the quay? When did it open?"
    assert len(sub_questions(asked)) == 4


@pytest.mark.parametrize("text", ["?", "the of and", "!!! ???", "  what  "])
def test_a_question_without_words_is_still_a_question(text: str) -> None:
    assert len(sub_questions(text)) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("When did the depot open?", Wanted.TIME),
        ("By when must it be done?", Wanted.TIME),
        ("In which months are streets opened?", Wanted.TIME),
        ("What happens when it rains?", Wanted.OPEN),
        ("How many buses are there?", Wanted.NUMBER),
        ("What share of trips is made by bicycle?", Wanted.NUMBER),
        ("What does a permit cost?", Wanted.MONEY),
        ("How much does the plan cost?", Wanted.MONEY),
        ("What is the share of fine dust?", Wanted.NUMBER),
        ("How long does it take?", Wanted.SPAN),
        ("How old must I be?", Wanted.AGE),
        ("How often is it collected?", Wanted.FREQUENCY),
        ("Who leads the company?", Wanted.NAME),
        ("Where is the station?", Wanted.PLACE),
        ("Why was it closed?", Wanted.REASON),
        ("What are the initiatives?", Wanted.LIST),
        ("Does it rain?", Wanted.YES_NO),
        ("Tell me of the harbour", Wanted.OPEN),
    ],
)
def test_what_is_wanted_is_read_from_the_question(text: str, kind: Any) -> None:
    assert wanted(text) is kind
