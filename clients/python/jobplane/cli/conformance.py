"""The conformance command: holds a server to the contract, from outside."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from jobplane.cli.exits import Exit
from jobplane.cli.session import Session, with_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client._context import Context
    from jobplane.conformance import Rule, Verdict

# What `conformance` exits with when a rule is broken.
BROKEN = 1
OUTCOMES = ("pass", "fail", "skip")


@click.command()
@click.argument("names", nargs=-1, metavar="[RULE]...")
@click.option("--json", "as_json", is_flag=True, help="Same as -o json.")
@click.option("--list", "only_list", is_flag=True, help="Only list the rules.")
@click.option("--slow", is_flag=True, help="Check also what takes more than a minute.")
@click.option(
    "--slack",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="Seconds that the network or a loaded machine may add to each bound.",
)
@with_session
def conformance(
    session: Session,
    *,
    names: Sequence[str],
    as_json: bool,
    only_list: bool,
    slow: bool,
    slack: float,
) -> int:
    """Hold a server to the contract: every rule, or those that match a RULE such as 'W2-*'.

    Exits 0 when no rule is broken, and 1 when one is. It submits jobs of the kind probe into
    the project, with the label `conformance`, and cancels what is left of them.
    """
    from jobplane.conformance import chosen  # noqa: PLC0415 - `--help` must not load gRPC

    session.output = "json" if as_json else session.output
    rules = chosen(names)
    if not rules:
        raise click.UsageError(f"no rule matches {' '.join(names)}; list them with --list")
    if only_list:
        return _list(session, rules)
    # An answer at all comes first: without one nothing is broken, only unreachable.
    info = session.client.server_info()
    session.say(f"{session.client.address}, version {info.version}: {len(rules)} rules")
    verdicts = asyncio.run(_judge(session, rules, slow=slow, slack_s=slack))
    return _tell(session, info.version, verdicts)


def _list(session: Session, rules: Sequence[Rule]) -> int:
    if session.is_json:
        session.write_json([{"rule": rule.name, "sentence": rule.sentence} for rule in rules])
        return Exit.OK
    width = max(len(rule.name) for rule in rules)
    for rule in rules:
        session.write(f"{rule.name:<{width}}  {rule.sentence}")
    return Exit.OK


async def _judge(
    session: Session, rules: Sequence[Rule], *, slow: bool, slack_s: float
) -> list[Verdict]:
    """Verdicts, each told as soon as it is known."""
    from jobplane.conformance import Server, run  # noqa: PLC0415 - `--help` must not load gRPC

    verdicts: list[Verdict] = []
    server = Server(_context(session), slack_s=slack_s)
    try:
        async for verdict in run(rules, server, slow=slow):
            verdicts.append(verdict)
            if not session.is_json:
                session.write(_line(verdict))
        await server.clean_up()
    finally:
        await server.channel.close()
    return verdicts


def _context(session: Session) -> Context:
    """The server that the session's own client talks to."""
    from jobplane.client._context import Context, choose  # noqa: PLC0415 - the same

    given = Context(address=session.address, project=session.project)
    return choose(given=given, env=os.environ, context_name=session.context, tls=session.tls)


def _line(verdict: Verdict) -> str:
    note = f"\n      {verdict.note}" if verdict.note else ""
    return f"{verdict.outcome}  {verdict.rule.name}  {verdict.rule.sentence}{note}"


def _tell(session: Session, version: str, verdicts: Sequence[Verdict]) -> int:
    counts = {
        outcome: sum(verdict.outcome == outcome for verdict in verdicts) for outcome in OUTCOMES
    }
    if session.is_json:
        report: dict[str, Any] = {
            "address": session.client.address,
            "version": version,
            **counts,
            "rules": [
                {
                    "rule": verdict.rule.name,
                    "sentence": verdict.rule.sentence,
                    "outcome": verdict.outcome,
                    "note": verdict.note,
                    "seconds": round(verdict.seconds, 3),
                }
                for verdict in verdicts
            ],
        }
        session.write_json(report)
    else:
        session.say(f"{counts['pass']} kept, {counts['fail']} broken, {counts['skip']} skipped")
    return BROKEN if counts["fail"] else Exit.OK
