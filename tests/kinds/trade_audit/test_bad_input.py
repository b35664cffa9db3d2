"""Each journal that can't be audited ends with its reason, and a sentence that helps."""

import gzip
from typing import Any

import pytest

from jobplane.engine.domain.job import FailureCategory, JobSpec
from jobplane.engine.kinds.base import Outcome, WorkError
from jobplane.engine.kinds.trade_audit import KIND
from jobplane.engine.kinds.trade_audit.skeleton import review_skeleton
from jobplane.engine.kinds.trade_audit.work import run
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditSpec
from tests.kinds.trade_audit.rig import HEADER, Audited, audit, context_for, journal

ROW = "2024-01-02 10:00:00,X,1,100,BUY,5\n"
BAD: dict[str, tuple[str | bytes, str, str]] = {
    "nothing": ("", "EMPTY_INPUT", "empty"),
    "blank": (" \n\n  \n", "EMPTY_INPUT", "empty"),
    "byte order mark only": (b"\xef\xbb\xbf", "EMPTY_INPUT", "empty"),
    "header only": (HEADER, "NO_ROWS", "no rows"),
    "no header": (ROW * 3, "NO_ROWS", "header"),
    "no pnl": (
        "timestamp,asset,profitt\n2024-01-02,X,5\n",
        "MISSING_COLUMN",
        "the journal has: 'timestamp', 'asset', 'profitt'; did you mean 'profitt'?",
    ),
    "no time": ("asset,pnl\nX,5\n", "MISSING_COLUMN", "timestamp (a time)"),
    "fills without a side": (
        "timestamp,quantity,price\n2024-01-02,5,1\n",
        "MISSING_COLUMN",
        "without a side",
    ),
    "workbook": (b"PK\x03\x04" + b"\0" * 50, "UNSUPPORTED_FORMAT", ".xlsx"),
    "old workbook": (b"\xd0\xcf\x11\xe0" + b"\0" * 50, "UNSUPPORTED_FORMAT", ".xls"),
    "gzip": (gzip.compress(HEADER.encode()), "UNSUPPORTED_FORMAT", "gzip"),
    "pdf": (b"%PDF-1.7\n", "UNSUPPORTED_FORMAT", "PDF"),
    "binary": (bytes(range(256)) + b"\0" * 100, "UNSUPPORTED_FORMAT", "no text"),
    "web page": (" <html><body><table></table></body></html>", "UNSUPPORTED_FORMAT", "web page"),
    "json": ('[{"timestamp": "2024-01-02", "pnl": 5}]', "UNSUPPORTED_FORMAT", "JSON"),
    "strange delimiter": ((HEADER + ROW).replace(",", "~"), "MISSING_COLUMN", "by a comma"),
    "broken parquet": (b"PAR1 no more", "UNSUPPORTED_FORMAT", "Parquet"),
    "no readable time": (
        HEADER + "soon,X,1,1,BUY,5\nlater,X,1,1,BUY,5\nnow,X,1,1,BUY,5\nwhen,X,1,1,BUY,5\n",
        "BAD_TIMESTAMP",
        "'soon', 'later', 'now'",
    ),
    "mostly unreadable": (
        HEADER + ROW * 3 + ROW.replace(",5", ",five"),
        "INPUT_UNUSABLE",
        "1 of 4 rows can't be used, more than 20%: BAD_NUMBER in 1 (first in line 5)",
    ),
    "rows too long": (HEADER + ROW * 3 + "a,b,c,d,e,f,g\n", "INPUT_UNUSABLE", "line 5"),
    "no position closed": (
        "timestamp,side,quantity,price\n2024-01-02,BUY,5,1\n",
        "NO_ROWS",
        "no closed trade",
    ),
}


def refusal(content: str | bytes, **fields: Any) -> WorkError:
    with pytest.raises(WorkError) as caught:
        audit(content, **fields)
    assert caught.value.category == FailureCategory.INPUT
    assert not caught.value.retryable
    return caught.value


@pytest.mark.parametrize("case", BAD)
def test_a_journal_that_can_not_be_audited_says_why(case: str) -> None:
    content, reason, words = BAD[case]
    error = refusal(content)
    assert error.reason == reason
    assert words in error.message


def test_a_message_about_a_hostile_header_stays_short() -> None:
    header = ",".join(f"{'<script>' * 100}{index}" for index in range(500))
    assert len(refusal(f"{header}\n{'1,' * 499}1\n").message) < 4000


def test_a_file_over_the_servers_limit_is_refused() -> None:
    context = context_for(HEADER + ROW * 100, settings={"max_input_bytes": 100})
    with pytest.raises(WorkError) as caught:
        run(TradeAuditSpec(), context)
    assert caught.value.reason == "INPUT_TOO_LARGE"


def test_repeats_beyond_the_rows_of_an_audit_are_refused() -> None:
    rows = HEADER + ROW * 20_001
    assert refusal(rows, k_repeat=1000).reason == "INPUT_TOO_LARGE"


def test_a_currency_without_a_rate_is_refused() -> None:
    error = refusal("timestamp,pnl,currency\n2024-01-02,5,CHF\n", base_currency="USD")
    assert error.reason == "FX_RATE_MISSING"
    assert "'CHF'" in error.message


def test_a_mapped_column_that_is_not_there_is_refused() -> None:
    error = refusal(HEADER + ROW, column_map={"pnl": "Profitt"})
    assert error.reason == "MISSING_COLUMN"
    assert "column_map[pnl]" in error.message


