"""The conformance suite: our server keeps every rule, and each planted bug breaks its own."""

import asyncio
import json

import pytest

from jobplane.conformance import CHAPTERS, Outcome, Server, chosen, run
from jobplane.service.settings import ServiceSettings
from tests.cli.conftest import cli, settings  # noqa: F401  fixtures
from tests.conformance.bent_server import BentServer
from tests.conformance.planted import PLANTED
from tests.engine.conftest import postgres_schema
from tests.service.loop_thread import LoopThread
from tests.service.real_server import RealServer

# What a machine under tests may add to a bound.
SLACK_S = 20.0
# A planted bug that shows as silence is waited for so much longer than the contract allows.
SHORT_SLACK_S = 1.0


@pytest.fixture(scope="module")
def thread():
    thread = LoopThread()
    yield thread
    thread.close()


def open_server(thread, folder, database_url=""):
    """A real server, with few enough seats that the limit of watches can be reached."""
    limits = ServiceSettings(port=0, dev=True, max_watches_per_principal=150)
    return RealServer(thread, folder, limits, database_url=database_url)


@pytest.fixture(scope="module")
def served(thread, tmp_path_factory):
    server = open_server(thread, tmp_path_factory.mktemp("data"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def served_from_postgres(thread, tmp_path_factory):
    server = open_server(thread, tmp_path_factory.mktemp("data"), postgres_schema())
    yield server
    server.close()


async def verdicts_of(address, rules, *, slack_s):
    server = Server.at(address, project="conformance", slack_s=slack_s)
    try:
        return [verdict async for verdict in run(rules, server)]
    finally:
        await server.clean_up()
        await server.channel.close()


@pytest.mark.parametrize("store", ["served", "served_from_postgres"])
def test_our_server_keeps_every_rule(store, request):
    address = f"127.0.0.1:{request.getfixturevalue(store).port}"
    verdicts = asyncio.run(verdicts_of(address, chosen(), slack_s=SLACK_S))
    told = {verdict.rule.name: verdict.note for verdict in verdicts if verdict.outcome != "pass"}
    assert told == {"W3-slow-reader": "it takes more than a minute; run it with --slow"}
    assert len(verdicts) == len(chosen())


async def _through(address, planted):
    bent = BentServer(address, **planted.bends)
    await bent.start()
    try:
        slack_s = SHORT_SLACK_S if planted.is_silent else SLACK_S
        return await verdicts_of(bent.address, chosen([planted.rule]), slack_s=slack_s)
    finally:
        await bent.stop()


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_breaks_its_rule(served, bug):
    planted = PLANTED[bug]
    [verdict] = asyncio.run(_through(f"127.0.0.1:{served.port}", planted))
    assert verdict.outcome is Outcome.FAIL
    assert planted.says in verdict.note


def test_a_proxy_without_a_bug_breaks_no_rule(served):
    async def scenario():
        bent = BentServer(f"127.0.0.1:{served.port}")
        await bent.start()
        rules = chosen(["W2-*", "W6-*", "idempotency-*", "read-*", "upload-*", "error-*"])
        try:
            return await verdicts_of(bent.address, rules, slack_s=SLACK_S)
        finally:
            await bent.stop()

    told = {one.rule.name: one.note for one in asyncio.run(scenario()) if one.outcome != "pass"}
    assert told == {}


def test_rules_have_names_of_their_own_and_sentences():
    rules = [rule for chapter in CHAPTERS for rule in chapter.rules]
    assert len({rule.name for rule in rules}) == len(rules)
    assert all(rule.sentence.endswith(".") for rule in rules)
    watch_rules = {rule.name.partition("-")[0] for rule in rules}
    # W8's other half, a compacted history, can't be brought about from outside.
    assert {f"W{number}" for number in range(1, 14)} <= watch_rules


def test_the_command_tells_each_verdict_and_exits_0(served, cli):  # noqa: F811
    address = f"127.0.0.1:{served.port}"
    ran = cli("conformance", "--address", address, "--slack", "20", "server-*", "--json")
    report = json.loads(ran.out)
    assert ran.code == 0
    assert report["fail"] == 0
    assert report["pass"] == len(report["rules"]) == len(chosen(["server-*"]))
    assert set(report["rules"][0]) == {"rule", "sentence", "outcome", "note", "seconds"}


def test_the_command_exits_1_when_a_rule_is_broken(served, thread, cli):  # noqa: F811
    bends = PLANTED["estimates"].bends

    async def make():
        bent = BentServer(f"127.0.0.1:{served.port}", **bends)
        await bent.start()
        return bent

    bent = thread.run(make())
    ran = cli("conformance", "--address", bent.address, "count-exact", "server-info")
    thread.run(bent.stop())
    assert ran.code == 1
    assert "fail  count-exact" in ran.out
    assert "pass  server-info" in ran.out
    assert "1 kept, 1 broken, 0 skipped" in ran.err


def test_a_server_that_is_not_there_is_unreachable_not_broken(cli):  # noqa: F811
    assert cli("conformance", "--address", "127.0.0.1:1").code == 69


def test_a_name_that_no_rule_has_is_wrong_usage(cli):  # noqa: F811
    assert cli("conformance", "W99-*").code == 2
