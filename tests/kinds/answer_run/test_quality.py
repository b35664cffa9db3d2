"""Answers on papers whose answers are known, against floors some way below what is measured."""

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.kinds.answer_run.rig import EXAMPLES

ROOT = Path(__file__).resolve().parents[3]


@cache
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_answer_run", ROOT / "bench/answer_run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@cache
def figures(name: str) -> Any:
    return bench().measure(name)


FLOORS = {
    "city": 0.93,
    "station": 0.9,
    "shop": 0.85,
    "housing": 0.85,
    "museum": 0.8,
    "railway": 0.9,
    "observatory": 0.93,
    "held_out": 0.75,
    "held_out_2": 0.75,
}


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_answers_are_found(name: str, floor: float) -> None:
    assert figures(name).answer_recall >= floor, figures(name).misses


@pytest.mark.parametrize("name", FLOORS)
def test_citations_are_right(name: str) -> None:
    assert figures(name).citation_correctness >= 0.95, figures(name).misses


@pytest.mark.parametrize("name", FLOORS)
def test_what_the_papers_do_not_say_is_not_invented(name: str) -> None:
    assert figures(name).invented <= 2, figures(name).misses
    assert figures(name).gap_recall >= 0.8, figures(name).misses


@pytest.mark.parametrize("name", FLOORS)
def test_reported_gaps_are_true_ones(name: str) -> None:
    assert figures(name).gap_precision >= 0.55, figures(name).misses


def test_the_papers_and_questions_are_enough_to_mean_something() -> None:
    papers = [path for path in EXAMPLES.rglob("*") if path.is_file()]
    assert len(papers) >= 15
    assert sum(path.suffix == ".csv" for path in papers) >= 3
    for name in FLOORS:
        loaded = json.loads((ROOT / f"tests/kinds/answer_run/quality/{name}.json").read_text())
        assert any(entry.get("gap") for entry in loaded["questions"])
