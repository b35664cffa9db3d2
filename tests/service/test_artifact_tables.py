"""ReadTable over a real engine: any page of a CSV or a Parquet, with exact values."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.json_format import MessageToDict

from jobplane.v1 import artifact_service_pb2
from tests.service.library_server import LibraryServer, refusal

CSV = {"filename": "table.csv"}
PARQUET = {"filename": "table.parquet"}


def read(library, name, **fields):
    request = artifact_service_pb2.ReadTableRequest(name=name, **fields)
    return library.artifacts.ReadTable(request, timeout=20)


def rows(answer):
    return [MessageToDict(row) for row in answer.rows]


def columns(answer):
    return [(column.name, column.type) for column in answer.table.columns]


def csv_table(library, text, **header):
    content = text if isinstance(text, bytes) else text.encode()
    return library.upload(content, **{**CSV, **header}).artifact.name


def parquet_table(library, table, **options):
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return library.upload(target.getvalue(), **PARQUET).artifact.name


def test_the_table_of_a_job_is_read(library):
    job = library.run_probe(steps=1, table_rows=3)
    answer = read(library, f"{job.name}/artifacts/table.csv")
    assert rows(answer) == [[0.0, 0.0, "row 0"], [1.0, 1.0, "row 1"], [2.0, 4.0, "row 2"]]
    assert columns(answer) == [("index", "int64"), ("square", "int64"), ("text", "string")]
    assert answer.table.row_count == 3


@pytest.mark.parametrize("offset", [0, 1, 255, 256, 257, 999])
@pytest.mark.parametrize("limit", [1, 100, 2000])
def test_any_page_of_a_csv_has_its_rows(library, offset, limit):
    name = csv_table(library, "n,t\n" + "".join(f'{n},"row\n{n}"\n' for n in range(1000)))
    answer = read(library, name, offset=offset, limit=limit)
    wanted = [[float(n), f"row\n{n}"] for n in range(offset, min(offset + limit, 1000))]
    assert rows(answer) == wanted
    assert (answer.offset, answer.table.row_count) == (offset, 1000)


@pytest.mark.parametrize("offset", [0, 99, 100, 250, 999])
def test_any_page_of_a_parquet_has_its_rows(library, offset):
    table = pa.table({"n": range(1000), "t": [f"row {n}" for n in range(1000)]})
    name = parquet_table(library, table, row_group_size=100)
    answer = read(library, name, offset=offset, limit=150)
    assert rows(answer) == [[float(n), f"row {n}"] for n in range(offset, min(offset + 150, 1000))]
    assert answer.table.row_count == 1000


def test_no_limit_is_a_hundred_rows(library):
    name = csv_table(library, "n\n" + "1\n" * 150)
    assert len(read(library, name).rows) == 100


@pytest.mark.parametrize("limit", [-1, 2001])
def test_a_limit_out_of_bounds_is_refused(library, limit):
    name = csv_table(library, "n\n1\n")
    assert refusal(read, library, name, limit=limit).fields == ["limit"]


def test_an_offset_at_the_end_is_an_empty_page_and_beyond_it_is_refused(library):
    name = csv_table(library, "n\n1\n2\n")
    assert rows(read(library, name, offset=2)) == []
    refused = refusal(read, library, name, offset=3)
    assert (refused.code, refused.reason) == ("OUT_OF_RANGE", "OFFSET_PAST_END")
    assert refused.metadata == {"offset": "3", "size": "2"}


@pytest.mark.parametrize("make", [csv_table, None], ids=["csv", "parquet"])
def test_columns_are_picked_in_the_order_asked_for(library, make):
    if make:
        name = make(library, "a,b,c\n1,2,3\n")
    else:
        name = parquet_table(library, pa.table({"a": [1], "b": [2], "c": [3]}))
    answer = read(library, name, columns=["c", "a"])
    assert rows(answer) == [[3.0, 1.0]]
    assert [column for column, _ in columns(answer)] == ["c", "a"]
    assert answer.table.row_count == 1


def test_an_unknown_column_is_named_with_those_there_are(library):
    name = csv_table(library, "a,b\n1,2\n")
    refused = refusal(read, library, name, columns=["a", "x"])
    assert refused.fields == ["columns[1]"]
    assert "a, b" in refused.message


def test_a_page_is_the_same_every_time(library):
    name = csv_table(library, "a,b\n" + "".join(f"{n},{n / 7}\n" for n in range(600)))
    pages = {read(library, name, offset=300).SerializeToString() for _ in range(3)}
    assert len(pages) == 1


@pytest.mark.parametrize(
    ("cells", "type_", "values"),
    [
        (["1", "-2", ""], "int64", [1.0, -2.0, None]),
        (["9007199254740992", "9007199254740993"], "int64", [2.0**53, "9007199254740993"]),
        (["1.5", "2", "1e3"], "double", [1.5, 2.0, 1000.0]),
        (["0.1", "0.12345678901234567890"], "double", [0.1, "0.12345678901234567890"]),
        (["1.0", "nan", "1e999"], "double", [1.0, "nan", "1e999"]),
        (["true", "False", ""], "bool", [True, False, None]),
        (["007", "8"], "string", ["007", "8"]),
        (["123456789012345678901234567890", "1"], "string", None),
        (["2024-01-02", "x", ""], "string", ["2024-01-02", "x", ""]),
        (["=1+1", "<script>", "'"], "string", ["=1+1", "<script>", "'"]),
        (["", ""], "null", [None, None]),
    ],
)
def test_csv_values_are_exact(library, cells, type_, values):
    name = csv_table(library, "k,v\n" + "".join(f"r,{cell}\n" for cell in cells))
    answer = read(library, name, columns=["v"])
    assert columns(answer) == [("v", type_)]
    assert [row[0] for row in rows(answer)] == (values or cells)


@pytest.mark.parametrize(
    ("array", "type_", "value"),
    [
        (pa.array([2**53]), "int64", float(2**53)),
        (pa.array([2**53 + 1]), "int64", str(2**53 + 1)),
        (pa.array([2**64 - 1], pa.uint64()), "uint64", str(2**64 - 1)),
        (pa.array([0.1]), "double", 0.1),
        (pa.array([float("nan")]), "double", "NaN"),
        (pa.array([float("-inf")]), "double", "-Infinity"),
        (pa.array([Decimal("1.10")]), "decimal128(3, 2)", "1.10"),
        (pa.array([True]), "bool", True),
        (pa.array(["é\0"]), "string", "é\0"),
        (pa.array([b"\xff"]), "binary", "/w=="),
        (pa.array([date(2024, 1, 2)]), "date32[day]", "2024-01-02"),
        (pa.array([[1, None]]), "list<element: int64>", [1.0, None]),
        (pa.array([{"a": 1, "b": "x"}]), "struct<a: int64, b: string>", {"a": 1.0, "b": "x"}),
        (pa.array([None], pa.int64()), "int64", None),
    ],
)
def test_parquet_values_are_exact(library, array, type_, value):
    answer = read(library, parquet_table(library, pa.table({"v": array})))
    assert columns(answer) == [("v", type_)]
    assert rows(answer) == [[value]]


def test_times_of_a_parquet_keep_their_nanoseconds(library):
    array = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", tz="UTC"))
    [[value]] = rows(read(library, parquet_table(library, pa.table({"t": array}))))
    assert value.startswith("2023-11-14 22:13:20.123456789")
    naive = pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC).replace(tzinfo=None)])
    [[value]] = rows(read(library, parquet_table(library, pa.table({"t": naive}))))
    assert value.startswith("2024-01-02 03:04:05")


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a;b\n1;2\n", [[1.0, 2.0]]),
        ("a\tb\n1\t2\n", [[1.0, 2.0]]),
        ("\ufeffa,b\r\n1,2\r\n", [[1.0, 2.0]]),
        ("a,b\r1,2\r", [[1.0, 2.0]]),
        ("a,b\n\n1,2\n\n\n", [[1.0, 2.0]]),
        ("a,b\n1,2", [[1.0, 2.0]]),
        ("a,b\n1\n1,2,3\n", [[1.0, None], [1.0, 2.0]]),
        ('a,b\n1,"x ""y"" z"\n', [[1.0, 'x "y" z']]),
        ('a,b\n1,5" disk\n2,b\n', [[1.0, '5" disk'], [2.0, "b"]]),
        ("a,b\n1,x\0y\n", [[1.0, "x\0y"]]),
        (b"a,b\n1,\xff\n", [[1.0, "\ufffd"]]),
        ("a,b\n", []),
        ("", []),
    ],
)
def test_odd_csvs_are_read_as_the_standard_library_reads_them(library, text, cells):
    name = csv_table(
        library, text, sha256="" if text else sha256_empty(), size_bytes=len(encoded(text))
    )
    assert rows(read(library, name)) == cells


def encoded(text):
    return text if isinstance(text, bytes) else text.encode()


def sha256_empty():
    return "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_columns_of_the_same_name_can_be_told_apart(library):
    name = csv_table(library, "a,a,\n1,2,3\n")
    assert columns(read(library, name)) == [("a", "int64"), ("a.1", "int64"), ("column_3", "int64")]


def test_a_page_is_cut_at_its_size_and_goes_on_where_it_was_cut(library):
    cell = "x" * 100_000
    name = csv_table(library, "n,t\n" + "".join(f"{n},{cell}\n" for n in range(60)))
    seen, offset = [], 0
    while offset < 60:
        answer = read(library, name, offset=offset)
        assert answer.ByteSize() < 4 * 1024 * 1024
        seen += [row[0] for row in rows(answer)]
        offset += len(answer.rows)
    assert seen == [float(n) for n in range(60)]


def test_a_row_that_fits_into_no_page_says_so(library):
    name = csv_table(library, "a,b\n1," + "x" * 3_500_000 + "\n")
    refused = refusal(read, library, name)
    assert refused.fields == ["columns"]
    assert rows(read(library, name, columns=["a"])) == [[1.0]]


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"PAR1 not really PAR1", PARQUET),
        (b"\x00\x01\x02", CSV),
        (b"\xff\xfea\x00", CSV),
    ],
    ids=["broken parquet", "binary", "utf-16"],
)
def test_what_is_no_table_inside_says_why(library, content, header):
    name = library.upload(content, **header).artifact.name
    refused = refusal(read, library, name)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["name"])
    assert "can't be read as a table" in refused.message


def test_what_does_not_claim_to_be_a_table_is_refused(library):
    name = library.upload(b"abc", filename="a.txt").artifact.name
    refused = refusal(read, library, name)
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["name"])
    assert "text/plain" in refused.message


def test_a_truncated_parquet_is_refused(library):
    target = io.BytesIO()
    pq.write_table(pa.table({"a": range(1000)}), target)
    name = library.upload(target.getvalue()[:-200], **PARQUET).artifact.name
    assert refusal(read, library, name).fields == ["name"]


def test_a_parquet_with_spoiled_pages_does_not_harm_the_server(library):
    target = io.BytesIO()
    pq.write_table(pa.table({"a": range(100_000)}), target, compression="snappy")
    content = bytearray(target.getvalue())
    content[100:5000] = b"\xff" * 4900
    name = library.upload(bytes(content), **PARQUET).artifact.name
    assert refusal(read, library, name).fields == ["name"]
    assert rows(read(library, csv_table(library, "a\n1\n"))) == [[1.0]]


def test_a_reader_that_is_killed_is_replaced(library):
    name = csv_table(library, "a\n1\n")
    read(library, name)
    for worker in library.house.library._sheets._workers._idle:
        worker._process.kill()
        worker._process.wait(10)
    answers = []
    for _ in range(3):
        try:
            answers.append(rows(read(library, name)))
        except Exception as error:  # noqa: BLE001  at most one sees the death
            answers.append(error)
    assert answers[-1] == [[1.0]]


def test_the_index_outlives_the_server(loop_thread, tmp_path):
    first = LibraryServer(loop_thread, tmp_path / "data")
    name = csv_table(first, "a\n" + "1\n" * 1000)
    read(first, name)
    [index] = (tmp_path / "data/content/indexes").rglob("*.json")
    before = index.stat().st_mtime_ns
    first.close()
    second = LibraryServer(loop_thread, tmp_path / "data")
    assert len(read(second, name, offset=900).rows) == 100
    assert index.stat().st_mtime_ns == before
    second.close()


def test_an_index_that_was_damaged_is_built_anew(library):
    name = csv_table(library, "a\n" + "1\n" * 1000)
    read(library, name)
    library.house.library._sheets._workers.rest(idle_s=0.0)
    [index] = (library.data_dir / "content/indexes").rglob("*.json")
    index.write_bytes(b"{")
    assert len(read(library, name).rows) == 100


def test_pages_together_are_the_whole_csv(library):
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["a", "b"])
    wanted = [[f"{n}x", 'q"\n,' * (n % 4)] for n in range(3000)]
    writer.writerows(wanted)
    name = csv_table(library, text.getvalue())
    seen = []
    while len(seen) < 3000:
        seen += rows(read(library, name, offset=len(seen), limit=777))
    assert seen == wanted
