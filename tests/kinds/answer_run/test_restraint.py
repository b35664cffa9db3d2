"""What looks like an answer and is none; and answers said in other words than the question."""

from pathlib import Path

import pytest

from tests.kinds.answer_run.rig import ask

PAPER = """# Telescopes

Ugla was built by the Zeller workshop. The solar telescope is used on the tours of Mira Holm.
Its mirror is cleaned twice a year and needs new silver after six years.
Director Tove Rask was on leave from May to October.
The accounts were approved with two votes against.
The managing board has two members. It is chosen by the supervisory board of seven.
The secretary moved to Falun.
White torches must not be used on the terrace, because they spoil the night vision of others.
The dome is driven by a motor from 1954.
The newsletter comes four times a year.
The instrument course takes two evenings.
Tenants pay the rent of the shop.

| Ticket | Price |
|---|---|
| Adult | 32 francs |
"""


@pytest.mark.parametrize(
    "question",
    [
        "Who built the solar telescope?",
        "How large is the mirror?",
        "Why was the director on leave?",
        "Who voted against the accounts?",
        "Who is the secretary?",
        "What does a season ticket cost?",
        "How many members does the advisory board have?",
    ],
)
def test_a_sentence_beside_the_point_is_a_gap(tmp_path: Path, question: str) -> None:
    answered = ask(tmp_path, question, {"telescopes.md": PAPER})
    assert answered.details.finish_reason == "NOT_ANSWERED", answered.body


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Who built Ugla?", "Zeller"),
        ("Why are white torches forbidden?", "night vision"),
        ("How old is the motor?", "1954"),
        ("How often does the newsletter appear?", "four times a year"),
        ("How long does the instrument course take?", "two evenings"),
        ("Who pays the rent of the shop?", "Tenants"),
        ("Why was the dome rebuilt?", "storm"),
        ("Why did the train stop?", "bolt"),
    ],
)
def test_an_answer_in_other_words_is_found(tmp_path: Path, question: str, said: str) -> None:
    more = "After a storm the dome was rebuilt.\n\nThe train stopped when a bolt broke.\n"
    answered = ask(tmp_path, question, {"telescopes.md": PAPER, "more.md": more})
    assert answered.details.finish_reason == "ANSWERED", answered.markdown
    assert said in answered.body
