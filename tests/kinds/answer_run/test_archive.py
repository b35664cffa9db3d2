import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.kinds.answer_run.archive import read_upload
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.base import WorkError
from tests.kinds.answer_run.rig import ask_upload, make_tar, make_zip, tar_member

MIB = 1024 * 1024


def read(tmp_path: Path, content: bytes, name: str = "papers.zip", **limits: Any) -> Any:
    path = tmp_path / "upload"
    path.write_bytes(content)
    warned = []
    warn = lambda reason, _: warned.append(reason)  # noqa: E731  a one-line fake
    files = list(read_upload(path, name, Limits(**limits), warn))
    return {file.path: file.content for file in files}, warned


def refusal(tmp_path: Path, content: bytes, **limits: Any) -> Any:
    with pytest.raises(WorkError) as caught:
        read(tmp_path, content, **limits)
    assert caught.value.category.value == "INPUT"
    return caught.value.reason


def test_a_zip_is_read(tmp_path: Path) -> None:
    files, _ = read(tmp_path, make_zip({"a/b.md": b"b", "a.md": b"a"}))
    assert files == {"a.md": b"a", "a/b.md": b"b"}


@pytest.mark.parametrize("packed", [True, False])
def test_a_tar_is_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    content = make_tar((tar_member("./a.md"), b"a"), (tar_member("b/c.md"), b"c"), packed=packed)
    assert read(tmp_path, content)[0] == {"a.md": b"a", "b/c.md": b"c"}


def test_anything_else_is_one_file_under_its_own_name(tmp_path: Path) -> None:
    assert read(tmp_path, b"# Title", "C:\\papers\\note.md")[0] == {"note.md": b"# Title"}


def test_hidden_entries_are_left_out(tmp_path: Path) -> None:
    files, warned = read(tmp_path, make_zip({"__MACOSX/._a.md": b"x", ".x": b"x", "a.md": b"a"}))
    assert (list(files), warned) == (["a.md"], [])


