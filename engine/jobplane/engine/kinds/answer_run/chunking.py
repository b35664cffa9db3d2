"""Documents to passages: along headings, with the exact place of each sentence."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jobplane.engine.kinds.answer_run.language import sentence_spans
from jobplane.engine.kinds.answer_run.source import Document
from jobplane.engine.kinds.answer_run.vocabulary import FUNCTION_WORDS

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t#]*$")
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)")
_UNDERLINE = re.compile(r"^(?:=+|-+)[ \t]*$")
# No bracket inside a bracket: else a row of them would cost its length squared.
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()\[\]]*\)")
_LINK = re.compile(r"\[([^\[\]]+)\]\((?:[^()\[\]]|\([^()\[\]]*\))*\)")
_MARKUP = re.compile(
    r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=[\w.!?])[*_](?!\w)|^[ \t]*>[ \t]?", re.MULTILINE
)
_MOST_NESTED = 8
_LEAD_CHARS = 400
_HEADING_CHARS = 500
_LABEL_WORDS = 4
# A sentence beyond this is cut: it is no sentence, and patterns must stay cheap on it.
_SENTENCE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Unit:
    """One sentence, list item or table row: what an answer may quote."""

    start: int
    end: int
    # As it reads without markup.
    text: str
    kind: str
    # Sentence that leads the list in, or header of the table.
    lead: str = ""
    # What stood just before it in the same paragraph.
    previous: str = ""
    # Cells of a table row by header.
    cells: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage: stretch of a document below one heading."""

    doc: Document
    start: int
    end: int
    headings: tuple[str, ...]
    units: tuple[Unit, ...]

    @property
    def heading(self) -> str:
        """Path of headings, outermost first."""
        return " > ".join(self.headings)

    @property
    def text(self) -> str:
        """Exact stretch of the document's text."""
        return self.doc.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    start: int
    end: int
    level: int = 0


def chunk_document(doc: Document, chunk_chars: int) -> list[Chunk]:
    """Passages of a document, none longer than `chunk_chars` unless one unit is."""
    chunks: list[Chunk] = []
    headings: list[tuple[int, str]] = []
    gathered: list[Unit] = []

    def close() -> None:
        if gathered:
            path = tuple(text for _, text in headings)
            chunks.extend(_packed(doc, path, gathered, chunk_chars))
            gathered.clear()

    for block, units in _blocks_with_units(doc):
        if block.kind == "heading":
            close()
            headings[:] = [entry for entry in headings if entry[0] < block.level]
            headings.append((block.level, clean(_heading_text(doc.text, block))))
        else:
            gathered.extend(units)
    close()
    return chunks


def clean(text: str) -> str:
    """Text as it reads: no markup, no address of a link, single spaces."""
    for _ in range(_MOST_NESTED):
        plain = _MARKUP.sub("", _LINK.sub(r"\1", _IMAGE.sub(r"\1", text)))
        plain = " ".join(plain.split())
        # What was inside one mark may be marked itself.
        if plain == text:
            break
        text = plain
    return text


def _packed(
    doc: Document, headings: tuple[str, ...], units: list[Unit], chunk_chars: int
) -> Iterator[Chunk]:
    batch: list[Unit] = []
    for unit in units:
        if batch and unit.end - batch[0].start > chunk_chars:
            yield Chunk(doc, batch[0].start, batch[-1].end, headings, tuple(batch))
            batch = []
        batch.append(unit)
    if batch:
        yield Chunk(doc, batch[0].start, batch[-1].end, headings, tuple(batch))


def _blocks_with_units(doc: Document) -> Iterator[tuple[_Block, list[Unit]]]:
    lead = ""
    header: tuple[str, ...] = ()
    for block in _blocks(doc.text, doc.body):
        units: list[Unit] = []
        if block.kind == "heading":
            lead, header = "", ()
        elif block.kind == "row":
            cells = _cells(doc.text[block.start : block.end])
            if not header:
                header = cells
            else:
                units = [_row_unit(block, header, cells)]
        elif block.kind == "item":
            units = list(_sentences(doc.text, block, "item", lead))
            header = ()
        else:
            units = list(_sentences(doc.text, block, "sentence"))
            header = ()
            last = units[-1].text if units else ""
            lead = last[:_LEAD_CHARS] if last.endswith(":") else ""
        yield block, units


