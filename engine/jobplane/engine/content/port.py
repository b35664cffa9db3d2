"""What the engine asks of a content store, whatever lies behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class ContentError(Exception):
    """Content can't be taken in; `is_resource` tells a full disk from a hostile file."""

    def __init__(self, reason: str, message: str, *, is_resource: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_resource = is_resource


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that are in the store."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """Content met on a walk through the store, and when it was last handed in."""

    sha256: str
    size_bytes: int
    touched_at: datetime


class ContentReader(Protocol):
    """Open content. Reads are safe from any thread."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def identity(self) -> str:
        """Text that changes when the stored bytes are written anew."""
        ...

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; fewer only where the content ends."""
        ...

    def close(self) -> None:
        """Let go of it; a second time changes nothing."""
        ...


class ContentPort(Protocol):
    """A store of immutable content, named by SHA-256. Every method may block."""

    def start(self) -> None:
        """Make the store usable."""
        ...

    def put(self, data: bytes) -> Content:
        """Store bytes."""
        ...

    def take(self, path: Path, *, inside: Path) -> Content:
        """Store a copy of a plain file that lies inside a folder; links are not followed."""
        ...

    def adopt(self, path: Path, content: Content) -> None:
        """Make a file of our own, already digested, durable under its name; the file goes."""
        ...

    def touch(self, sha256: str) -> int | None:
        """Size of content that is here, kept from the sweep for another grace; else None."""
        ...

    def open(self, sha256: str) -> ContentReader:
        """Open content; FileNotFoundError when it is not here."""
        ...

    def read(self, sha256: str) -> bytes:
        """The whole content; FileNotFoundError when it is not here."""
        ...

    def path_of(self, sha256: str) -> Path:
        """A file of this machine with the content; it may not exist when the content does not."""
        ...

    def remove(self, found: Found) -> bool:
        """Delete content, unless it was touched since it was found; whether it is gone."""
        ...

    def walk(self) -> Iterator[Found]:
        """Everything that is stored, in the order of the digests."""
        ...
