"""Job specs: the shared part field by field, the kind's part as it came."""

from collections.abc import Mapping
from typing import Any, NoReturn

from google.protobuf.message import Message

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.domain.job import (
    Condition,
    Dependency,
    InputRef,
    JobSpec,
    Resources,
    RunPolicy,
)
from jobplane.service.convert.custom import params_from_wire, params_to_wire
from jobplane.service.convert.scalar import (
    EnumMap,
    duration_from_wire,
    duration_to_wire,
    timestamp_from_wire,
    timestamp_to_wire,
)
from jobplane.v1 import spec_pb2 as wire

CUSTOM = "custom"
BUILT_IN_KINDS = frozenset(
    field.name
    for field in wire.JobSpec.DESCRIPTOR.oneofs_by_name["kind"].fields
    if field.name != CUSTOM
)

_CONDITIONS = EnumMap(wire.Dependency.Condition, Condition, "CONDITION_")
# Names of the spans of a policy, here and on the wire.
_POLICY_SPANS: Any = tuple(
    (f"{name}_s", name)
    for name in (
        "queue_timeout",
        "attempt_timeout",
        "total_timeout",
        "initial_backoff",
        "max_backoff",
        "cancel_grace",
        "checkpoint_interval",
        "retention",
    )
)
_NO_POLICY = RunPolicy()
_NO_RESOURCES = Resources()


def spec_from_wire(spec: wire.JobSpec) -> JobSpec:
    """Give the spec; raises InvalidSpecError for what only the conversion can see."""
    kind, params, version = _kind_from_wire(spec)
    return JobSpec(
        kind=kind,
        params=params,
        schema_version=version,
        display_name=spec.display_name,
        inputs={role: input_from_wire(ref) for role, ref in spec.inputs.items()},
        policy=policy_from_wire(spec.policy) if spec.HasField("policy") else _NO_POLICY,
        resources=resources_from_wire(spec.resources)
        if spec.HasField("resources")
        else _NO_RESOURCES,
        depends_on=tuple(dependency_from_wire(one) for one in spec.depends_on),
    )


def spec_to_wire(spec: JobSpec) -> wire.JobSpec:
    """Give the spec as it goes out."""
    message = wire.JobSpec(
        display_name=spec.display_name,
        inputs={role: input_to_wire(ref) for role, ref in spec.inputs.items()},
        policy=policy_to_wire(spec.policy) if spec.policy != _NO_POLICY else None,
        resources=resources_to_wire(spec.resources) if spec.resources != _NO_RESOURCES else None,
        depends_on=[dependency_to_wire(one) for one in spec.depends_on],
    )
    if spec.kind in BUILT_IN_KINDS:
        fill_member(message, spec.kind, spec.params)
    else:
        message.custom.kind = spec.kind
        message.custom.schema_version = spec.schema_version
        params_to_wire(spec.params, message.custom.params)
    return message


def fill_member(message: Message, member: str, content: bytes) -> None:
    """Set a oneof's member from its serialized form, empty or not."""
    part: Message = getattr(message, member)
    part.SetInParent()
    part.MergeFromString(content)


def _kind_from_wire(spec: wire.JobSpec) -> tuple[str, bytes, str]:
    """Kind, serialized params and schema version."""
    member = spec.WhichOneof("kind")
    if member is None:
        known = ", ".join(sorted(BUILT_IN_KINDS))
        _refuse("spec.kind", f"exactly one kind must be set: {known}, or custom")
    if member != CUSTOM:
        part: Message = getattr(spec, str(member))
        return str(member), part.SerializeToString(deterministic=True), ""
    custom = spec.custom
    if custom.kind in BUILT_IN_KINDS or custom.kind == CUSTOM:
        _refuse("spec.custom.kind", f"{custom.kind!r} is built in: set spec.{custom.kind}")
    params = params_from_wire(custom.params, "spec.custom.params")
    return custom.kind, params, custom.schema_version


def _refuse(field: str, description: str) -> NoReturn:
    raise InvalidSpecError([Violation(field, description)])


def input_from_wire(ref: wire.ArtifactRef) -> InputRef:
    """Give the reference to content."""
    return InputRef(
        artifact=ref.artifact,
        dataset_id=ref.dataset.dataset_id,
        dataset_version=ref.dataset.version,
        dataset_format=ref.dataset.format,
        uri=ref.uri,
        sha256=ref.sha256,
    )


def input_to_wire(ref: InputRef) -> wire.ArtifactRef:
    """Give the reference as it goes out."""
    message = wire.ArtifactRef(sha256=ref.sha256)
    if ref.artifact:
        message.artifact = ref.artifact
    elif ref.uri:
        message.uri = ref.uri
    elif ref.dataset_id:
        message.dataset.dataset_id = ref.dataset_id
        message.dataset.version = ref.dataset_version
        message.dataset.format = ref.dataset_format
    return message


def policy_from_wire(policy: wire.RunPolicy) -> RunPolicy:
    """Give the policy; what is unset is None."""
    spans: Any = {
        ours: duration_from_wire(getattr(policy, name))
        for ours, name in _POLICY_SPANS
        if policy.HasField(name)
    }
    return RunPolicy(
        **spans,
        max_attempts=policy.max_attempts or None,
        backoff_multiplier=policy.backoff_multiplier or None,
        non_retryable_reasons=tuple(policy.non_retryable_reasons),
        start_at=timestamp_from_wire(policy.start_time, "spec.policy.start_time")
        if policy.HasField("start_time")
        else None,
        stage_timeouts_s={
            stage: duration_from_wire(value) for stage, value in policy.stage_timeouts.items()
        },
    )


def policy_to_wire(policy: RunPolicy) -> wire.RunPolicy:
    """Give the policy as it goes out."""
    spans: Any = {
        name: duration_to_wire(seconds)
        for ours, name in _POLICY_SPANS
        if (seconds := getattr(policy, ours)) is not None
    }
    return wire.RunPolicy(
        **spans,
        max_attempts=policy.max_attempts or 0,
        backoff_multiplier=policy.backoff_multiplier or 0.0,
        non_retryable_reasons=policy.non_retryable_reasons,
        start_time=timestamp_to_wire(policy.start_at),
        stage_timeouts=_spans_to_wire(policy.stage_timeouts_s),
    )


def _spans_to_wire(spans: Mapping[str, float]) -> Any:
    return {name: duration_to_wire(seconds) for name, seconds in spans.items()}


def resources_from_wire(resources: wire.ResourceSpec) -> Resources:
    """Give the hardware wishes."""
    return Resources(
        cpu=resources.cpu,
        memory_bytes=resources.memory_bytes,
        gpu_type=resources.gpu_type,
        gpu_count=resources.gpu_count,
        spot_ok=resources.spot_ok,
    )


def resources_to_wire(resources: Resources) -> wire.ResourceSpec:
    """Give the hardware wishes as they go out."""
    return wire.ResourceSpec(
        cpu=resources.cpu,
        memory_bytes=resources.memory_bytes,
        gpu_type=resources.gpu_type,
        gpu_count=resources.gpu_count,
        spot_ok=resources.spot_ok,
    )


def dependency_from_wire(dependency: wire.Dependency) -> Dependency:
    """Give the upstream job and what it must reach."""
    condition = _CONDITIONS.from_wire(dependency.condition, Condition.SUCCEEDED)
    return Dependency(dependency.job, condition)


def dependency_to_wire(dependency: Dependency) -> wire.Dependency:
    """Give the dependency as it goes out."""
    return wire.Dependency(job=dependency.job, condition=_CONDITIONS.to_wire(dependency.condition))
