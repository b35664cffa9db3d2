import json

from bench import record

TARGETS = {
    "fast": (">=", 0.4, "calls, over bare calls"),
    "short": ("<=", 50.0, "start"),
    "never taken": (">=", 1.0, "something else"),
}


def test_a_figure_on_its_target_is_met_and_one_beyond_it_is_missed(capsys):
    assert record.missed(TARGETS, {"fast": 0.4, "short": 50.1}) == 1
    met, missed = capsys.readouterr().out.splitlines()
    assert met.startswith("ok ")
    assert missed.startswith("MISS")


def test_a_figure_that_was_not_taken_is_not_printed_as_met(capsys):
    record.missed(TARGETS, {"fast": 1.0})
    assert "something else" not in capsys.readouterr().out


def test_what_is_kept_says_the_machine_and_how_loaded_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.keep("calls", {"medians": {"fast": 0.5}}, "Calls", {"fast": 0.5})
    kept = json.loads((tmp_path / "calls.json").read_text())
    assert kept["medians"] == {"fast": 0.5}
    assert kept["machine"]
    assert kept["load_before"] >= 0
    assert "<svg" in (tmp_path / "calls.svg").read_text()
