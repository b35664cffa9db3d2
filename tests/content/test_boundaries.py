"""Rows of a CSV are found as the parser of the standard library finds them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplane.engine.content.tables import boundaries
from jobplane.engine.content.tables.boundaries import Boundaries
from jobplane.engine.content.tables.csv_index import cells_of
from jobplane.engine.content.tables.shape import TableError


def rows(data, block_bytes, newline=b"\n"):
    finder = Boundaries(delimiter=",", newline=newline, block_bytes=block_bytes)
    found = []
    for block, at, begins, ends in finder.records(io.BytesIO(data), 0):
        assert data[at : at + len(block)] == block
        pairs = zip(begins.tolist(), ends.tolist(), strict=True)
        found += [cells_of(block[begin:end], ",") for begin, end in pairs]
    return found


@given(st.text('ab,"\n', max_size=60), st.integers(1, 70))
def test_any_text_in_any_blocks_has_the_rows_of_the_standard_library(text, block_bytes):
    wanted = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert rows(text.encode(), block_bytes) == wanted


@given(
    st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=4), max_size=20), st.integers(1, 99)
)
def test_what_the_standard_library_wrote_is_read_back(table, block_bytes):
    table = [[cell.replace("\r", "").replace("\0", "") for cell in row] for row in table]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(table)
    data = text.getvalue().encode("utf-8", "replace")
    wanted = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in table]
    assert rows(data, block_bytes) == wanted


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_line_ends_of_both_kinds_end_rows(end):
    assert rows(b"a,b" + end + end + b"1,2" + end, 4) == [["a", "b"], ["1", "2"]]


def test_a_quote_that_is_never_closed_is_no_row_without_end(monkeypatch):
    monkeypatch.setattr(boundaries, "MAX_RECORD_BYTES", 100)
    with pytest.raises(TableError, match="never closed"):
        rows(b'a\n"' + b"x" * 1000, 10)
