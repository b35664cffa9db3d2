"""Orders: how they are written, and the keys of jobs in them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain.errors import InvalidFilterError
from jobplane.engine.domain.job import Job, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.order import UNFINISHED, Order, parse_order

THEN = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=7)
JOB = Job("p", "id", JobSpec("probe", b""), JobStatus.QUEUED, 1, THEN, THEN, priority=3)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("", "create_time desc"),
        ("  ", "create_time desc"),
        ("create_time", "create_time asc"),
        ("create_time desc", "create_time desc"),
        (" update_time  asc ", "update_time asc"),
        ("finish_time desc", "finish_time desc"),
        ("priority desc", "priority desc"),
    ],
)
def test_an_order_is_a_field_and_a_direction(written: str, means: str) -> None:
    assert str(parse_order(written)) == means
    assert parse_order(means) == parse_order(written)


@pytest.mark.parametrize(
    ("written", "column", "part"),
    [
        ("name", 1, "can't sort by 'name'"),
        (" created_time", 2, "did you mean create_time? Fields: create_time, update_time"),
        ("priority down", 10, "the direction is asc or desc, not 'down'"),
        ("priority DESC", 10, "the direction is asc or desc, not 'DESC'"),
        ("priority desc e", 15, "nothing comes after the direction"),
        ("priority desc, create_time", 14, "one field only"),
    ],
)
def test_a_bad_order_is_refused_at_its_column(written: str, column: int, part: str) -> None:
    with pytest.raises(InvalidFilterError) as refusal:
        parse_order(written)
    assert (refusal.value.column, refusal.value.field) == (column, "order_by")
    assert part in refusal.value.description


def test_the_key_of_a_job_is_its_value_its_id_and_its_project() -> None:
    assert Order("create_time").key_of(JOB) == (7, "id", "p")
    assert Order("priority").key_of(JOB) == (3, "id", "p")


def test_a_job_that_has_not_finished_sorts_before_all_that_have() -> None:
    finished = replace(JOB, finished_at=datetime(1970, 1, 1, tzinfo=UTC))
    order = Order("finish_time")
    assert order.key_of(JOB) == (UNFINISHED, "id", "p") < order.key_of(finished)
