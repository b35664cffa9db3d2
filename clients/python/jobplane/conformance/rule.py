"""Rules: one sentence of the contract each, and the check that holds a server to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

Check = Callable[["Server"], Awaitable[None]]


class BrokenRuleError(Exception):
    """The server did something else than the contract says; the text is what was seen."""


class SkippedRule(Exception):  # noqa: N818  it is no error
    """The rule can't be checked on this server; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a server must do."""

    name: str
    sentence: str
    check: Check
    # Whether it needs the server to itself.
    alone: bool = False
    # Whether it takes more than a minute.
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    """Rules about one part of the contract, in order."""

    title: str
    rules: list[Rule] = field(default_factory=list[Rule])

    def rule(
        self, name: str, sentence: str, *, alone: bool = False, slow: bool = False
    ) -> Callable[[Check], Check]:
        """Add the decorated check."""

        def add(check: Check) -> Check:
            self.rules.append(Rule(name, sentence, check, alone, slow))
            return check

        return add


def expect(holds: bool, seen: str) -> None:
    """Break the rule unless it holds."""
    if not holds:
        raise BrokenRuleError(seen)


def expect_equal(seen: object, due: object, what: str) -> None:
    """Break the rule unless what was seen is what was due."""
    expect(seen == due, f"{what} is {seen!r}, not {due!r}")
