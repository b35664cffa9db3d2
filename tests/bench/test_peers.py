import json
from pathlib import Path

import pytest

from bench import record
from bench.peers import __main__ as peers
from bench.peers.figures import Figures


def figures(system, whole):
    return Figures(
        system=system,
        durability="an ack is fsynced",
        submit_64_per_s=whole * 2,
        whole_64_per_s=whole,
        whole_1_p50_ms=1.5,
    )


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    return tmp_path


def test_a_peer_that_is_not_installed_is_missing_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "PEERS", tmp_path / "python")
    with pytest.raises(peers.MissingError, match="make bench-peers"):
        peers.measured("huey", 0.1)


def test_a_peer_that_does_not_start_is_missing_with_the_reason_it_gave(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ModuleNotFoundError: No module named huey' >&2\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(peers, "PEERS", broken)
    with pytest.raises(peers.MissingError, match="No module named huey"):
        peers.measured("huey", 0.1)


def test_each_system_has_the_median_of_its_rounds():
    found = peers.medians(figures("huey", whole) for whole in (10.0, 30.0, 20.0))
    assert found["huey"]["whole_64_per_s"] == 20.0
    assert found["huey"]["rounds"]["whole_64_per_s"] == [10.0, 30.0, 20.0]


def test_ratios_are_kept_beside_the_figures_and_a_missing_peer_has_none(results, capsys):
    systems = peers.medians([figures("Jobplane", 100.0), figures("procrastinate", 25.0)])
    assert peers.report(systems, {"Celery": "no redis-server here"}) == 0
    kept = json.loads((results / "peers.json").read_text())
    assert kept["ratios"] == {"procrastinate": 4.0}
    assert kept["missing"] == {"Celery": "no redis-server here"}
    assert "no redis-server here" in capsys.readouterr().out


def test_a_ratio_below_its_target_fails_the_bench(results):
    systems = peers.medians([figures("Jobplane", 30.0), figures("procrastinate", 25.0)])
    assert peers.report(systems, {}) == 1


def test_every_system_has_a_module():
    folder = Path(peers.__file__).parent
    assert all((folder / f"{module}.py").is_file() for module in peers.SYSTEMS)
