import random
from datetime import date
from typing import Any

import pytest

from jobplane.engine.kinds.answer_run.reading import read_document
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import RawFile
from tests.kinds.answer_run.rig import make_pdf


def read(name: str, content: str | bytes, **limits: Any) -> Any:
    warned = []
    warn = lambda reason, message: warned.append((reason, message))  # noqa: E731  a one-line fake
    raw = RawFile(name, content.encode() if isinstance(content, str) else content)
    return read_document(raw, "d1", Limits(**limits), warn), warned


def test_markdown_is_kept_as_it_is() -> None:
    doc, _ = read("a.md", "# Title\r\n\r\nText.\r\n")
    assert doc.text == "# Title\n\nText.\n"
    assert doc.title == "Title"
    assert doc.marks.at(doc.text.index("Text")) == 3


def test_front_matter_gives_title_date_and_standing() -> None:
    doc, _ = read("a.md", "---\ntitle: The plan\ndate: 2024-03-12\nstatus: draft\n---\n\nText.\n")
    assert (doc.title, doc.dated, doc.standing) == ("The plan", date(2024, 3, 12), -1)
    assert doc.text[doc.body :].strip() == "Text."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "# T\n\nUpdated: 2024-03-12\n\nText."),
        ("a.md", "# T\n\nValid from 12 March 2024\n\nText."),
        ("a.md", "# Minutes, March 12, 2024\n\nText."),
        ("a.txt", "BULLETIN\nOffice of ships, 12 March 2024\n\nText."),
        ("minutes-2024-03-12.md", "# T\n\nText."),
    ],
)
def test_the_date_that_a_document_claims_is_found(name: str, text: str) -> None:
    assert read(name, text)[0].dated == date(2024, 3, 12)


def test_a_date_in_a_sentence_is_not_the_documents_own() -> None:
    assert read("a.md", "# T\n\nThe bridge fell on 12 March 1924 in a storm.")[0].dated is None


def test_a_title_falls_back_to_the_files_name() -> None:
    assert read("notes/air-quality_2024.txt", "text")[0].title == "air quality 2024"


def test_a_byte_order_mark_is_dropped() -> None:
    assert read("a.md", b"\xef\xbb\xbfText.")[0].text == "Text."


def test_utf_16_is_read() -> None:
    assert read("a.txt", "Text.".encode("utf-16"))[0].text == "Text."


def test_what_is_not_utf_8_is_read_with_a_warning() -> None:
    doc, warned = read("a.txt", "Café".encode("cp1252"))
    assert doc.text == "Café"
    assert warned[0][0] == "ENCODING_GUESSED"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", b"\x00\x01binary"),
        ("a.txt", b""),
        ("a.md", b" \n"),
        ("a.docx", b"PK"),
        ("a.exe", b"MZ"),
    ],
)
def test_what_is_no_text_is_skipped_with_a_warning(name: str, content: bytes) -> None:
    doc, warned = read(name, content)
    assert doc is None
    assert warned[0][0] == "DOCUMENT_SKIPPED"


def test_signs_that_nobody_sees_are_taken_out() -> None:
    assert read("a.md", "a\u202eb\x07c\u2066d")[0].text == "abcd"


HTML = """<!doctype html>
<html><head><title>A &amp; B</title><meta name="date" content="2022-09-15">
<style>p { color: red }</style></head>
<body><nav>menu</nav>
<h1>Cycling</h1>
<p>By 2030 the share
shall <b>reach</b>&nbsp;28&nbsp;percent.</p>
<ul><li>first</li><li>second</li></ul>
<table><tr><th>Yard</th><th>Open</th></tr><tr><td>East</td><td>Monday</td></tr></table>
<script>alert("x")</script></body></html>
"""


def test_html_gives_its_visible_text_in_the_shape_of_markdown() -> None:
    doc, _ = read("a.html", HTML)
    assert doc.text.split("\n\n")[0] == "# Cycling"
    assert "By 2030 the share shall reach 28 percent." in doc.text
    assert "- first\n- second" in doc.text
    assert "| Yard | Open |\n|---|---|\n| East | Monday |" in doc.text
    for hidden in ("alert", "menu", "color"):
        assert hidden not in doc.text


def test_html_gives_its_title_and_date() -> None:
    doc, _ = read("a.html", HTML)
    assert (doc.title, doc.dated) == ("A & B", date(2022, 9, 15))


def test_html_text_knows_the_line_it_came_from() -> None:
    doc, _ = read("a.html", HTML)
    assert doc.marks.at(doc.text.index("By 2030")) == 6
    assert doc.marks.at(doc.text.index("reach")) == 7
    assert doc.marks.at(doc.text.index("East")) == 9


def test_html_without_an_end_of_its_head_is_still_read() -> None:
    assert "Body." in read("a.html", "<html><head><title>T</title><body><p>Body.</p>")[0].text


def test_html_is_known_without_its_suffix() -> None:
    assert read("page", "<!DOCTYPE html><p>Hi there.</p>")[0].text.strip() == "Hi there."


def test_a_pdf_knows_its_pages() -> None:
    doc, warned = read("a.pdf", make_pdf("First page here.", "Second page there."))
    assert warned == []
    assert doc.marks.unit == "page"
    assert doc.marks.at(doc.text.index("Second")) == 2


def test_a_pdf_is_cut_at_the_limit_of_pages() -> None:
    doc, warned = read("a.pdf", make_pdf("One.", "Two.", "Three."), pdf_pages=2)
    assert "Three" not in doc.text
    assert warned[0][0] == "DOCUMENT_CUT"


def test_a_pdf_without_text_is_skipped() -> None:
    doc, warned = read("a.pdf", make_pdf(""))
    assert doc is None
    assert "scan" in warned[0][1]


@pytest.mark.parametrize("content", [b"%PDF-1.4\n", b"%PDF-1.7 nonsense", make_pdf("Text.")[:200]])
def test_a_broken_pdf_is_skipped_with_a_warning(content: bytes) -> None:
    doc, warned = read("a.pdf", content)
    assert doc is None
    assert warned[-1][0] in {"DOCUMENT_UNREADABLE", "DOCUMENT_SKIPPED"}


def test_a_pdf_with_flipped_bytes_raises_nothing() -> None:
    whole = make_pdf("Some text on a page.", "More text.")
    chance = random.Random(7)
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(8):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        read("a.pdf", bytes(broken))
