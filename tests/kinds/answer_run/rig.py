"""Runs answer_run in a test: papers in, answer out."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobplane.engine.kinds.answer_run.work import ANSWER, CONTEXT, run
from jobplane.engine.kinds.base import Outcome
from jobplane.kinds.answer_run.v1 import answer_run_pb2 as wire
from tests.kinds.fake_context import FakeContext, input_file

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/documents"
LLM = wire.AnswerRunSpec.Llm


@dataclass(frozen=True)
class Answered:
    """What a run left."""

    outcome: Outcome
    context: FakeContext

    @property
    def markdown(self) -> str:
        return self.context.artifacts[ANSWER].content.decode()

    @property
    def body(self) -> str:
        return self.markdown.split("## Gaps")[0].split("## Sources")[0].strip()

    @property
    def details(self) -> wire.AnswerRunResult:
        details = self.outcome.details
        assert isinstance(details, wire.AnswerRunResult)
        return details

    @property
    def bundle(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.context.artifacts[CONTEXT].content)
        return loaded

    @property
    def gap_reasons(self) -> list[str]:
        return [gap.reason for gap in self.outcome.gaps]


def write_papers(folder: Path, papers: Mapping[str, str | bytes]) -> Path:
    """The folder with a file for each paper."""
    for name, content in papers.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_context(tmp_path: Path, **more: Any) -> FakeContext:
    """A context whose only document root is `tmp_path`."""
    folder = tmp_path / "attempt"
    folder.mkdir(exist_ok=True)
    settings = {"document_roots": [str(tmp_path)], **more.pop("settings", {})}
    return FakeContext(folder=folder, settings=settings, **more)


def ask(
    tmp_path: Path,
    question: str,
    papers: Mapping[str, str | bytes],
    *,
    context: FakeContext | None = None,
    **spec: Any,
) -> Answered:
    """Answer a question from papers given as text."""
    write_papers(tmp_path / "papers", papers)
    used = context or make_context(tmp_path)
    made = wire.AnswerRunSpec(question=question, **{"markdown_path": "papers", **spec})
    return Answered(run(made, used), used)


def ask_upload(
    tmp_path: Path, question: str, upload: bytes, name: str = "papers.zip", **settings: Any
) -> Answered:
    """Answer a question from an upload."""
    path = tmp_path / "upload"
    path.write_bytes(upload)
    given = input_file(path)
    documents = type(given)(path, name, given.media_type, given.size_bytes, given.sha256)
    context = make_context(tmp_path, inputs={"documents": documents}, settings=settings)
    return Answered(run(wire.AnswerRunSpec(question=question), context), context)


def make_zip(entries: Mapping[str, bytes]) -> bytes:
    """A zip with these entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def make_tar(*members: tuple[tarfile.TarInfo, bytes], packed: bool = True) -> bytes:
    """A tar with these members, packed by gzip or not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Header of a member."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def make_pdf(*pages: str) -> bytes:
    """A small PDF with one line of text for each line of a page."""
    objects: list[bytes] = []
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for number, page in enumerate(pages):
        shown = " ".join(f"({line}) Tj 0 -16 Td" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 72 720 Td {shown} ET".encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    return _assembled(objects)


def _assembled(objects: list[bytes]) -> bytes:
    body = b"%PDF-1.4\n"
    offsets: list[int] = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n"
        b"%%%%EOF\n" % (size, table, size, len(body))
    )
