"""How the databases go about a list: by an index, in its order, whatever is asked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from jobplane.engine.domain.job import Job, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.order import Order
from jobplane.engine.query.schema import JOB_FIELDS
from jobplane.engine.store import listing
from tests.query.test_agreement import EPOCH, postgresql, sqlite, store

ROWS = 60
# More of them than this are "many" in these tests, as 2,000 are in the store.
FEW = 10
MILLION = 1_000_000
ORDERS = [
    Order(field, descending=descending)
    for field in ("create_time", "update_time", "finish_time", "priority")
    for descending in (False, True)
]
# For each field of a filter, a value that many jobs have.
FILTERS = {
    "kind": "kind = probe",
    "status": "status = QUEUED",
    "phase": "phase = WAITING",
    "done": "done = false",
    "project": "project = p",
    "queue": "queue = default",
    "job_set": "job_set = s",
    "creator": "creator = c",
    "priority": "priority >= 0",
    "attempt": "attempt = 0",
    "schedule": "schedule = x",
    "failure.reason": "failure.reason = R",
    "failure.category": "failure.category = USER_CODE",
    "display_name": "display_name = night*",
    "labels": "labels.team = a",
    "metrics": "metrics.loss < 5",
    "create_time": 'create_time > "1970-01-01T00:00:00Z"',
    "start_time": 'start_time > "1970-01-01T00:00:00Z"',
    "finish_time": 'finish_time > "1970-01-01T00:00:00Z"',
    "update_time": 'update_time > "1970-01-01T00:00:00Z"',
}


@dataclass
class Statements:
    """What was sent to the database, with its parameters."""

    connection: Connection

    def of(self, read: Any) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            found.append((statement, parameters))

        event.listen(self.connection, "before_cursor_execute", note)
        try:
            read()
        finally:
            event.remove(self.connection, "before_cursor_execute", note)
        return found

    def plan(self, statement: str, parameters: Any) -> str:
        if self.connection.dialect.name == "sqlite":
            rows = self.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in rows)
        rows = self.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return "\n".join(row[0] for row in rows)


def a_job(number: int) -> Job:
    moment = EPOCH + timedelta(days=number)
    return Job(
        project="p",
        job_id=f"{number:06}",
        spec=JobSpec("probe", b"", display_name="nightly"),
        status=JobStatus.QUEUED,
        sequence=1,
        created_at=moment,
        updated_at=moment,
        queue="default",
        job_set="s",
        creator="c",
        schedule="x",
        labels={"team": "a"},
        started_at=moment,
        finished_at=moment,
    )


def pages(connection: Connection, filter: str, order: Order, project: str) -> None:
    expression = parse_filter(filter)
    after = order.key_of(a_job(ROWS // 2))
    for key in (None, after):
        listing.page(
            connection, project=project, expression=expression, order=order, after=key, limit=11
        )


def plans(connection: Connection, filter: str, order: Order, project: str) -> list[tuple[str, str]]:
    statements = Statements(connection)
    sent = statements.of(lambda: pages(connection, filter, order, project))
    return [(statement, statements.plan(statement, parameters)) for statement, parameters in sent]


def faults(statement: str, plan: str) -> list[str]:
    """What a list must not do; rows that an index picked, and that are few, may be sorted."""
    reads_all = re.search(r"SCAN jobs(?! USING)|Seq Scan on jobs", plan)
    sorts_all = re.search(r"TEMP B-TREE|Sort Key", plan) and "pk IN" not in statement
    return [f"{statement}\n{plan}"] if reads_all or sorts_all else []


@pytest.fixture(scope="module", params=["sqlite", "sqlite with statistics", "postgresql"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    make = postgresql if request.param == "postgresql" else sqlite
    for connection in make():
        for number in range(ROWS):
            store(connection, a_job(number))
        connection.commit()
        if request.param == "postgresql":
            # Of a small table it would read all rows whatever there is: is there another way?
            connection.execute(text("SET enable_seqscan = off"))
            connection.execute(text("SET enable_sort = off"))
            connection.execute(text("SET enable_bitmapscan = off"))
            connection.commit()
        elif request.param == "sqlite with statistics":
            pretend_a_million(connection)
        yield connection


def pretend_a_million(connection: Connection) -> None:
    """Statistics as ANALYZE leaves them, of a table with a million jobs that are all alike."""
    connection.execute(text("ANALYZE"))
    for name, index, stat in connection.execute(
        text("SELECT tbl, idx, stat FROM sqlite_stat1")
    ).all():
        rows = " ".join(str(int(count) * MILLION // ROWS) for count in stat.split())
        connection.execute(
            text("UPDATE sqlite_stat1 SET stat = :stat WHERE tbl = :name AND idx IS :index"),
            {"stat": rows, "name": name, "index": index},
        )
    connection.commit()
    # Statistics are read when the schema is.
    connection.execute(text("ANALYZE sqlite_schema"))
    connection.commit()


def test_every_field_of_a_filter_is_asked_for_here() -> None:
    assert set(FILTERS) == {field.name for field in JOB_FIELDS.fields}


@pytest.mark.parametrize("project", ["p", "-"])
@pytest.mark.parametrize("few", [FEW, MILLION], ids=["many match", "few match"])
@pytest.mark.parametrize("name", ["", *FILTERS])
def test_a_list_reads_an_index_in_its_order(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, name: str, few: int, project: str
) -> None:
    monkeypatch.setattr(listing, "FEW", few)
    found = [
        fault
        # PostgreSQL reads an index both ways, and takes long to plan.
        for order in (ORDERS if connection.dialect.name == "sqlite" else ORDERS[1:4:2])
        for statement, plan in plans(connection, FILTERS.get(name, ""), order, project)
        for fault in faults(statement, plan)
    ]
    assert not found, found[0]
