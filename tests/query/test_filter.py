"""The grammar: what is a filter, what is not, and where it goes wrong."""

import pytest

from jobplane.engine.domain.errors import InvalidFilterError
from jobplane.engine.query.filter import MAX_BYTES, MAX_DEPTH, MAX_TERMS, parse_filter
from jobplane.engine.query.schema import ARTIFACT_FIELDS, MODEL_FIELDS, Schema

A, B, C = 'kind = "a"', 'kind = "b"', 'kind = "c"'


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("", ""),
        (" \t\r\n", ""),
        ("status = RUNNING", 'status = "RUNNING"'),
        ("status=RUNNING", 'status = "RUNNING"'),
        ("status != 'RUNNING'", 'status != "RUNNING"'),
        ("phase = FINISHED", 'phase = "FINISHED"'),
        ("done = true", "done = true"),
        ('done != "false"', "done != false"),
        ("failure.category = GATE", 'failure.category = "GATE"'),
        ("failure.category = ''", 'failure.category = ""'),
        ("failure.reason : oom", 'failure.reason : "oom"'),
        ("priority >= 10", "priority >= 10"),
        ("attempt > -1", "attempt > -1"),
        ("metrics.loss<1e-3", "metrics.loss < 0.001"),
        ("metrics.loss = -.5", "metrics.loss = -0.5"),
        ("metrics.f1/macro-avg >= 1", "metrics.f1/macro-avg >= 1.0"),
        ("labels.team = x", 'labels.team = "x"'),
        ('labels."my key" = x', 'labels."my key" = "x"'),
        ("labels.team : x", 'labels.team : "x"'),
        ("labels:team", "labels:team"),
        ("labels : 'my key'", 'labels:"my key"'),
        ("labels.team:*", "labels:team"),
        ('labels.team:"*"', "labels:team"),
        ("metrics.loss:*", "metrics:loss"),
        ("display_name = night*", 'display_name = "night*"'),
        ("display_name != 'night*'", 'display_name != "night*"'),
        ("display_name = *", 'display_name = "*"'),
        (r"display_name = 'night\*'", r'display_name = "night\*"'),
        (r"creator = 'o\'hara \"x\" \\'", r'creator = "o' + r"'hara \"x\" \\" + '"'),
        ("creator = me@example.org", 'creator = "me@example.org"'),
        ("queue = 'AND'", 'queue = "AND"'),
        ("queue = ORDERS", 'queue = "ORDERS"'),
        ("queue = OR-1", 'queue = "OR-1"'),
        ("creator = Zoë", 'creator = "Zoë"'),
        ("create_time > 2026-01-31T12:00:00Z", 'create_time > "2026-01-31T12:00:00Z"'),
        ("start_time = '2026-01-31t12:00:00z'", 'start_time = "2026-01-31T12:00:00Z"'),
        ("finish_time<2026-01-31T12:00:00.5+01:00", 'finish_time < "2026-01-31T11:00:00.500000Z"'),
        (
            "update_time < 2026-01-31T12:00:00.123456000Z",
            'update_time < "2026-01-31T12:00:00.123456Z"',
        ),
        ("project = -", 'project = "-"'),
        # OR binds tighter than AND.
        (f"{A} AND {B} OR {C}", f"{A} AND {B} OR {C}"),
        (f"{A} AND ({B} OR {C})", f"{A} AND {B} OR {C}"),
        (f"({A} AND {B}) OR {C}", f"({A} AND {B}) OR {C}"),
        (f"({A} AND {B}) AND {C}", f"{A} AND {B} AND {C}"),
        (f"(({A}))", A),
        (f"NOT {A} OR {B}", f"NOT {A} OR {B}"),
        (f"-{A}", f"NOT {A}"),
        (f"-({A} OR {B})", f"NOT ({A} OR {B})"),
        (f"NOT NOT {A}", f"NOT NOT {A}"),
        (f"NOT({A})", f"NOT {A}"),
    ],
)
def test_a_filter_is_read_as_it_is_meant(written: str, means: str) -> None:
    assert str(parse_filter(written)) == means
    assert parse_filter(means) == parse_filter(written)


