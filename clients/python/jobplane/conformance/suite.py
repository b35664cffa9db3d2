"""The suite: runs the rules against a server, several at a time, and says how each went."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import grpc

from jobplane.conformance import (
    cancels,
    content,
    doors,
    errors,
    idempotency,
    lists,
    logs,
    sets,
    statuses,
    watches,
)
from jobplane.conformance.refusal import Refusal
from jobplane.conformance.rule import BrokenRuleError, SkippedRule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from jobplane.conformance.rule import Chapter, Rule
    from jobplane.conformance.server import Server

CHAPTERS: tuple[Chapter, ...] = (
    doors.CHAPTER,
    errors.CHAPTER,
    idempotency.CHAPTER,
    statuses.CHAPTER,
    cancels.CHAPTER,
    watches.CHAPTER,
    sets.CHAPTER,
    lists.CHAPTER,
    logs.CHAPTER,
    content.CHAPTER,
)
AT_ONCE = 4
# A rule that has no verdict by then is broken: nothing may wait without an end.
RULE_S = 120.0
SLOW_RULE_S = 600.0


class Outcome(StrEnum):
    """How a rule went."""

    PASS = "pass"  # noqa: S105  no secret
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one rule went, what was seen where it is broken, and why it was skipped."""

    rule: Rule
    outcome: Outcome
    note: str
    seconds: float


def chosen(patterns: Sequence[str] = ()) -> list[Rule]:
    """Rules whose names match one of the patterns, or all of them."""
    rules = [rule for chapter in CHAPTERS for rule in chapter.rules]
    if not patterns:
        return rules
    return [rule for rule in rules if any(fnmatchcase(rule.name, one) for one in patterns)]


async def run(
    rules: Sequence[Rule], server: Server, *, slow: bool = False, at_once: int = AT_ONCE
) -> AsyncIterator[Verdict]:
    """Verdicts in the order of the rules; those that need the server to themselves come last."""
    places = asyncio.Semaphore(at_once)

    async def judged(rule: Rule) -> Verdict:
        async with places:
            return await _judge(rule, server, slow=slow)

    crowd = [asyncio.create_task(judged(rule)) for rule in rules if not rule.alone]
    try:
        for task in crowd:
            yield await task
        for rule in rules:
            if rule.alone:
                yield await _judge(rule, server, slow=slow)
    finally:
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)


async def _judge(rule: Rule, server: Server, *, slow: bool) -> Verdict:
    if rule.slow and not slow:
        return Verdict(rule, Outcome.SKIP, "it takes more than a minute; run it with --slow", 0.0)
    began = time.monotonic()
    outcome, note = Outcome.PASS, ""
    try:
        async with asyncio.timeout(SLOW_RULE_S if rule.slow else RULE_S):
            await rule.check(server)
    except BrokenRuleError as error:
        outcome, note = Outcome.FAIL, str(error)
    except SkippedRule as reason:
        outcome, note = Outcome.SKIP, str(reason)
    except TimeoutError:
        outcome, note = Outcome.FAIL, "no verdict in time: something waited without an end"
    except grpc.RpcError as error:
        refusal = Refusal.of(error)
        is_absent = refusal.reason == "NOT_ENABLED"
        outcome = Outcome.SKIP if is_absent else Outcome.FAIL
        note = f"a call that is due was refused with {refusal}"
    return Verdict(rule, outcome, note, time.monotonic() - began)
