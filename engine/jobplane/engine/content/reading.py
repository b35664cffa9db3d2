"""Reading: the bytes of stored content, a chunk at a time, off the event loop."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

import google_crc32c

from jobplane.engine.content.port import ContentReader

T = TypeVar("T")
# The most that a frame of the contract holds, and the fastest: see bench/artifacts.py.
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes of content, and where they lie."""

    offset: int
    data: bytes
    crc32c: int
    is_last: bool


class ContentDamagedError(Exception):
    """The bytes are not those that were stored."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class Reading:
    """One pass over stored content; its file is closed with the pass."""

    def __init__(self, source: ContentReader, *, files: Executor) -> None:
        self._source = source
        self._files = files

    async def chunks(
        self,
        *,
        offset: int,
        limit: int,
        sha256: str = "",
        encode: Callable[[Chunk], T],
    ) -> AsyncIterator[T]:
        """Each chunk of a range, encoded in a thread while the one before it is sent.

        A range is never empty of chunks. With a digest the whole is held to it before the
        last chunk is given; ContentDamagedError then, or when bytes are missing.
        """
        end = min(offset + limit, self._source.size) if limit else self._source.size
        is_whole = offset == 0 and end == self._source.size
        digest = hashlib.sha256() if sha256 and is_whole else None

        def read(at: int) -> T:
            return encode(self._chunk(at, end, digest, sha256))

        pending: Future[T] = self._files.submit(read, offset)
        try:
            while True:
                encoded = await asyncio.wrap_future(pending)
                offset = min(offset + CHUNK_BYTES, end)
                if offset < end:
                    pending = self._files.submit(read, offset)
                yield encoded
                if offset == end:
                    return
        finally:
            # A thread may be reading yet when the caller goes away.
            pending.cancel()
            pending.add_done_callback(lambda _: self._source.close())

    def close(self) -> None:
        """Let go of content that is not read after all."""
        self._source.close()

    def _chunk(self, offset: int, end: int, digest: _Hash | None, sha256: str) -> Chunk:
        wanted = min(CHUNK_BYTES, end - offset)
        data = self._source.read_at(offset, wanted)
        if len(data) != wanted:
            raise ContentDamagedError
        is_last = offset + wanted == end
        if digest is not None:
            digest.update(data)
            if is_last and digest.hexdigest() != sha256:
                raise ContentDamagedError
        return Chunk(offset, data, _crc32c(data), is_last)


# Ships no types.
_crc32c: Callable[[bytes], int] = getattr(google_crc32c, "value")  # noqa: B009  its type is unknown