@pytest.mark.parametrize(
    ("written", "column", "part"),
    [
        ("nightly", 1, "'nightly' alone is no condition; write FIELD = VALUE"),
        ('"nightly"', 1, 'begins with the name of a field, not with "'),
        ("42", 1, "begins with the name of a field, not with 4"),
        ("state = RUNNING", 1, "there is no field 'state'; did you mean status? Fields: kind,"),
        ("label.team = x", 1, "did you mean labels.KEY?"),
        ("failure = x", 1, "did you mean failure.reason?"),
        ("kind.x = y", 1, "there is no field 'kind.x'; did you mean kind?"),
        ("zzz = y", 1, "there is no field 'zzz'; Fields: kind, status"),
        ("status = RUNNNING", 10, "no value 'RUNNNING'; did you mean RUNNING? Values: QUEUED,"),
        ("status = running", 10, "did you mean RUNNING?"),
        ("status = JOB_STATUS_RUNNING", 10, "did you mean RUNNING?"),
        ("status = JOB_STATUS_SUCCEEDED_WITH_GAPS", 10, "did you mean SUCCEEDED_WITH_GAPS?"),
        ("status = 7", 10, "has no value '7'; Values:"),
        ("status < RUNNING", 8, "status is one of a few names and takes only = !="),
        ("status : RUN", 8, "takes only = !="),
        ("done > true", 6, "done is true or false and takes only = !="),
        ("done = yes", 8, "done is true or false, not 'yes'"),
        ("done", 5, "an operator is missing after done: = !="),
        ("priority : 5", 10, "priority is a whole number and takes only = != < <= > >="),
        ("priority = high", 12, "whole number of 32 bits, not 'high'"),
        ("priority = 1.5", 12, "whole number of 32 bits"),
        ("priority = 2147483648", 12, "whole number of 32 bits"),
        ("priority = " + "9" * 1000, 12, "whole number of 32 bits"),
        ("priority = \u0661", 12, "whole number of 32 bits"),
        ("metrics.loss = nan", 16, "metrics.KEY is a finite number, not 'nan'"),
        ("metrics.loss = 1e999", 16, "finite number"),
        ("metrics.loss : 1", 14, "takes only = != < <= > >="),
        ("metrics = 1", 1, "metrics needs a key: metrics.KEY = VALUE, or metrics:KEY"),
        ("labels", 1, "labels needs a key"),
        ("labels. = x", 8, "a key is missing after labels."),
        ("labels.'' = x", 8, "a key is missing after labels."),
        ("labels.'a*' = x", 8, "a key has no wildcard"),
        ("labels:*", 8, "labels: takes the name of a key"),
        ("labels:", 8, "labels: takes the name of a key"),
        ("labels.team = x*", 15, "labels.KEY takes no wildcard here; only display_name = PREFIX*"),
        ("display_name : x*", 16, "takes no wildcard here"),
        ("display_name = *x", 16, "a wildcard * stands at the end only"),
        ("display_name = x**", 16, "a wildcard * stands at the end only"),
        ("create_time > yesterday", 15, "a time looks like 2026-01-31T12:00:00Z"),
        ("create_time > 2026-01-31", 15, "a time looks like"),
        ("create_time > 2026-01-31T12:00:00", 15, "with a zone"),
        ("create_time > 2026-02-31T12:00:00Z", 15, "is no time of the calendar"),
        ("create_time > 0001-01-01T00:00:00+01:00", 15, "is no time of the calendar"),
        ("create_time > 2026-01-31T12:00:00.1234567Z", 15, "at most 6 decimals"),
        ("create_time : 2026-01-31T12:00:00Z", 13, "create_time is a time and takes only"),
        ("kind == a", 6, "there is no operator ==; write ="),
        ("kind <> a", 6, "there is no operator <>; write !="),
        ("kind ~ a", 6, "there is no operator ~; write :"),
        ("kind a", 6, "an operator is missing after kind: = != < <= > >= :"),
        ("kind =", 7, "a value is missing after kind ="),
        ("kind = )", 8, "a value is missing after kind ="),
        ("kind = AND", 8, "a value is missing after kind =; quote a value named AND"),
        ("kind = a b", 10, "AND or OR is missing before b; quote a value that has spaces"),
        ("kind = a, b", 9, "AND or OR is missing before ,"),
        ("kind = a and kind = b", 10, "write AND in capitals"),
        ("kind = a Or kind = b", 10, "write OR in capitals"),
        ("not kind = a", 1, "write NOT in capitals"),
        ("kind = a AND", 13, "a condition is missing at the end"),
        ("AND kind = a", 1, "a condition is missing before AND"),
        ("kind = a OR AND kind = b", 13, "a condition is missing before AND"),
        ("NOT", 4, "a condition is missing at the end"),
        ("(kind = a", 1, "this parenthesis is never closed"),
        ("(kind = a kind = b)", 11, "AND or OR is missing before kind"),
        ("kind = a)", 9, "this parenthesis closes nothing"),
        ("()", 2, "a condition is missing before )"),
        ("kind = 'a", 8, "the quote ' is never closed"),
        ("kind = 'a\\", 10, "a backslash goes before"),
        (r"kind = 'a\n'", 10, "a backslash goes before"),
        ("kind = a\u00a0b", 8, "quote a value that has unusual spaces"),
        ("kind = 'a\0'", 10, "the character NUL"),
        ("kind = '\ud800'", 9, "half of a surrogate pair"),
        ("kind(a)", 5, "an operator is missing after kind"),
    ],
)
def test_a_bad_filter_is_refused_at_its_column_with_the_cure(
    written: str, column: int, part: str
) -> None:
    with pytest.raises(InvalidFilterError) as refusal:
        parse_filter(written)
    assert (refusal.value.column, refusal.value.field) == (column, "filter")
    assert part in refusal.value.description


