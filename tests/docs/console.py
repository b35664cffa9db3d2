"""What a page shows, taken out of it: blocks of a language, and sessions of a console."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    """Code of a page in one language, block by block."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def session(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Commands of a page's console blocks, each with the output it shows."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.splitlines()


def missing(shown: list[str], printed: list[str]) -> str | None:
    """The first shown line that the output lacks in its place; None when all are there."""
    at = 0
    anywhere = False
    for line in shown:
        if line == "…":
            anywhere = True
            continue
        rest = [text.rstrip() for text in printed[at:]]
        if line.rstrip() not in (rest if anywhere else rest[:1]):
            return line
        at += rest.index(line.rstrip()) + 1
        anywhere = False
    return None if anywhere or at == len(printed) else f"nothing after {shown[-1]!r}"
