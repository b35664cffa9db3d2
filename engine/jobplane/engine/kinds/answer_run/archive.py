"""Uploaded archives, read entry by entry in memory; nothing is ever unpacked to disk."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jobplane.engine.kinds.answer_run.folder import Warn, display_path, is_hidden
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import RawFile, bad_input

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP = b"\x1f\x8b"
_TAR_MAGIC_AT = 257
_END_OF_ZIP = struct.Struct("<4s4H2LH")
# Longest comment behind the end record, and most bytes of one directory entry we expect.
_END_SPAN = 65_535 + _END_OF_ZIP.size
_ENTRY_BYTES = 1024
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)


def read_upload(path: Path, filename: str, limits: Limits, warn: Warn) -> Iterator[RawFile]:
    """Files of an uploaded zip, tar or tar.gz, or the one file that it is."""
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + 5)
    try:
        if head.startswith(_ZIP):
            yield from _read_zip(path, limits, warn)
        elif head.startswith(_GZIP):
            with gzip.open(path) as stream:
                yield from _read_tar(stream, path.stat().st_size, limits, warn)
        elif head[_TAR_MAGIC_AT:] == b"ustar":
            with path.open("rb") as stream:
                yield from _read_tar(stream, path.stat().st_size, limits, warn)
        else:
            yield _single_file(path, filename, limits)
    except _BROKEN as error:
        raise bad_input("ARCHIVE_UNREADABLE", f"the archive can't be read: {error}") from error


def _single_file(path: Path, filename: str, limits: Limits) -> RawFile:
    size = path.stat().st_size
    if size > limits.document_bytes:
        raise bad_input(
            "DOCUMENT_TOO_LARGE", f"the document has {size} bytes; {limits.document_bytes} allowed"
        )
    name = filename.replace("\\", "/").rsplit("/", 1)[-1] or "document"
    return RawFile(display_path(name), path.read_bytes())


def _read_zip(path: Path, limits: Limits, warn: Warn) -> Iterator[RawFile]:
    _check_directory(path, limits)
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        budget = _Budget(limits, path.stat().st_size, len(entries))
        for entry in entries:
            _check_name(entry.filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise _unsafe(entry.filename, "is a link or a device")
            if entry.flag_bits & 1:
                raise bad_input(
                    "ARCHIVE_UNREADABLE", f"{display_path(entry.filename)} is encrypted"
                )
            budget.check(entry.file_size)
        for entry in sorted(entries, key=lambda entry: entry.filename):
            with archive.open(entry) as stream:
                content = _take(stream, entry.filename, budget, warn)
            if content is not None:
                yield content


def _check_directory(path: Path, limits: Limits) -> None:
    """Refuse a directory that would fill memory before any entry could be looked at."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _END_SPAN))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_OF_ZIP.size:
        raise bad_input("ARCHIVE_UNREADABLE", "the archive has no end record; was it cut off?")
    _, _, _, _, count, directory_bytes, _, _ = _END_OF_ZIP.unpack_from(tail, at)
    if count > limits.documents or directory_bytes > limits.documents * _ENTRY_BYTES:
        raise bad_input("ARCHIVE_TOO_LARGE", f"at most {limits.documents} entries are read")


def _read_tar(
    stream: IO[bytes] | gzip.GzipFile, packed: int, limits: Limits, warn: Warn
) -> Iterator[RawFile]:
    budget = _Budget(limits, packed)
    capped = _Capped(stream, budget)
    found: list[RawFile] = []
    with tarfile.open(fileobj=capped, mode="r|") as archive:
        for member in archive:
            _check_name(member.name)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise _unsafe(member.name, "is a link, a device or a sparse file")
            budget.count()
            budget.check(member.size)
            content = archive.extractfile(member)
            taken = _take(content, member.name, budget, warn) if content else None
            if taken is not None:
                found.append(taken)
    yield from sorted(found, key=lambda file: file.path)


class _Budget:
    """What may still be unpacked."""

    def __init__(self, limits: Limits, packed: int, entries: int = 0) -> None:
        self.limits = limits
        self._entries = entries
        self._declared = 0
        ratio = max(limits.ratio_free_bytes, packed * limits.archive_ratio)
        self.most = min(limits.total_bytes, ratio)

    def count(self) -> None:
        self._entries += 1
        if self._entries > self.limits.documents:
            raise bad_input(
                "ARCHIVE_TOO_LARGE", f"at most {self.limits.documents} entries are read"
            )

    def check(self, declared: int) -> None:
        self._declared += declared
        if self._declared > self.most:
            raise self.exceeded()

    def exceeded(self) -> Exception:
        return bad_input("ARCHIVE_TOO_LARGE", f"the archive unpacks to more than {self.most} bytes")


class _Capped(io.RawIOBase):
    """A stream that ends the run, not the machine, when it never ends."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._read = 0
        # Headers and padding come on top of the content.
        self._most = budget.most + budget.limits.documents * _ENTRY_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size if size >= 0 else 64 * 1024)
        self._read += len(data)
        if self._read > self._most:
            raise self._budget.exceeded()
        return data


def _take(stream: IO[bytes], name: str, budget: _Budget, warn: Warn) -> RawFile | None:
    """Content of one entry, or None where it is hidden or too large to be a document."""
    if is_hidden(name.removeprefix("./")):
        return None
    most = budget.limits.document_bytes
    content = stream.read(most + 1)
    if len(content) > most:
        warn("DOCUMENT_TOO_LARGE", f"{display_path(name)} is above {most} bytes: not read")
        return None
    return RawFile(display_path(name.removeprefix("./")), content)


def _check_name(name: str) -> None:
    path = name.replace("\\", "/")
    drive = len(path) > 1 and path[1] == ":"
    if path.startswith("/") or drive or "\x00" in name or ".." in path.split("/"):
        raise _unsafe(name, "leaves the archive")


def _unsafe(name: str, why: str) -> Exception:
    return bad_input("ARCHIVE_UNSAFE", f"the entry {display_path(name)!r} {why}")
