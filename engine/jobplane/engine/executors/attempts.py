"""What both executors make of an assignment."""

from collections.abc import Mapping
from typing import Any, Protocol

from jobplane.engine.domain.attempt import Assignment, InputContent
from jobplane.engine.executors.context import Attempt
from jobplane.engine.kinds.base import InputFile, Kind

# Folders inside the attempt's own: the work gets the first, the others are the executor's.
WORK_FOLDER = "work"
OUTBOX_FOLDER = "outbox"
LOG_FOLDER = "logs"


class Kinds(Protocol):
    """Where executors look kinds up."""

    def get(self, name: str) -> Kind:
        """Give the kind, or raise UnknownKindError."""
        ...


def names(assignment: Assignment) -> dict[str, str | int]:
    """Give the fields by which a log line names an attempt."""
    return {
        "project": assignment.project,
        "job_id": assignment.job_id,
        "attempt": assignment.attempt,
    }


def input_file(content: InputContent) -> InputFile:
    """Give an input as the work sees it."""
    return InputFile(
        content.path, content.filename, content.media_type, content.size_bytes, content.sha256
    )


def attempt_of(
    assignment: Assignment, *, settings: Mapping[str, Any], code_version: str
) -> Attempt:
    """Give what the work may know."""
    return Attempt(
        project=assignment.project,
        job_id=assignment.job_id,
        attempt=assignment.attempt,
        engine_version=code_version,
        folder=assignment.folder / WORK_FOLDER,
        outbox=assignment.folder / OUTBOX_FOLDER,
        inputs={role: input_file(content) for role, content in assignment.inputs.items()},
        settings=settings,
        checkpoint=assignment.checkpoint,
        answers=assignment.answers,
    )
