"""The stage "load": from an upload or a folder to documents and tables."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from jobplane.engine.kinds.answer_run.archive import read_upload
from jobplane.engine.kinds.answer_run.folder import find_folder, read_folder
from jobplane.engine.kinds.answer_run.patience import TookTooLongError, watched
from jobplane.engine.kinds.answer_run.reading import is_table, read_document, read_table
from jobplane.engine.kinds.answer_run.rules import DOCUMENTS
from jobplane.engine.kinds.answer_run.settings import AnswerSettings
from jobplane.engine.kinds.answer_run.source import Document, Library, RawFile, Table, bad_input
from jobplane.engine.kinds.base import JobContext
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire

_DOCUMENT_S = 60.0


def load(spec: wire.AnswerRunSpec, context: JobContext, settings: AnswerSettings) -> Library:
    """All that can be read; a failure NO_DOCUMENTS where that is nothing."""
    documents: list[Document] = []
    tables: list[Table] = []
    unread: list[str] = []
    seen: set[str] = set()
    for number, raw in enumerate(_files(spec, context, settings), start=1):
        context.safe_point()
        context.progress(number, unit="document", message=raw.path)
        doc_id = f"d{number}"
        if raw.path in seen:
            # A citation must lead to one text; an archive may hold a name twice.
            context.warn("DOCUMENT_TWICE", f"{raw.path} came twice; the first was read")
            continue
        seen.add(raw.path)
        if is_table(raw):
            if spec.enable_sql:
                tables.append(read_table(raw, doc_id, _table_name(raw.path, tables)))
            else:
                unread.append(raw.path)
        elif (document := _read(raw, doc_id, context, settings)) is not None:
            documents.append(document)
    if unread:
        context.warn("TABLES_NOT_READ", f"{len(unread)} tables are only read with enable_sql")
    if not documents and not tables:
        raise bad_input("NO_DOCUMENTS", "there is no document that can be read")
    return Library(tuple(documents), tuple(tables), tuple(unread))


def _files(
    spec: wire.AnswerRunSpec, context: JobContext, settings: AnswerSettings
) -> Iterator[RawFile]:
    if DOCUMENTS in context.inputs:
        upload = context.inputs[DOCUMENTS]
        return read_upload(upload.path, upload.filename, settings.limits, context.warn)
    folder = find_folder(spec.markdown_path, settings)
    if folder is None:
        raise bad_input(
            "REFERENCE_NOT_FOUND", f"no folder {spec.markdown_path!r} under a document root"
        )
    return read_folder(folder, settings.limits, context.warn)


def _read(
    raw: RawFile, doc_id: str, context: JobContext, settings: AnswerSettings
) -> Document | None:
    # The plane hears of them from this thread alone.
    noted: list[tuple[str, str]] = []

    def note(reason: str, message: str) -> None:
        noted.append((reason, message))

    try:
        return watched(
            lambda: read_document(raw, doc_id, settings.limits, note),
            context.safe_point,
            limit_s=_DOCUMENT_S,
        )
    except TookTooLongError:
        noted.append(("DOCUMENT_UNREADABLE", f"{raw.path}: not read within {_DOCUMENT_S:g} s"))
        return None
    finally:
        for reason, message in tuple(noted):
            context.warn(reason, message)


def _table_name(path: str, tables: list[Table]) -> str:
    """Name of the file as an identifier, made unique."""
    stem = re.sub(r"\W+", "_", PurePosixPath(path).stem.casefold()).strip("_")
    name = f"t_{stem}" if not stem or stem[0].isdigit() else stem
    taken = {table.name for table in tables}
    suffix = 2
    unique = name
    while unique in taken:
        unique, suffix = f"{name}_{suffix}", suffix + 1
    return unique