def _blocks(text: str, body: int) -> Iterator[_Block]:
    """Headings, paragraphs, items, rows and code, each with its place."""
    open_kind, start, end = "", 0, 0
    fenced = False
    for line_start, line in _lines(text, body):
        line_end = line_start + len(line)
        if _FENCE.match(line):
            fenced = not fenced
            if open_kind:
                yield _Block(open_kind, start, end)
            open_kind = ""
            continue
        heading = None if fenced or len(line) > _HEADING_CHARS else _HEADING.match(line)
        under = open_kind == "paragraph" and "\n" not in text[start:end] and _UNDERLINE.match(line)
        if under and not fenced:
            yield _Block("heading", start, end, 1 if line.startswith("=") else 2)
            open_kind = ""
            continue
        kind = "code" if fenced else _kind(line, bool(heading))
        continues = kind == open_kind == "paragraph" or (
            kind == "paragraph" and open_kind == "item"
        )
        if continues or (kind == open_kind == "code"):
            end = line_end
            continue
        if open_kind:
            yield _Block(open_kind, start, end)
        open_kind = ""
        if heading:
            yield _Block("heading", line_start, line_end, len(heading.group(1)))
        elif kind not in {"blank", "rule"}:
            open_kind, start, end = kind, line_start, line_end
    if open_kind:
        yield _Block(open_kind, start, end)


def _kind(line: str, heading: bool) -> str:
    if heading:
        return "heading"
    if not line.strip():
        return "blank"
    if "--" in line and not line.strip("|:- \t"):
        return "rule"
    if _ROW.match(line):
        return "row"
    return "item" if _ITEM.match(line) else "paragraph"


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    at = start
    for line in text[start:].split("\n"):
        yield at, line
        at += len(line) + 1


def _heading_text(text: str, block: _Block) -> str:
    line = text[block.start : block.end]
    match = _HEADING.match(line)
    return match.group(2) if match else line


def _sentences(text: str, block: _Block, kind: str, lead: str = "") -> Iterator[Unit]:
    previous = ""
    body = text[block.start : block.end]
    mark = _ITEM.match(body) if kind == "item" else None
    skip = mark.end() if mark else 0
    label, label_at = "", -1
    for start, end in _pieces(body, skip):
        plain = clean(body[start:end])
        if not label and not previous and _is_label(plain, body[end:]):
            label, label_at = plain.rstrip("."), start
            continue
        if plain:
            first = label_at if label_at >= 0 else start
            said = f"{label}: {plain}" if label_at >= 0 else plain
            led = f"{lead} {label}".strip() if label_at < 0 else lead
            yield Unit(block.start + first, block.start + end, said, kind, led, previous)
            previous = f"{previous} {plain}".strip()[-_SENTENCE_CHARS:]
            label_at = -1


def _is_label(text: str, rest: str) -> bool:
    """Whether the text, with more to follow, is the catchword of a paragraph or item."""
    named = text.rstrip(".").casefold().split()
    short = 0 < len(named) <= _LABEL_WORDS and FUNCTION_WORDS.isdisjoint(named)
    return short and text.endswith(".") and bool(rest.strip()) and not any(map(str.isdigit, text))


def _pieces(body: str, skip: int) -> Iterator[tuple[int, int]]:
    """Places of sentences in the body of a block, long ones cut."""
    for start, end in sentence_spans(body[skip:]):
        for at in range(skip + start, skip + end, _SENTENCE_CHARS):
            yield at, min(at + _SENTENCE_CHARS, skip + end)


def _cells(line: str) -> tuple[str, ...]:
    return tuple(clean(cell) for cell in line.strip().strip("|").split("|"))


def _row_unit(block: _Block, header: tuple[str, ...], cells: tuple[str, ...]) -> Unit:
    pairs = tuple(zip(header, cells, strict=False))
    text = "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value)
    return Unit(block.start, block.end, text, "row", " ".join(header), "", pairs)
