"""Artifacts."""

from jobplane.engine.domain.artifact import Artifact, ArtifactType, TableShape
from jobplane.service.convert.scalar import EnumMap, optional, timestamp_to_wire
from jobplane.v1 import artifact_pb2 as wire

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
    )


def shape_to_wire(shape: TableShape) -> wire.TableInfo:
    """Give rows and columns of a table."""
    columns = [wire.TableInfo.Column(name=one.name, type=one.type) for one in shape.columns]
    return wire.TableInfo(row_count=shape.row_count, columns=columns)
