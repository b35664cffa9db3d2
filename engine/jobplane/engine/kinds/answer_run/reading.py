"""Files to documents: markdown, plain text, HTML and PDF, each with its place kept."""

import hashlib
import io
import re
from pathlib import PurePosixPath

from jobplane.engine.kinds.answer_run.dating import document_date, standing
from jobplane.engine.kinds.answer_run.folder import Warn
from jobplane.engine.kinds.answer_run.html_text import html_text
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import (
    Document,
    Marks,
    RawFile,
    Table,
    line_marks,
    marks_of,
)

TEXT_SUFFIXES = frozenset({".md", ".markdown", ".txt", ".text"})
HTML_SUFFIXES = frozenset({".html", ".htm"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z][\w -]*):[ \t]*(.*)$", re.MULTILINE)
_TITLE = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_CONTROLS = [code for code in (*range(32), 0x7F) if chr(code) not in "\n\t"]
# Marks that turn the direction of writing can make a text read other than it is.
_TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
_UNSEEN = dict.fromkeys((*_CONTROLS, *_TURNING))


def read_table(raw: RawFile, doc_id: str, name: str) -> Table:
    """Table of a CSV or Parquet file, not yet parsed."""
    suffix = PurePosixPath(raw.path).suffix.lower()
    return Table(doc_id, raw.path, _sha256(raw), len(raw.content), name, suffix, raw.content)


def is_table(raw: RawFile) -> bool:
    """Whether the file is one for SQL."""
    return PurePosixPath(raw.path).suffix.lower() in TABLE_SUFFIXES


def read_document(raw: RawFile, doc_id: str, limits: Limits, warn: Warn) -> Document | None:
    """Document of a file, or None with a warning of why not."""
    suffix = PurePosixPath(raw.path).suffix.lower()
    if suffix == ".pdf" or raw.content.startswith(b"%PDF-"):
        return _read_pdf(raw, doc_id, limits, warn)
    if suffix and suffix not in TEXT_SUFFIXES | HTML_SUFFIXES:
        warn("DOCUMENT_SKIPPED", f"{raw.path}: files of type {suffix} are not read")
        return None
    text = _decode(raw, warn)
    if text is None:
        return None
    if suffix in HTML_SUFFIXES or text.lstrip()[:15].lower().startswith(("<!doctype", "<html")):
        extracted, pairs, fields = html_text(text)
        return _document(raw, doc_id, extracted, marks_of("line", pairs), fields)
    matter = _FRONT_MATTER.match(text)
    fields = _fields(matter.group(1)) if matter else {}
    body = matter.end() if matter else 0
    return _document(raw, doc_id, text, line_marks(text), fields, body=body)


def _document(
    raw: RawFile, doc_id: str, text: str, marks: Marks, fields: dict[str, str], *, body: int = 0
) -> Document:
    heading = _TITLE.search(text, body)
    title = fields.get("title") or (heading.group(1) if heading else "")
    return Document(
        doc_id=doc_id,
        path=raw.path,
        sha256=_sha256(raw),
        size_bytes=len(raw.content),
        title=title or PurePosixPath(raw.path).stem.replace("-", " ").replace("_", " "),
        text=text,
        marks=marks,
        body=body,
        dated=document_date(fields, raw.path, text[body:]),
        standing=standing(fields),
    )


def _fields(matter: str) -> dict[str, str]:
    return {
        match.group(1).strip().lower().replace(" ", "_"): match.group(2).strip().strip("\"'")
        for match in _FIELD.finditer(matter)
    }


def _decode(raw: RawFile, warn: Warn) -> str | None:
    content = raw.content
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        if b"\x00" in content:
            warn("DOCUMENT_SKIPPED", f"{raw.path} is binary: not read")
            return None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            warn("ENCODING_GUESSED", f"{raw.path} is not UTF-8; read as Windows-1252")
            text = content.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    if not text.strip():
        warn("DOCUMENT_SKIPPED", f"{raw.path} is empty")
        return None
    return text.translate(_UNSEEN)


def _read_pdf(raw: RawFile, doc_id: str, limits: Limits, warn: Warn) -> Document | None:
    # Heavy and only for PDF: other runs must not pay for it.
    from pypdf import PdfReader  # noqa: PLC0415
    from pypdf.errors import PyPdfError  # noqa: PLC0415

    pieces: list[str] = []
    pairs: list[tuple[int, int]] = []
    length = 0
    try:
        reader = PdfReader(io.BytesIO(raw.content))
        if reader.is_encrypted and not reader.decrypt(""):
            warn("DOCUMENT_SKIPPED", f"{raw.path} is encrypted: not read")
            return None
        for number, page in enumerate(reader.pages, start=1):
            if number > limits.pdf_pages:
                warn(
                    "DOCUMENT_CUT", f"{raw.path}: only the first {limits.pdf_pages} pages are read"
                )
                break
            text = page.extract_text().translate(_UNSEEN).strip()
            if text:
                pairs.append((length, number))
                pieces.append(text + "\n\n")
                length += len(text) + 2
    except (PyPdfError, ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        warn("DOCUMENT_UNREADABLE", f"{raw.path}: no readable PDF ({type(error).__name__})")
        return None
    if not pieces:
        warn("DOCUMENT_SKIPPED", f"{raw.path} holds no text; is it a scan?")
        return None
    return _document(raw, doc_id, "".join(pieces), marks_of("page", pairs), {})


def _sha256(raw: RawFile) -> str:
    return hashlib.sha256(raw.content).hexdigest()
