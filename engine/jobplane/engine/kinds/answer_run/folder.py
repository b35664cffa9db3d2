"""Folders under the configured roots, read without ever following a link."""

import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from jobplane.engine.kinds.answer_run.settings import AnswerSettings, Limits
from jobplane.engine.kinds.answer_run.source import RawFile, bad_input

Warn = Callable[[str, str], None]


def find_folder(path: str, settings: AnswerSettings) -> Path | None:
    """Folder of that path under the first root that has it; None where no root does.

    A path that leaves its root, by a link too, counts as not there.
    """
    for root in settings.document_roots:
        base = root.resolve()
        try:
            folder = (base / path).resolve(strict=True)
        except (OSError, ValueError):
            continue
        if folder.is_dir() and folder.is_relative_to(base):
            return folder
    return None


def read_folder(folder: Path, limits: Limits, warn: Warn) -> Iterator[RawFile]:
    """Regular files below the folder, sorted by path; links and devices are warned of."""
    paths = list(islice(_regular_files(folder, warn), limits.documents + 1))
    if len(paths) > limits.documents:
        raise bad_input(
            "TOO_MANY_DOCUMENTS", f"the folder holds more than {limits.documents} files"
        )
    total = 0
    for path in sorted(paths):
        content = _read(folder, path, limits, warn)
        if content is None:
            continue
        total += len(content)
        if total > limits.total_bytes:
            raise bad_input(
                "DOCUMENTS_TOO_LARGE", f"the folder holds more than {limits.total_bytes} bytes"
            )
        yield RawFile(display_path(path), content)


def display_path(path: str) -> str:
    """Path that can stand in any text: no control character, no undecodable byte."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def is_hidden(path: str) -> bool:
    """Whether a part of the path is meant for tools, not for readers."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _regular_files(folder: Path, warn: Warn) -> Iterator[str]:
    for parent, folders, names, handle in os.fwalk(folder, follow_symlinks=False):
        below = os.path.relpath(parent, folder)
        prefix = "" if below == "." else below + "/"
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*names, *folders]):
            path = prefix + name
            if is_hidden(path):
                continue
            try:
                mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
            except OSError:
                # It went away between the listing and the look.
                continue
            if stat.S_ISDIR(mode):
                continue
            if stat.S_ISREG(mode):
                yield path
            else:
                warn("DOCUMENT_REFUSED", f"{display_path(path)} is a link or a device: not read")


def _read(folder: Path, path: str, limits: Limits, warn: Warn) -> bytes | None:
    """Content, or None with a warning; each part is opened without following links."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *parents, name = path.split("/")
        for parent in parents:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            inner = os.open(parent, flags, dir_fd=handle)
            os.close(handle)
            handle = inner
        # O_NONBLOCK: a pipe that took the file's place must not hang the run.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(name, flags, dir_fd=handle), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                warn("DOCUMENT_REFUSED", f"{display_path(path)} is no regular file: not read")
                return None
            content = file.read(limits.document_bytes + 1)
    except OSError as error:
        warn("DOCUMENT_UNREADABLE", f"{display_path(path)}: {error.strerror}")
        return None
    finally:
        os.close(handle)
    if len(content) > limits.document_bytes:
        warn("DOCUMENT_TOO_LARGE", f"{display_path(path)} is above {limits.document_bytes} bytes")
        return None
    return content
