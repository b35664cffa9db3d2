"""Journals with planted biases, made by a program that shares no code with the detective."""

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.kinds.trade_audit.rig import Audited, audit

GENERATOR = Path(__file__).resolve().parents[3] / "examples/journals/generate.py"
log = logging.getLogger(__name__)
BIASES = ("revenge", "overtrading", "loss_aversion")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("journal_generator", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["journal_generator"] = module
    spec.loader.exec_module(module)
    return module


def scores(done: Audited, trades: list[Any]) -> dict[str, tuple[float, float]]:
    """Give recall, and false alarms as a share of the sound trades, by bias."""
    found = {}
    for bias in BIASES:
        flagged = set(done.flags(bias))
        planted = {place for place, trade in enumerate(trades) if trade.planted == bias}
        assert planted, f"the journal has no {bias}"
        alarms = len(flagged - planted) / (len(trades) - len(planted))
        recall = len(flagged & planted) / len(planted)
        log.info("%s: recall %.3f, false alarms %.5f", bias, recall, alarms)
        found[bias] = recall, alarms
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_biases_are_found(generate: ModuleType, tmp_path: Path, seed: int) -> None:
    trades = generate.make_journal(4000, seed=seed)
    generate.write_journal(trades, tmp_path / "journal.csv")
    found = scores(audit((tmp_path / "journal.csv").read_text()), trades)
    for recall, alarms in found.values():
        assert recall >= 0.98
        assert alarms <= 0.002


def test_planted_biases_are_found_in_a_restless_trader(
    generate: ModuleType, tmp_path: Path
) -> None:
    # Sizes and holding times vary so much that some sound trades look biased.
    habits = generate.Habits(size_spread=0.45, holding_spread=0.8)
    trades = generate.make_journal(4000, seed=5, habits=habits)
    generate.write_journal(trades, tmp_path / "journal.csv")
    found = scores(audit((tmp_path / "journal.csv").read_text()), trades)
    for recall, alarms in found.values():
        assert recall >= 0.85
        assert alarms <= 0.02


def test_a_disciplined_journal_raises_next_to_no_alarm(
    generate: ModuleType, tmp_path: Path
) -> None:
    habits = generate.Habits(revenge=0, loss_aversion=0, burst_days=0)
    trades = generate.make_journal(3000, seed=4, habits=habits)
    generate.write_journal(trades, tmp_path / "journal.csv")
    rates = audit((tmp_path / "journal.csv").read_text()).result.bias_rates
    assert rates["any_bias_rate"] < 0.002


def test_equal_seeds_give_equal_journals(generate: ModuleType) -> None:
    assert generate.make_journal(500, seed=9) == generate.make_journal(500, seed=9)


def test_the_shipped_sample_is_what_the_generator_makes(
    generate: ModuleType, tmp_path: Path
) -> None:
    generate.write_journal(generate.make_journal(1200, seed=3), tmp_path / "sample.csv")
    assert (GENERATOR.parent / "sample.csv").read_bytes() == (tmp_path / "sample.csv").read_bytes()
