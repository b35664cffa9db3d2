"""Which server a client talks to, and how."""

import json

import grpc
import pytest

from jobplane.client import Client
from jobplane.client._channel import (
    call_metadata,
    channel_options,
    is_loopback,
    retried_methods,
    service_config,
)
from jobplane.client._context import Context, ContextBook, choose, read_book, write_book


@pytest.fixture
def book(tmp_path):
    """Path of a book whose context "prod" is in use."""
    path = tmp_path / "contexts.json"
    prod = Context(address="db:1", project="p", token="secret", tls=True)
    write_book(path, ContextBook({"prod": prod, "dev": Context(address="127.0.0.1:2")}, "prod"))
    return path


def chosen(book, *, context_name="", env=None, **given) -> Context:
    return choose(
        given=Context(**given),
        env={"JOBPLANE_CONFIG": str(book), **(env or {})},
        context_name=context_name,
    )


def test_without_any_word_the_server_is_the_local_one(tmp_path):
    context = chosen(tmp_path / "none.json")
    assert (context.address, context.project, context.tls) == ("127.0.0.1:7070", "default", False)


def test_the_context_in_use_is_taken(book):
    context = chosen(book)
    assert (context.address, context.token, context.tls) == ("db:1", "secret", True)


def test_another_context_may_be_named(book):
    assert chosen(book, context_name="dev").address == "127.0.0.1:2"
    assert chosen(book, env={"JOBPLANE_CONTEXT": "dev"}).address == "127.0.0.1:2"


def test_an_unknown_context_is_refused(book):
    with pytest.raises(ValueError, match="known: dev, prod"):
        chosen(book, context_name="nowhere")


def test_the_environment_wins_over_the_file_and_the_argument_over_both(book):
    env = {"JOBPLANE_ADDRESS": "env:1", "JOBPLANE_PROJECT": "env"}
    assert chosen(book, env=env).address == "env:1"
    assert chosen(book, env=env).project == "env"
    assert chosen(book, env=env, address="arg:1").address == "arg:1"


def test_a_kept_token_does_not_follow_to_another_server(book):
    assert chosen(book, address="other:1").token == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"contexts": {"a": {"color": 1}}}', "{}"])
def test_a_damaged_file_is_told_with_its_name(tmp_path, text):
    path = tmp_path / "contexts.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"contexts\.json is no file of contexts"):
        read_book(path)


def test_a_written_book_is_read_back_and_private(book):
    assert read_book(book).in_use.token == "secret"
    assert book.stat().st_mode & 0o777 == 0o600


def test_a_token_is_not_shown_by_accident():
    assert "secret" not in repr(Context(token="secret"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7070", True),
        ("localhost:7070", True),
        ("[::1]:7070", True),
        ("dns:///localhost:7070", True),
        ("unix:/run/jobplane", True),
        ("10.0.0.1:7070", False),
        ("localhost.example.com:7070", False),
    ],
)
def test_loopback_is_known_by_its_address(address, expected):
    assert is_loopback(address) is expected


def test_a_token_goes_in_clear_text_to_this_machine_alone():
    assert call_metadata(Context(address="127.0.0.1:1", token="t"))
    assert call_metadata(Context(address="db:1", token="t", tls=True))
    with pytest.raises(ValueError, match="TLS"):
        call_metadata(Context(address="db:1", token="t"))


def test_all_three_keepalive_options_are_set():
    names = {name for name, _ in channel_options("db:1", own_connection=False)}
    assert {
        "grpc.keepalive_time_ms",
        "grpc.keepalive_timeout_ms",
        "grpc.http2.ping_timeout_ms",
    } <= names


def test_only_what_is_safe_to_repeat_is_retried():
    names = {item["method"] for item in retried_methods()}
    assert {"GetJob", "ListJobs", "CountJobs", "WaitJob", "SubmitJob", "GetServerInfo"} <= names
    assert not names & {"CancelJob", "DeleteJob", "UpdateJob", "WatchJob", "ReadArtifact"}
    (config,) = json.loads(service_config())["methodConfig"]
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_an_encrypted_channel_is_made_for_tls():
    with Client("127.0.0.1:1", tls=True) as client:
        assert isinstance(client.channel, grpc.Channel)