def test_a_filter_may_have_as_many_bytes_as_the_limit_and_not_one_more() -> None:
    room = MAX_BYTES - len("kind = ''") - len("é".encode())
    parse_filter(f"kind = 'é{'x' * room}'")
    with pytest.raises(InvalidFilterError, match="2049 bytes long; at most 2048"):
        parse_filter(f"kind = 'é{'x' * (room + 1)}'")


def test_a_filter_may_have_as_many_conditions_as_the_limit_and_not_one_more() -> None:
    parse_filter(" AND ".join([A] * MAX_TERMS))
    with pytest.raises(InvalidFilterError, match="at most 20 conditions") as refusal:
        parse_filter(" OR ".join([A] * (MAX_TERMS + 1)))
    assert refusal.value.column == 1 + MAX_TERMS * len(f"{A} OR ")


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("NOT ", ""), ("-", "")])
def test_a_filter_may_nest_as_deep_as_the_limit_and_not_deeper(opening: str, closing: str) -> None:
    parse_filter(opening * MAX_DEPTH + A + closing * MAX_DEPTH)
    deeper = MAX_DEPTH + 1
    with pytest.raises(InvalidFilterError, match="at most 5 deep") as refusal:
        parse_filter(opening * deeper + A + closing * deeper)
    assert refusal.value.column == 1 + MAX_DEPTH * len(opening)


def test_parentheses_side_by_side_are_not_deep() -> None:
    parse_filter(" AND ".join(["(kind = a)"] * (MAX_DEPTH + 2)))


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        (ARTIFACT_FIELDS, "artifact_id:review AND type = TABLE OR stage = fit AND attempt = 1"),
        (ARTIFACT_FIELDS, "labels.split = train"),
        (MODEL_FIELDS, "family = bert AND stage = PRODUCTION AND gate_passed = true"),
        (MODEL_FIELDS, "scores.accuracy > 0.9 OR scores:f1 AND job:projects/p"),
    ],
)
def test_other_collections_have_the_same_grammar_over_their_own_fields(
    schema: Schema, written: str
) -> None:
    parse_filter(written, schema)
    with pytest.raises(InvalidFilterError, match="there is no field 'creator'"):
        parse_filter("creator = me", schema)
