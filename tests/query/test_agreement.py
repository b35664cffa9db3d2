"""The same filter over the same jobs: what SQL selects is what Python says."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, insert, make_url, select, text

from jobplane.engine.domain.job import Failure, FailureCategory, Job, JobResult, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.evaluate import evaluate
from jobplane.engine.query.expression import (
    And,
    Comparison,
    Everything,
    Expression,
    Not,
    Or,
    Present,
)
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.instant import instant_of
from jobplane.engine.query.order import Order
from jobplane.engine.query.schema import EQUALITY, JOB_FIELDS, Field, FieldType
from jobplane.engine.store import listing
from jobplane.engine.store.codec import new_job_to_row
from jobplane.engine.store.filter import after_key, compile_filter, order_clauses
from jobplane.engine.store.tables import job_labels, job_metrics, jobs, metadata

POSTGRES = "JOBPLANE_TEST_POSTGRES"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Few of each, so that filters hit; odd enough to find a folding or an escape gone wrong.
ALPHABET = "aAbBzZ_%*/\\\"' -éÉß\u0130\u017f\u212a\ud7ff\ue000\uffff\U0001f600\U0010ffff"
WORDS = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "a%",
    "a_",
    "a*",
    "%",
    "_",
    "é",
    "É",
    "a\U0010ffff",
    "\u212a",
]
words = st.sampled_from(WORDS) | st.text(ALPHABET, max_size=4)
keys = st.sampled_from(["a", "B", "b.c/d-e", "ключ", 'q"*\\'])
numbers = st.integers(-2, 2)
floats = st.sampled_from([-1.5, -0.0, 0.0, 0.1, 1.0, 1e300]) | st.floats(
    allow_nan=False, allow_infinity=False
)
instants = st.sampled_from([0, 1, 10**15, 10**15 + 1]) | st.integers(0, 4 * 10**15)
times = instants.map(lambda us: EPOCH + timedelta(microseconds=us))


@st.composite
def rows(draw: st.DrawFn) -> Job:
    failure = st.builds(Failure, words, st.sampled_from(FailureCategory), st.just("it broke"))
    metrics = st.dictionaries(keys, floats, max_size=2)
    return Job(
        project=draw(st.sampled_from(["p", "q"])),
        job_id=draw(st.uuids().map(str)),
        spec=JobSpec(kind=draw(words), params=b"", display_name=draw(words)),
        status=draw(st.sampled_from(JobStatus)),
        sequence=1,
        created_at=draw(times),
        updated_at=draw(times),
        attempt=draw(numbers),
        priority=draw(numbers),
        queue=draw(words),
        job_set=draw(words),
        labels=draw(st.dictionaries(keys, words, max_size=2)),
        creator=draw(words),
        schedule=draw(words),
        failure=draw(st.none() | failure),
        result=draw(st.none() | metrics.map(lambda m: JobResult(metrics=m))),
        started_at=draw(st.none() | times),
        finished_at=draw(st.none() | times),
    )


def values_of(field: Field) -> st.SearchStrategy[str | int | float | bool]:
    match field.type:
        case FieldType.STRING:
            return words
        case FieldType.ENUM:
            return st.sampled_from([str(value) for value in field.values])
        case FieldType.BOOL:
            return st.booleans()
        case FieldType.INT:
            return numbers
        case FieldType.FLOAT:
            return floats
        case FieldType.TIME:
            return instants


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    field = draw(st.sampled_from(JOB_FIELDS.fields))
    key = draw(keys) if field.is_map else ""
    if field.is_map and draw(st.integers(0, 3)) == 0:
        return Present(field, key)
    operator = draw(st.sampled_from(field.operators))
    is_prefix = field.takes_prefix and operator in EQUALITY and draw(st.booleans())
    return Comparison(field, operator, draw(values_of(field)), key, is_prefix)


def joined(kind: type[And] | type[Or], terms: list[Expression]) -> Expression:
    """As the parser makes it: no And right inside an And, no Or inside an Or."""
    flat: list[Expression] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, And | Or) and type(term) is kind else (term,))
    return kind(tuple(flat))


def nested(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3)
    return (
        inner.map(Not)
        | several.map(lambda terms: joined(And, terms))
        | several.map(lambda terms: joined(Or, terms))
    )


def depth(expression: Expression) -> int:
    """More than the parser counts, never less."""
    match expression:
        case Not(term):
            return 1 + depth(term) + isinstance(term, And | Or)
        case And(terms) | Or(terms):
            return max(depth(t) + isinstance(t, And | Or) for t in terms)
        case _:
            return 0


orders = st.builds(
    Order,
    st.sampled_from(["create_time", "update_time", "finish_time", "priority"]),
    descending=st.booleans(),
)
expressions = st.recursive(comparisons(), nested, max_leaves=8) | st.just(Everything())
filters = expressions.filter(lambda e: depth(e) <= 5 and len(str(e).encode()) <= 2048)


def sqlite() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        metadata.create_all(connection)
        connection.commit()
        yield connection
    engine.dispose()


def postgresql() -> Iterator[Connection]:
    url = os.environ.get(POSTGRES)
    if not url:
        reason = f"set {POSTGRES}=postgresql+psycopg://USER@HOST/DATABASE to run on PostgreSQL"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    schema = f"query_test_{uuid.uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        connection.execute(text(f"SET search_path TO {schema}"))
        metadata.create_all(connection)
        connection.commit()
        yield connection
        connection.rollback()
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        connection.commit()
    engine.dispose()


@pytest.fixture(scope="module", params=[sqlite, postgresql], ids=lambda make: make.__name__)
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    yield from request.param()


def store(connection: Connection, job: Job) -> int:
    """The job as the store keeps it."""
    result = connection.execute(insert(jobs), new_job_to_row(job, lane=""))
    assert result.inserted_primary_key is not None
    pk: int = result.inserted_primary_key[0]
    metrics = job.result.metrics if job.result else {}
    for table, pairs in ((job_labels, job.labels), (job_metrics, metrics)):
        for key, value in pairs.items():
            connection.execute(insert(table), {"job_pk": pk, "key": key, "value": value})
    return pk


@given(st.lists(rows(), max_size=5), st.lists(filters, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_sql_selects_exactly_the_jobs_for_which_python_says_true(
    connection: Connection, found: list[Job], wanted: list[Expression]
) -> None:
    with connection.begin() as transaction:
        stored = {store(connection, job): job for job in found}
        for expression in wanted:
            statement = select(jobs.c.pk).where(compile_filter(expression))
            by_sql = set(connection.scalars(statement))
            by_python = {pk for pk, job in stored.items() if evaluate(expression, job)}
            assert by_sql == by_python, str(expression)
        transaction.rollback()


@given(
    st.lists(rows(), max_size=8),
    filters,
    orders,
    # Few or many: found by an index and sorted, or met on a walk along the order.
    st.sampled_from([0, 1, 2000]),
)
@settings(max_examples=150, deadline=None)
def test_a_list_has_the_jobs_of_its_project_that_match_in_order(
    connection: Connection,
    found: list[Job],
    expression: Expression,
    order: Order,
    few: int,
) -> None:
    with connection.begin() as transaction, pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "FEW", few)
        for job in found:
            store(connection, job)
        for project in ("p", "-", "none"):
            right = [j for j in found if project in {j.project, "-"} and evaluate(expression, j)]
            right.sort(key=order.key_of, reverse=order.descending)
            got: list[str] = []
            after: tuple[int, str, str] | None = None
            while page := listing.page(
                connection,
                project=project,
                expression=expression,
                order=order,
                after=after,
                limit=3,
            ):
                got += [job.job_id for job in page]
                after = order.key_of(page[-1])
            assert got == [job.job_id for job in right], str(expression)
        transaction.rollback()


@given(
    st.lists(rows(), max_size=8),
    orders,
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_pages_by_key_give_every_job_once_in_the_order_of_its_keys(
    connection: Connection, found: list[Job], order: Order, size: int
) -> None:
    # Jobs of one id in two projects, at the same moment, are told apart too.
    twins = [replace(job, project="p2") for job in found[:2]]
    with connection.begin() as transaction:
        stored = {store(connection, job): job for job in (*found, *twins)}
        seen: list[tuple[int, str, str]] = []
        page = select(jobs.c.pk).order_by(*order_clauses(order)).limit(size)
        rest = page
        while pks := list(connection.scalars(rest)):
            seen += [order.key_of(stored[pk]) for pk in pks]
            rest = page.where(after_key(order, seen[-1]))
        assert seen == sorted(
            (order.key_of(job) for job in stored.values()), reverse=order.descending
        )
        transaction.rollback()


@given(filters)
@settings(max_examples=300, deadline=None)
def test_an_expression_prints_as_a_filter_that_means_the_same(expression: Expression) -> None:
    assert parse_filter(str(expression)) == expression


def test_a_time_of_the_store_is_the_instant_of_the_filter() -> None:
    moment = EPOCH + timedelta(days=20000, microseconds=1)
    job = Job("p", "id", JobSpec("probe", b""), JobStatus.QUEUED, 1, moment, moment)
    assert new_job_to_row(job, lane="")["created_us"] == instant_of(moment)