def test_a_failed_audit_leaves_its_records_with_the_usual_keys() -> None:
    context = context_for(HEADER)
    with pytest.raises(WorkError):
        run(TradeAuditSpec(), context)
    done = Audited(Outcome(), context)
    assert done.review.keys() == review_skeleton().keys()
    assert (done.review["execution_status"], done.review["error_type"]) == ("FAILED", "NO_ROWS")
    assert done.json("job.json")["error_type"] == "NO_ROWS"
    assert done.json("job.json")["artifacts"] == {
        name: name for name in ("data_quality.json", "job.json", "review.json")
    }


DROPPED = {
    "NUL": "2024-01-03 10:00:00,X\0,1,100,BUY,5\n",
    "too many cells": "2024-01-03 10:00:00,X,1,100,BUY,5,6\n",
    "huge cell": f"2024-01-03 10:00:00,{'x' * 65537},1,100,BUY,5\n",
}


@pytest.mark.parametrize("case", DROPPED)
def test_a_broken_row_is_dropped_with_its_line(case: str) -> None:
    done = audit(HEADER + ROW * 9 + DROPPED[case] + ROW)
    warnings = {one["code"]: one for one in done.review["data_quality_warnings"]}
    assert warnings["BAD_ROW"]["first_rows"] == [11]
    assert warnings["DROPPED_ROWS"]["count"] == 1
    assert [row["row"] for row in done.rows("normalized.csv")][-1] == "12"


def test_a_cell_of_64_kib_is_kept() -> None:
    done = audit(HEADER + ROW * 9 + f"2024-01-03 10:00:00,{'x' * 65536},1,100,BUY,5\n")
    assert done.result.trade_count == 10


def test_an_open_quote_loses_its_rows_and_no_others() -> None:
    done = audit(HEADER + ROW * 9 + '2024-01-03 10:00:00,"X,1,100,BUY,5\n')
    assert done.result.trade_count == 9


def test_lines_inside_of_quotes_count_for_the_line_of_later_rows() -> None:
    done = audit(HEADER + '2024-01-01 10:00:00,"X\nY",1,100,BUY,5\n\n' + ROW)
    assert [row["row"] for row in done.rows("normalized.csv")] == ["2", "5"]


def test_a_row_with_an_unreadable_number_is_dropped_and_told() -> None:
    done = audit(HEADER + ROW * 9 + ROW.replace(",5", ",n.b."))
    assert {"BAD_NUMBER", "DROPPED_ROWS"} <= done.codes()
    assert done.json("data_quality.json")["dropped_rows"] == 1


@pytest.mark.parametrize("column", ["price", "size_usd", "pnl"])
def test_a_number_beyond_all_money_is_dropped_and_overflows_nothing(column: str) -> None:
    names = HEADER.strip().split(",")
    huge = ROW.strip().split(",")
    huge[names.index(column)] = "1e308"
    audited = audit(HEADER + ROW * 9 + ",".join(huge) + "\n" + ",".join(huge) + "\n")
    assert len(audited.rows("normalized.csv")) == 9
    assert "BAD_NUMBER" in audited.codes()


@pytest.mark.parametrize("value", ["inf", "-inf", "NaN", "1e999"])
def test_a_pnl_that_is_no_finite_number_is_never_taken(value: str) -> None:
    done = audit(HEADER + ROW * 9 + ROW.replace(",5", f",{value}"))
    assert done.result.trade_count == 9


BAD_SPECS = {
    "daily_max_loss": TradeAuditSpec(daily_max_loss=0),
    "daily_max_loss ": TradeAuditSpec(daily_max_loss=float("nan")),
    "daily_max_loss  ": TradeAuditSpec(daily_max_loss=float("inf")),
    "k_repeat": TradeAuditSpec(k_repeat=0),
    "max_seconds": TradeAuditSpec(max_seconds=0),
    "timezone": TradeAuditSpec(timezone="Mars/Olympus"),
    "timezone ": TradeAuditSpec(timezone="../etc/passwd"),
    "base_currency": TradeAuditSpec(fx={"EUR": 1.1}),
    "column_map": TradeAuditSpec(column_map={"pnl": "a", "fee": "a"}),
}


@pytest.mark.parametrize("field", BAD_SPECS)
def test_a_bad_spec_names_its_field(field: str) -> None:
    violations = list(KIND.check(BAD_SPECS[field], JobSpec(kind="trade_audit", params=b"")))
    assert [violation.field for violation in violations] == [field.strip()]


def test_a_spec_with_all_defaults_is_fine() -> None:
    spec = TradeAuditSpec()
    KIND.fill_defaults(spec)
    assert not list(KIND.check(spec, JobSpec(kind="trade_audit", params=b"")))
    assert (spec.k_repeat, spec.max_seconds, spec.timezone) == (1, 120.0, "UTC")


def test_the_wall_clock_limit_of_the_spec_bounds_the_attempt() -> None:
    assert KIND.attempt_timeout_s(TradeAuditSpec(max_seconds=7)) == 7
    assert KIND.attempt_timeout_s(TradeAuditSpec()) == 120


def test_the_user_becomes_a_label() -> None:
    assert KIND.labels(TradeAuditSpec(user_id="u1")) == {"user_id": "u1"}
    assert KIND.labels(TradeAuditSpec()) == {}


def test_a_journal_of_one_row_is_audited() -> None:
    done = audit(journal("02 10:00, 100, BUY, 5"))
    assert done.result.outcome == "DRAW"
    assert "SMALL_SAMPLE" in done.codes()
