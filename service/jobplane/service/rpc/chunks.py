"""Chunks of uploads: taken from the wire as they lie there, without a message around them.

A message would copy its megabyte four times on the way through parsing and checking. What
is exactly one field of bytes within its bound has nothing else to check.
"""

from google.protobuf.message import Message

from jobplane.v1 import artifact_service_pb2 as wire

MAX_CHUNK_BYTES = 1024 * 1024
_LENGTH_DELIMITED = 2
_MORE = 0x80
_TAGS: dict[type[Message], int] = {
    wire.UploadArtifactRequest: wire.UploadArtifactRequest.CHUNK_FIELD_NUMBER << 3
    | _LENGTH_DELIMITED
}


def plain_chunk(data: bytes, request: type[Message]) -> memoryview | None:
    """Give the chunk that a message is, or None for one that must be parsed."""
    if len(data) < 2 or data[0] != _TAGS.get(request):  # noqa: PLR2004  a tag and a length
        return None
    at, size, shift = 1, 0, 0
    while at < min(len(data), 5):
        byte = data[at]
        size |= (byte & ~_MORE) << shift
        at, shift = at + 1, shift + 7
        if not byte & _MORE:
            is_plain = at + size == len(data) and size <= MAX_CHUNK_BYTES
            return memoryview(data)[at:] if is_plain else None
    return None
