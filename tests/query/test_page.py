"""Pages: their sizes, and where they are cut."""

import pytest

from jobplane.engine.domain.errors import InvalidFilterError, InvalidSpecError
from jobplane.engine.query.expression import Everything
from jobplane.engine.query.order import Order
from jobplane.engine.query.page import JobQuery, cut_page, page_limit


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000)])
def test_a_page_size_is_kept_within_bounds(asked: int, given: int) -> None:
    assert page_limit(asked) == given


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidSpecError, match="page_size: must not be negative"):
        page_limit(-1)


def test_a_list_may_have_a_default_of_its_own() -> None:
    assert page_limit(0, default=100) == 100


def cut(rows: list[str], limit: int = 3, max_bytes: int = 100) -> tuple[tuple[str, ...], bool]:
    return cut_page(rows, limit=limit, max_bytes=max_bytes, size_of=len)


def test_a_page_that_holds_all_rows_has_no_next() -> None:
    assert cut(["a", "b", "c"]) == (("a", "b", "c"), False)


def test_a_page_is_cut_at_its_limit() -> None:
    assert cut(["a", "b", "c", "d"]) == (("a", "b", "c"), True)


def test_a_page_is_cut_before_it_has_too_many_bytes() -> None:
    assert cut(["a" * 60, "b" * 40, "c"]) == (("a" * 60, "b" * 40), True)


def test_a_page_has_one_row_even_if_that_is_too_large() -> None:
    assert cut(["a" * 101, "b"]) == (("a" * 101,), True)
    assert cut(["a" * 101]) == (("a" * 101,), False)


def test_no_rows_make_an_empty_last_page() -> None:
    assert cut([]) == ((), False)


def test_a_query_says_what_it_means() -> None:
    query = JobQuery("p")
    assert (query.expression, query.order, query.limit) == (Everything(), Order(), 50)
    with pytest.raises(InvalidFilterError):
        _ = JobQuery("p", filter="?").expression


def test_a_token_is_bound_to_all_that_decides_what_follows() -> None:
    queries = [
        JobQuery("p"),
        JobQuery("q"),
        JobQuery("p", filter="done = true"),
        JobQuery("p", order_by="priority"),
    ]
    assert len({query.bound for query in queries}) == len(queries)
    assert JobQuery("p", page_size=7).bound == JobQuery("p").bound