HOSTILE = [
    "../a.md",
    "a/../../b.md",
    "/etc/passwd",
    "..\\a.md",
    "C:\\a.md",
    "\\\\host\\a.md",
    "a/..",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_zip_entry_that_leaves_the_archive_is_unsafe(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, make_zip({"ok.md": b"x", name: b"x"})) == "ARCHIVE_UNSAFE"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_tar_entry_that_leaves_the_archive_is_unsafe(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, make_tar((tar_member(name), b"x"))) == "ARCHIVE_UNSAFE"


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_in_a_tar_are_unsafe(tmp_path: Path, kind: Any) -> None:
    content = make_tar((tar_member("a.md", kind, "/etc/passwd"), b""))
    assert refusal(tmp_path, content) == "ARCHIVE_UNSAFE"


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_unsafe(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("a.md")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refusal(tmp_path, path.read_bytes()) == "ARCHIVE_UNSAFE"


def test_a_zip_that_unpacks_to_far_more_is_too_large(tmp_path: Path) -> None:
    bomb = make_zip({f"{number}.md": bytes(4 * MIB) for number in range(4)})
    assert len(bomb) < 100_000
    assert refusal(tmp_path, bomb, ratio_free_bytes=MIB) == "ARCHIVE_TOO_LARGE"


def test_a_tar_that_unpacks_to_far_more_is_too_large(tmp_path: Path) -> None:
    bomb = make_tar(*((tar_member(f"{number}.md"), bytes(4 * MIB)) for number in range(4)))
    assert refusal(tmp_path, bomb, ratio_free_bytes=MIB) == "ARCHIVE_TOO_LARGE"


def test_a_gzip_stream_without_end_is_too_large_however_its_headers_lie(tmp_path: Path) -> None:
    # One header that claims an extended record of 60 MB: read before any member is seen.
    header = tar_member("x", tarfile.XHDTYPE)
    header.size = 60 * MIB
    bomb = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(60 * MIB))
    reason = refusal(tmp_path, bomb, ratio_free_bytes=MIB, documents=100)
    assert reason == "ARCHIVE_TOO_LARGE"


def test_a_total_above_the_limit_is_too_large(tmp_path: Path) -> None:
    content = make_zip({"a.md": b"a" * 60, "b.md": b"b" * 60})
    assert refusal(tmp_path, content, total_bytes=100) == "ARCHIVE_TOO_LARGE"


def test_too_many_entries_are_too_large(tmp_path: Path) -> None:
    many = make_zip({f"{number}.md": b"x" for number in range(11)})
    assert refusal(tmp_path, many, documents=10) == "ARCHIVE_TOO_LARGE"
    tarred = make_tar(*((tar_member(f"{number}.md"), b"x") for number in range(11)))
    assert refusal(tmp_path, tarred, documents=10) == "ARCHIVE_TOO_LARGE"


def test_a_directory_of_a_million_entries_is_refused_before_it_is_read(tmp_path: Path) -> None:
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert refusal(tmp_path, b"PK\x03\x04" + bytes(100) + end) == "ARCHIVE_TOO_LARGE"


def test_an_entry_that_is_larger_than_it_says_is_not_read_further(tmp_path: Path) -> None:
    content = bytearray(make_zip({"a.md": b"a" * 5000}))
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.index(signature) + at
        content[place : place + 4] = struct.pack("<L", 10)
    assert refusal(tmp_path, bytes(content)) == "ARCHIVE_UNREADABLE"


def test_one_entry_above_the_limit_of_a_document_is_left_out(tmp_path: Path) -> None:
    files, warned = read(tmp_path, make_zip({"a.md": b"a" * 200, "b.md": b"b"}), document_bytes=100)
    assert (list(files), warned) == (["b.md"], ["DOCUMENT_TOO_LARGE"])


def test_an_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    inner = make_zip({"deep.md": b"deep"})
    files, _ = read(tmp_path, make_zip({"inner.zip": inner, "a.md": b"a"}))
    assert files["inner.zip"] == inner


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_a_cut_off_zip_is_unreadable(tmp_path: Path, keep: float) -> None:
    content = make_zip({"a.md": b"text " * 400})
    assert refusal(tmp_path, content[: int(len(content) * keep)]) == "ARCHIVE_UNREADABLE"


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_cut_off_tar_is_unreadable(tmp_path: Path, keep: float) -> None:
    content = make_tar((tar_member("a.md"), bytes(range(256)) * 100))
    assert refusal(tmp_path, content[: int(len(content) * keep)]) == "ARCHIVE_UNREADABLE"


def test_a_gzip_of_something_else_is_unreadable(tmp_path: Path) -> None:
    assert refusal(tmp_path, gzip.compress(b"no tar at all" * 100)) == "ARCHIVE_UNREADABLE"


def test_a_bad_checksum_is_unreadable(tmp_path: Path) -> None:
    content = bytearray(make_zip({"a.md": b"hello hello hello"}))
    place = content.index(b"PK\x01\x02") + 16
    content[place : place + 4] = struct.pack("<L", zlib.crc32(b"other"))
    assert refusal(tmp_path, bytes(content)) == "ARCHIVE_UNREADABLE"


def test_an_encrypted_entry_is_unreadable(tmp_path: Path) -> None:
    content = bytearray(make_zip({"a.md": b"hello"}))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    assert refusal(tmp_path, bytes(content)) == "ARCHIVE_UNREADABLE"


def test_a_single_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"x" * 101, document_bytes=100) == "DOCUMENT_TOO_LARGE"


def test_an_answer_can_rest_on_an_uploaded_archive(tmp_path: Path) -> None:
    paper = b"# Harbour office\n\nThe harbour office is led by Mara Stone.\n"
    answered = ask_upload(
        tmp_path, "Who leads the harbour office?", make_zip({"a/office.md": paper})
    )
    assert "[1] a/office.md:L3-L3" in answered.markdown


def test_an_answer_can_rest_on_one_uploaded_file(tmp_path: Path) -> None:
    paper = b"# Harbour office\n\nThe harbour office is led by Mara Stone.\n"
    answered = ask_upload(tmp_path, "Who leads the harbour office?", paper, "office.md")
    assert "[1] office.md:L3-L3" in answered.markdown


def test_an_archive_without_a_document_has_no_documents(tmp_path: Path) -> None:
    with pytest.raises(WorkError) as caught:
        ask_upload(tmp_path, "Who?", make_zip({"photo.jpg": b"\xff\xd8"}))
    assert caught.value.reason == "NO_DOCUMENTS"


def test_a_name_that_comes_twice_is_read_once_and_told(tmp_path: Path) -> None:
    said = "# Office\n\nThe office is led by {}.\n"
    first, second = (said.format(name).encode() for name in ("Ida Berg", "Olaf Moe"))
    upload = make_tar((tar_member("a.md"), first), (tar_member("a.md"), second))
    answered = ask_upload(tmp_path, "Who leads the office?", upload, "papers.tar.gz")
    assert "Ida Berg" in answered.body
    assert "Olaf Moe" not in answered.body
    assert ("DOCUMENT_TWICE", "a.md came twice; the first was read") in answered.context.warnings
