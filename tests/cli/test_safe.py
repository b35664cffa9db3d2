"""What others wrote reaches a terminal as text alone."""

import json

import pytest

from jobplane.cli.safe import Safe, cut, folded, json_escaped, safe, styled, width
from jobplane.cli.session import Session
from jobplane.cli.sheet import csv_of
from jobplane.cli.table import table
from jobplane.v1 import job_pb2
from tests.client.fake_jobs import new_job, run_to_end

# Clears the screen, sets a title, goes back over the line, reorders it, and forges a line.
HOSTILE = "\x1b[2J\x1b]0;owned\x07a\r\u202eb\n\u2028c\x9bd\udc80\U000e0041"
RAW = [sign for sign in HOSTILE if not sign.isprintable()]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ascii", "plain ascii"),
        ("größe 数 👩\u200d🔬", "größe 数 👩\u200d🔬"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80\U000e0041", "\\udc80\\U000e0041"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(given, shown):
    assert safe(given) == shown


def test_safe_text_is_not_escaped_twice_and_makes_what_joins_it_safe():
    red = styled("x\x1b", fg="red")
    assert safe(red) is red
    assert Safe(" ").join([red, "\x1b"]) == f"{red} \\x1b"
    assert red + "\n" == f"{red}\\n"


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("数", 2), ("e\u0301", 1), (styled("ab", fg="red"), 2)]
)
def test_width_is_counted_in_columns(text, columns):
    assert width(text) == columns


def test_a_cut_text_is_as_wide_as_it_may_be():
    assert cut("数数数", 6) == "数数数"
    assert cut("数数数", 5) == "数数…"
    assert cut("abc", 1) == "…"
    assert cut("abc", 0) == ""


def test_json_is_escaped_without_loss():
    text = json.dumps({"a": HOSTILE}, ensure_ascii=False)
    assert json.loads(json_escaped(text)) == {"a": HOSTILE}
    assert not any(sign in json_escaped(text) for sign in RAW)


def test_a_csv_starts_no_formula():
    assert csv_of(["A"], [["=1+1"], ["-5"], ["@x"], ["-"]]) == "a\n'=1+1\n-5\n'@x\n-"


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal of some width."""

    def of(columns):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))

    return of


def test_a_table_is_no_wider_than_its_terminal(terminal):
    rows = [["id-1", "数" * 30, "x" * 300, "why " * 20], ["id-2", "b", "c", "d"]]
    for columns in (20, 60, 100, 160):
        terminal(columns)
        shown = table(("ID", "NAME", "MORE", "WHY"), rows, spare=("MORE",))
        assert max(map(width, shown.split("\n"))) <= columns
        assert "id-1" in shown


def test_a_narrow_terminal_is_spared_columns_in_their_order(terminal):
    rows = [["id", "a" * 10, "b" * 10, "c" * 30]]
    heads = {}
    for columns in (80, 45, 30):
        terminal(columns)
        shown = table(("ID", "A", "B", "LAST"), rows, spare=("B", "A"))
        heads[columns] = shown.split("\n")[0].split()
    assert heads == {80: ["ID", "A", "B", "LAST"], 45: ["ID", "A", "LAST"], 30: ["ID", "LAST"]}


def test_a_pipe_gets_every_cell_whole():
    assert "x" * 300 in table(("A", "B"), [["x" * 300, "y"]])


@pytest.mark.parametrize("form", ["table", "wide", "json", "jsonl", "csv"])
@pytest.mark.parametrize(
    "command",
    [["ls"], ["describe", "bad"], ["events", "bad"], ["watch", "bad"], ["wait", "bad"],
     ["watch", "bad", "-v", "--progress", "always"], ["result", "bad"], ["artifacts", "ls", "bad"]],
    ids=" ".join,
)  # fmt: skip
def test_no_command_gives_hostile_text_to_the_terminal(cli, server, command, form):
    job = new_job("bad")
    for at, text in (
        (job.wire, "creator"),
        (job.wire.failure, "message"),
        (job.wire.spec, "display_name"),
        (job.wire.result, "headline"),
        (job.wire.wait, "message"),
        (job.wire.progress, "message"),
    ):
        setattr(at, text, HOSTILE.replace("\udc80", ""))
    job.wire.labels["k"] = HOSTILE.replace("\udc80", "")
    job.tell_progress(0.5, HOSTILE.replace("\udc80", ""))
    server.add(run_to_end(job, job_pb2.JOB_STATUS_FAILED))
    ran = cli(*command, "-o", form, "--color", "never")
    told = ran.out + ran.err
    # A live bar draws with escapes of its own.
    drawn = {"\x1b", "\r", "\n"} if "always" in command else {"\n"}
    assert not [sign for sign in told if sign in RAW and sign not in drawn]
    assert "\x1b[2J" not in told
    assert "\x1b]0;" not in told


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ab cd", ["ab cd"]),
        ("  ab cd efg hij", ["  ab cd", "  efg hij"]),
        ("abcdefghijkl mn", ["abcdefgh", "  ijkl mn"]),
        ("数数数数数数", ["数数数数", "  数数"]),
        ("a\x1bb cd efgh", ["a\\x1bb cd", "  efgh"]),
    ],
)
def test_long_text_goes_on_in_indented_lines(text, lines):
    assert folded(text, 10, indent=2).split("\n") == lines
    assert all(width(line) <= 10 for line in lines)


def test_a_narrow_terminal_gets_next_steps_below_each_other(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for columns in (80, 30):
        monkeypatch.setenv("COLUMNS", str(columns))
        Session().say_next("jobplane watch abc", "jobplane result abc")
    assert capsys.readouterr().err.splitlines() == [
        "next: jobplane watch abc  |  jobplane result abc",
        "next: jobplane watch abc",
        "      jobplane result abc",
    ]
