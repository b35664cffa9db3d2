"""Every link of the documentation, and every page an error points to, is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobplane.engine.domain.errors import EngineError
from jobplane.service.errors import TABLE

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md")) + sorted((ROOT / "examples").glob("*/README.md"))


def anchors(page: Path) -> set[str]:
    """What a link may point to: ids written out, and headings as they are rendered."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def broken(target: str, page: Path) -> bool:
    path, _, anchor = target.partition("#")
    place = (page.parent / path).resolve() if path else page
    return not place.exists() or bool(anchor and anchor not in anchors(place))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    targets = LINK.findall(FENCED.sub("", page.read_text()))
    ours = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in ours if broken(target, page)] == []


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/decisions/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert pages == set(LINK.findall(index))


def test_every_page_is_reached_from_the_index():
    reached = set(walk(ROOT / "docs/README.md"))
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - reached == set()


def walk(start: Path) -> Iterator[Path]:
    seen, waiting = set(), [start]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        yield page
        targets = LINK.findall(FENCED.sub("", page.read_text()))
        waiting += [(page.parent / target.partition("#")[0]).resolve() for target in targets]


def help_links() -> Iterator[tuple[str, str]]:
    """Reason and address of every page that an error points to."""
    for cls, row in TABLE.items():
        for make in row.details:
            if make.__qualname__.startswith("_help."):
                # A help is the same for every error of its kind, so any will do.
                for part in make(EngineError()):
                    yield from ((cls.reason, link.url) for link in part.links)


@pytest.mark.parametrize(("reason", "address"), list(help_links()))
def test_the_help_of_an_error_leads_to_its_reason(reason, address):
    path, _, anchor = address.partition("#")
    assert anchor == reason
    assert anchor in anchors(ROOT / path)


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60
