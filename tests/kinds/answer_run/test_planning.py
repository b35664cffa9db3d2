from pathlib import Path
from typing import Any

import pytest

from tests.kinds.answer_run.rig import ask

EMISSIONS = (
    "year,sector,tonnes\n2021,traffic,612\n2021,industry,671\n2022,traffic,605\n2022,industry,655\n"
)
ROUTES = (
    "route,terminus,length_km,daily_passengers,depot\n4,Ferry Square,11.2,8400,Quayside\n"
    "9,University,9.6,12100,Quayside\n17,Airport,38.5,5200,Moorfield\n"
)
PAPERS = {"emissions.csv": EMISSIONS, "bus_routes.csv": ROUTES, "note.md": "# Note\n\nA text.\n"}


def answered(tmp_path: Path, question: str) -> Any:
    return ask(tmp_path, question, PAPERS, enable_sql=True)


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("What is the total of tonnes in emissions in 2021?", ": 1283"),
        ("What is the total of tonnes for traffic in emissions?", ": 1217"),
        ("What is the average tonnes of industry in emissions?", ": 663"),
        ("What is the maximum of tonnes in emissions?", ": 671"),
        ("What is the sum of tonnes in emissions between 2021 and 2022?", ": 2543"),
        ("Which sector had the highest tonnes?", "industry: 1326"),
        ("What is the total of tonnes per sector?", "industry: 1326; traffic: 1217"),
        ("Which bus route has the longest length km?", "17: 38.5"),
        ("How many daily passengers does the University route have?", "12100"),
        ("How many bus routes use the Quayside depot?", ": 2"),
    ],
)
def test_a_question_for_figures_is_answered_by_a_query(
    tmp_path: Path, question: str, holds: str
) -> None:
    result = answered(tmp_path, question)
    assert holds in result.body
    assert result.outcome.gaps == ()
    [query] = result.bundle["sql"]
    assert query["error"] is None


def test_the_query_stands_in_bundle_and_sources(tmp_path: Path) -> None:
    result = answered(tmp_path, "What is the total of tonnes in emissions in 2021?")
    sql = 'SELECT sum("tonnes") AS "total tonnes" FROM "emissions" WHERE "year" = 2021'
    assert result.bundle["sql"][0]["query"] == sql
    assert sql in result.markdown
    assert "[1] emissions.csv (query)" in result.markdown


@pytest.mark.parametrize(
    "question",
    [
        "What is the total of tonnes of methane in emissions?",
        "Which sector had the highest tonnes of methane?",
        "How many night bus routes use the Quayside depot?",
    ],
)
def test_a_word_that_the_query_can_not_say_makes_it_a_gap(tmp_path: Path, question: str) -> None:
    result = answered(tmp_path, question)
    assert result.gap_reasons == ["SQL_NOT_PLANNABLE"]
    assert result.bundle["sql"] == []
    assert result.details.citations == 0


def test_a_query_without_rows_is_a_gap(tmp_path: Path) -> None:
    result = answered(tmp_path, "What is the total of tonnes in emissions in 1999?")
    assert result.gap_reasons == ["SQL_NOT_PLANNABLE"]
    assert "gave no value" in result.outcome.gaps[0].message


def test_a_question_that_is_not_for_figures_is_answered_from_texts(tmp_path: Path) -> None:
    papers = {**PAPERS, "office.md": "The harbour office is led by Mara Stone.\n"}
    result = ask(tmp_path, "Who leads the harbour office?", papers, enable_sql=True)
    assert "Mara Stone" in result.body
    assert result.bundle["sql"] == []


def test_two_tables_that_could_both_answer_are_not_guessed_between(tmp_path: Path) -> None:
    papers = {"a.csv": "shop,revenue\nNorth,1\n", "b.csv": "shop,revenue\nNorth,2\n"}
    result = ask(tmp_path, "What is the total revenue?", papers, enable_sql=True)
    assert result.gap_reasons == ["SQL_NOT_PLANNABLE"]


def test_tables_alone_are_documents_enough(tmp_path: Path) -> None:
    papers = {"sales.csv": "shop,revenue\nNorth,10\nSouth,32\n"}
    result = ask(tmp_path, "What is the total revenue in sales?", papers, enable_sql=True)
    assert ": 42" in result.body


def test_a_value_with_a_quote_stays_a_value(tmp_path: Path) -> None:
    papers = {"sales.csv": "shop,revenue\nO'Hara,10\nSouth,32\n"}
    result = ask(tmp_path, "What is the total revenue of O'Hara?", papers, enable_sql=True)
    assert ": 10" in result.body


def test_tables_of_one_name_are_told_apart(tmp_path: Path) -> None:
    papers = {"a/sales.csv": "shop,revenue\nNorth,10\n", "b/sales.csv": "team,points\nReds,3\n"}
    result = ask(tmp_path, "What is the total of points of Reds?", papers, enable_sql=True)
    assert result.bundle["sql"][0]["query"].endswith('FROM "sales_2" WHERE "team" = \'Reds\'')
