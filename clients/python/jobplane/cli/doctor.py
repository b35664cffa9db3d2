"""The doctor command: looks at all that must be right, and says what to do where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.finding import Finding, Level
from jobplane.cli.machine import client_findings, store_findings
from jobplane.cli.reach import server_findings
from jobplane.cli.safe import Safe, styled
from jobplane.cli.session import Session, with_session

if TYPE_CHECKING:
    from collections.abc import Iterator

COLORS = {
    Level.OK: "green",
    Level.SKIPPED: "bright_black",
    Level.WARNING: "yellow",
    Level.FAILURE: "red",
}
DATA = Path(".jobplane")
CHECK_WIDTH = 11
TEXT_AT = CHECK_WIDTH + 8
ADVICE = " " * 6


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data folder of a server on this machine; .jobplane where there is one.",
)
@click.option("--fix", is_flag=True, help="Mend what can be mended without harm: permissions.")
@with_session
def doctor(session: Session, *, data: Path | None, fix: bool) -> int:
    """Check this machine, the connection and the server, and say what to do.

    Each line is ok, warn, fail or skip. Exits 0 when nothing failed, else by the first
    failure: 2 wrong settings, 6 denied, 69 server unreachable, 70 anything else.
    """
    folder = data or (DATA if DATA.is_dir() else None)
    found: list[Finding] = []
    for finding in _findings(session, folder, fix=fix):
        found.append(finding)
        if not session.is_json and not (session.quiet and finding.level is Level.OK):
            _write(session, finding)
    if session.is_json:
        _write_json(session, found)
    counts = {level: sum(1 for one in found if one.level is level) for level in Level}
    session.say(", ".join(f"{number} {level.value}" for level, number in counts.items() if number))
    failed = [one for one in found if one.level is Level.FAILURE]
    return failed[0].exit if failed else Exit.OK


def _findings(session: Session, folder: Path | None, *, fix: bool) -> Iterator[Finding]:
    yield from client_findings(session, fix=fix)
    yield from server_findings(session)
    if folder is not None:
        yield from store_findings(folder, fix=fix)


def _write(session: Session, finding: Finding) -> None:
    level = styled(f"{finding.level.value:<4}", fg=COLORS[finding.level])
    line = Safe("  ").join([level, f"{finding.check:<{CHECK_WIDTH}}", finding.text])
    session.write_folded(line, indent=TEXT_AT)
    if finding.advice:
        session.write_folded(f"{ADVICE}-> {finding.advice}", indent=TEXT_AT)


def _write_json(session: Session, found: list[Finding]) -> None:
    values = [
        {"check": one.check, "level": one.level.value, "text": one.text, "advice": one.advice}
        for one in found
    ]
    if session.output == "json":
        session.write_json(values)
        return
    for value in values:
        session.write_json(value)
