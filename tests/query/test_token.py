"""Page tokens: ours come back, all others are refused."""

import base64
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobplane.engine.domain.errors import InvalidPageTokenError
from jobplane.engine.query.token import MAX_TOKEN_BYTES, Key, PageTokens

SECRET = b"a secret of the server, long"
TOKENS = PageTokens(SECRET)
BOUND = ("jobs", "p", "status = RUNNING", "")
KEY = (1_769_860_800_000_000, "0198-é", "p", None)

keys = st.lists(
    st.integers(-(2**63), 2**63) | st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    max_size=4,
).map(tuple)
bounds = st.lists(st.text(max_size=8), max_size=4)


def refused(token: str, bound: Sequence[str] = BOUND, tokens: PageTokens = TOKENS) -> bool:
    with pytest.raises(InvalidPageTokenError):
        tokens.decode(token, bound)
    return True


@given(keys, bounds)
def test_a_token_gives_its_key_back_for_the_same_query(key: Key, bound: list[str]) -> None:
    assert TOKENS.decode(TOKENS.encode(key, bound), bound) == key


@given(keys, bounds, bounds)
def test_a_token_is_refused_for_another_query(key: Key, bound: list[str], other: list[str]) -> None:
    assume(bound != other)
    assert refused(TOKENS.encode(key, bound), other)


@pytest.mark.parametrize("bits", range(1, 256))
def test_a_token_with_any_byte_changed_is_refused(bits: int) -> None:
    raw = base64.urlsafe_b64decode(TOKENS.encode(KEY, BOUND) + "==")
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ bits]) + raw[place + 1 :]
        refused(base64.urlsafe_b64encode(changed).rstrip(b"=").decode())


def test_a_token_with_any_character_changed_is_refused() -> None:
    # The three lengths end in none, two and four spare bits.
    for key in (("",), ("a",), ("ab",)):
        token = TOKENS.encode(key, BOUND)
        for place, char in enumerate(token):
            for other in "AQgwBz-_+/= \n.é\ud800":
                if other != char:
                    refused(token[:place] + other + token[place + 1 :])


def test_a_token_cut_anywhere_is_refused() -> None:
    token = TOKENS.encode(KEY, BOUND)
    assert all(refused(token[:end]) for end in range(len(token)))
    assert all(refused(token[start:]) for start in range(1, len(token)))


@given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode())
)
def test_what_we_did_not_make_is_refused(token: str) -> None:
    assert refused(token)


@pytest.mark.parametrize("ending", ["=", "==", "\n", " ", "A", "AAAA"])
def test_a_token_with_something_added_is_refused(ending: str) -> None:
    assert refused(TOKENS.encode(KEY, BOUND) + ending)


def test_a_token_longer_than_any_of_ours_is_refused() -> None:
    assert refused("A" * (MAX_TOKEN_BYTES + 4))


def test_a_token_of_another_server_is_refused() -> None:
    assert refused(PageTokens(b"another secret of a server").encode(KEY, BOUND))


def test_bound_arguments_do_not_run_into_each_other() -> None:
    assert refused(TOKENS.encode(KEY, ("ab", "c")), ("a", "bc"))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        PageTokens(b"short")
