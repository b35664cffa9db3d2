"""What a check-up found: how it stands, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jobplane.cli.exits import Exit


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    SKIPPED = "skip"
    WARNING = "warn"
    FAILURE = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up."""

    check: str
    level: Level
    text: str
    # What to do; empty where nothing is to be done.
    advice: str = ""
    # What the command exits with where this is the first failure.
    exit: Exit = Exit.DEFECT


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def skipped(check: str, text: str) -> Finding:
    """It could not be looked at, or need not be."""
    return Finding(check, Level.SKIPPED, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """It works, but may not for long."""
    return Finding(check, Level.WARNING, text, advice)


def failure(check: str, text: str, advice: str, *, code: Exit = Exit.DEFECT) -> Finding:
    """It does not work."""
    return Finding(check, Level.FAILURE, text, advice, code)
