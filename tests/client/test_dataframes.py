"""Tables of artifacts and lists of jobs, as rows and as data frames."""

import asyncio
import sys

import pytest

from jobplane.client import AsyncClient, Client, errors, specs
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, give_artifact
from tests.service.loop_thread import LoopThread
from tests.service.real_server import THREAD, RealServer

CSV = b"ticker,price,open\nSPY,512.5,True\nBRK.B,,False\n"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    thread = LoopThread()
    server = RealServer(thread, tmp_path_factory.mktemp("data"))
    yield server
    server.close()
    thread.close()


@pytest.fixture
def near(real):
    """A client of the real server."""
    with Client(f"127.0.0.1:{real.port}", project="demo") as client:
        yield client


def give_table(server: FakeServer, content: bytes = CSV, name: str = "t.csv") -> None:
    job = server.add(run_to_end(new_job("a")))
    give_artifact(job, name, content)


def test_a_csv_becomes_a_frame_with_the_types_of_its_columns(client: Client, server: FakeServer):
    give_table(server)
    frame = client.job("a").dataframe("t.csv")
    assert list(frame.columns) == ["ticker", "price", "open"]
    assert frame["price"].iloc[0] == 512.5
    assert frame["open"].tolist() == [True, False]


def test_columns_come_in_the_order_asked_for(client: Client, server: FakeServer):
    give_table(server)
    frame = client.artifact("a", "t.csv").dataframe(["open", "ticker"])
    assert list(frame.columns) == ["open", "ticker"]


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
def test_the_delimiter_is_that_of_the_header(client: Client, server: FakeServer, delimiter):
    give_table(server, CSV.replace(b",", delimiter))
    assert len(client.job("a").dataframe("t.csv").columns) == 3


def test_a_parquet_file_becomes_the_frame_that_it_was_made_from(
    client: Client, server: FakeServer, tmp_path
):
    import pandas as pd

    made = pd.DataFrame({"n": [1, 2**60], "when": pd.to_datetime(["2026-01-02", "2026-01-03"])})
    made.to_parquet(tmp_path / "t.parquet")
    give_table(server, (tmp_path / "t.parquet").read_bytes(), "t.parquet")
    pd.testing.assert_frame_equal(client.job("a").dataframe("t.parquet"), made)


def test_what_is_no_table_is_refused_before_it_is_read(client: Client, server: FakeServer):
    give_table(server, b"words", "report.txt")
    with pytest.raises(errors.InvalidArgument, match=r"report\.txt is text/plain") as refused:
        client.job("a").dataframe("report.txt")
    assert refused.value.reason == "NOT_A_TABLE"
    assert server.requests("ReadArtifact") == []


def test_without_pandas_the_error_says_how_to_install_it(
    client: Client, server: FakeServer, monkeypatch
):
    give_table(server)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'jobplane\[pandas\]'"):
        client.job("a").dataframe("t.csv")
    with pytest.raises(ImportError, match=r"pip install 'jobplane\[pandas\]'"):
        client.list().to_pandas()


def test_a_list_becomes_a_frame_in_the_words_of_the_filter(client: Client, server: FakeServer):
    server.add(run_to_end(new_job("a")))
    live = server.add(new_job("b"))
    live.wire.labels["team"] = "q"
    frame = client.list().to_pandas().set_index("job_id")
    assert frame.loc["a", "status"] == "SUCCEEDED"
    assert frame.loc["a", "metrics.value"] == 3.0
    assert frame.loc["b", "labels.team"] == "q"
    assert frame["create_time"].dt.tz is not None
    assert frame["finish_time"].isna().to_dict() == {"a": False, "b": True}


def test_rows_are_those_of_the_table_over_all_pages(near: Client):
    job = near.submit(specs.Probe(isolation=THREAD, steps=1, table_rows=2500)).wait(30)
    artifact = job.artifact("table.csv")
    frame = artifact.dataframe()
    rows = list(artifact.rows())
    assert len(rows) == len(frame) == 2500
    assert rows == frame.to_dict("records")
    some = list(artifact.rows(offset=2000, limit=3, columns=[frame.columns[0]]))
    assert some == [{frame.columns[0]: row[frame.columns[0]]} for row in rows[2000:2003]]
    assert list(artifact.rows(limit=0)) == []


def test_asyncio_has_the_same(real, tmp_path):
    async def scenario():
        async with AsyncClient(f"127.0.0.1:{real.port}", project="demo") as client:
            job = await client.submit(specs.Probe(isolation=THREAD, steps=1, table_rows=5))
            await job.wait(30)
            artifact = await job.artifact("table.csv")
            rows = [row async for row in artifact.rows()]
            frame = await job.dataframe("table.csv")
            assert frame.to_dict("records") == rows
            jobs = await client.list("status = SUCCEEDED", limit=1).to_pandas()
            assert jobs["job_id"].tolist() == [job.id]
            path = await artifact.save(tmp_path / "t.csv")
            assert path.read_bytes() == await artifact.read()

    asyncio.run(scenario())
