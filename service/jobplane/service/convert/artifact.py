"""Artifacts."""

from jobplane.engine.content.reading import Chunk
from jobplane.engine.domain.artifact import Artifact, ArtifactType, TableShape
from jobplane.engine.domain.upload import UploadHeader
from jobplane.engine.sheets import TablePage
from jobplane.service.convert.scalar import EnumMap, optional, timestamp_to_wire
from jobplane.v1 import artifact_pb2 as wire
from jobplane.v1 import artifact_service_pb2 as service_wire

# Tags: the number of a field, with the wire type of bytes and of messages.
_DATA_TAG = bytes([service_wire.ReadArtifactResponse.DATA_FIELD_NUMBER << 3 | 2])
_ROWS_TAG = bytes([service_wire.ReadTableResponse.ROWS_FIELD_NUMBER << 3 | 2])
_SEVEN_BITS = 0x7F

_TYPES = EnumMap(wire.ArtifactType, ArtifactType, "ARTIFACT_TYPE_")


def artifact_to_wire(artifact: Artifact) -> wire.Artifact:
    """Give the artifact's description, without its content."""
    return wire.Artifact(
        name=artifact.name,
        artifact_id=artifact.artifact_id,
        type=_TYPES.to_wire(artifact.type),
        media_type=artifact.media_type,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
        attempt=artifact.attempt,
        stage=artifact.stage,
        table=optional(artifact.table, shape_to_wire),
        create_time=timestamp_to_wire(artifact.created_at),
        expire_time=timestamp_to_wire(artifact.expires_at),
        labels=dict(artifact.labels),
        filename=artifact.filename,
    )


def header_from_wire(header: service_wire.UploadArtifactRequest.Header) -> UploadHeader:
    """Give what is declared of an upload."""
    return UploadHeader(
        project=header.project,
        filename=header.filename,
        media_type=header.media_type,
        sha256=header.sha256,
        size_bytes=header.size_bytes,
        labels=dict(header.labels),
        offset=header.offset,
        asks_received=header.asks_received,
    )


def shape_to_wire(shape: TableShape) -> wire.TableInfo:
    """Give rows and columns of a table."""
    columns = [wire.TableInfo.Column(name=one.name, type=one.type) for one in shape.columns]
    return wire.TableInfo(row_count=shape.row_count, columns=columns)


class ChunkEncoder:
    """Encodes the chunks of one read as its frames; runs in threads, a chunk at a time."""

    def __init__(self, artifact: Artifact, *, first: int) -> None:
        self._artifact = artifact
        self._first = first

    def __call__(self, chunk: Chunk) -> bytes:
        """Give the frame of a chunk; the first one tells of the artifact."""
        frame = service_wire.ReadArtifactResponse(
            offset=chunk.offset, crc32c=chunk.crc32c, end=chunk.is_last
        )
        if chunk.offset == self._first:
            frame.artifact.CopyFrom(artifact_to_wire(self._artifact))
        # A message copies its bytes in and out again, which costs as much as all the rest.
        size = _varint(len(chunk.data))
        return b"".join((frame.SerializeToString(), _DATA_TAG, size, chunk.data))


def encode_table_page(page: TablePage) -> bytes:
    """Give the response of ReadTable; its rows are encoded already."""
    head = service_wire.ReadTableResponse(table=shape_to_wire(page.shape), offset=page.offset)
    parts = [head.SerializeToString()]
    for row in page.rows:
        parts += (_ROWS_TAG, _varint(len(row)), row)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > _SEVEN_BITS:
        encoded.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
