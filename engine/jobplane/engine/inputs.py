"""Inputs: what a spec refers to, checked against its kind and pinned to its content."""

from dataclasses import replace

from sqlalchemy import Connection

from jobplane.engine.domain.dataset import dataset_name
from jobplane.engine.domain.errors import InvalidSpecError, ReferenceNotFoundError, Violation
from jobplane.engine.domain.job import InputRef, JobSpec
from jobplane.engine.kinds.base import Kind
from jobplane.engine.store import artifacts, datasets


def input_violations(kind: Kind, spec: JobSpec) -> list[Violation]:
    """Inputs that the kind needs and that are not there, or the other way round."""
    known = {*kind.required_inputs, *kind.optional_inputs}
    missing = [
        Violation(f"spec.inputs[{role}]", f"kind {kind.name!r} needs this input")
        for role in kind.required_inputs
        if role not in spec.inputs
    ]
    return missing + [
        Violation(f"spec.inputs[{role}]", f"kind {kind.name!r} has no such input")
        for role in spec.inputs
        if role not in known
    ]


def pinned(connection: Connection, project: str, spec: JobSpec) -> JobSpec:
    """The spec with every input pinned to its digest."""
    if not spec.inputs:
        return spec
    inputs = {role: _pinned(connection, project, role, ref) for role, ref in spec.inputs.items()}
    return replace(spec, inputs=inputs)


def _pinned(connection: Connection, project: str, role: str, ref: InputRef) -> InputRef:
    field = f"spec.inputs[{role}]"
    if ref.uri:
        message = (
            "this server reads from no URI: its list of allowed ones is empty; upload the "
            "content with UploadArtifact and refer to the artifact"
        )
        raise InvalidSpecError([Violation(f"{field}.uri", message)])
    resource, sha256 = _content_of(connection, project, field, ref)
    if ref.sha256 and ref.sha256 != sha256:
        message = f"the content of {resource} has the digest {sha256}"
        raise InvalidSpecError([Violation(f"{field}.sha256", message)])
    return replace(ref, sha256=sha256)


def _content_of(connection: Connection, project: str, field: str, ref: InputRef) -> tuple[str, str]:
    """Name and digest of what a reference names."""
    if ref.artifact:
        artifact = artifacts.find_by_name(connection, ref.artifact)
        if artifact is None or artifact.project != project:
            raise ReferenceNotFoundError(f"{field}.artifact", ref.artifact)
        return ref.artifact, artifact.sha256
    name = dataset_name(project, ref.dataset_id, ref.dataset_version)
    dataset = datasets.find(connection, project, ref.dataset_id, ref.dataset_version)
    if dataset is None:
        raise ReferenceNotFoundError(f"{field}.dataset", name)
    if ref.dataset_format and ref.dataset_format != dataset.format:
        message = f"{name} has the format {dataset.format!r}"
        raise InvalidSpecError([Violation(f"{field}.dataset.format", message)])
    return name, dataset.sha256
