"""What can be asked of artifacts, and how content becomes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import errors
from jobplane.client._page import Listing
from jobplane.client._talk import Pause, Send, Talk, ask
from jobplane.client._upload import Content, Upload
from jobplane.client._view import ArtifactView
from jobplane.v1 import artifact_pb2
from jobplane.v1 import artifact_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Input = Content | ArtifactView | str


def listing(parent: str, *, where: str) -> Listing[artifact_pb2.Artifact]:
    """Artifacts of a job, or the uploads of a project."""
    request = wire.ListArtifactsRequest(parent=parent, filter=where)
    return Listing(request, lambda page: page.artifacts)


def get(name: str) -> Talk[artifact_pb2.Artifact]:
    """What is known of an artifact."""
    return (yield from ask(wire.GetArtifactRequest(name=name), wire.GetArtifactResponse)).artifact


def upload(
    content: Content,
    *,
    project: str,
    filename: str = "",
    media_type: str = "",
    labels: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Talk[artifact_pb2.Artifact]:
    """Content as an artifact; goes on after a cut where the server stopped."""
    sending = Upload(
        content,
        project=project,
        filename=filename,
        media_type=media_type,
        labels=labels,
        on_progress=on_progress,
    )
    messages = sending.question()
    while sending.artifact is None:
        try:
            answer = yield Send(wire.UploadArtifactRequest, messages, sending.timeout_s)
        except errors.JobplaneError as error:
            sending.cut(error)
            yield Pause(sending.pause_s())
            messages = sending.question()
        else:
            sending.answered(answer)
            messages = sending.messages()
    return sending.artifact


def input_name(given: Input, *, project: str) -> Talk[str]:
    """Name of the artifact that an input is; content is uploaded."""
    if isinstance(given, str):
        return given
    if isinstance(given, ArtifactView):
        return given.name
    return (yield from upload(given, project=project)).name
