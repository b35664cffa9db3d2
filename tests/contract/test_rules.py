"""The rules of the contract: each can be evaluated, and the ones said are there."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from jobplane.kinds.hpo.v1 import hpo_pb2
from jobplane.v1 import artifact_service_pb2, job_service_pb2, spec_pb2
from tests.contract.toolbox import messages, methods

MESSAGES = {message.full_name: message for message in messages()}
REQUESTS = {method.input_type.full_name for method in methods()}
SAMPLES = {FieldDescriptor.TYPE_STRING: "x", FieldDescriptor.TYPE_BYTES: b"x"}
DEPTH = 5


def filled(message: Descriptor, depth: int = 0) -> Message:
    """Build a message with something in every field."""
    target = message_factory.GetMessageClass(message)()
    for field in message.fields:
        value = field.message_type
        if value is None:
            add(target, field, SAMPLES.get(field.type, 1))
        elif depth < DEPTH and not value.GetOptions().map_entry:
            add(target, field, filled(value, depth + 1))
        elif depth < DEPTH:
            fill_map(getattr(target, field.name), value, depth)
    return target


def add(target: Message, field: FieldDescriptor, value: Any) -> None:
    if field.is_repeated:
        getattr(target, field.name).append(value)
    elif isinstance(value, Message):
        getattr(target, field.name).CopyFrom(value)
    else:
        setattr(target, field.name, value)


def fill_map(target: Any, entry: Descriptor, depth: int) -> None:
    key, value = entry.fields
    sample = SAMPLES.get(key.type, 1)
    if value.message_type is not None:
        target[sample].CopyFrom(filled(value.message_type, depth + 1))
    else:
        target[sample] = SAMPLES.get(value.type, 1)


def violations(message: Message) -> list[str]:
    """Give the path of each field that breaks a rule; "" for a rule of the whole message."""
    try:
        protovalidate.validate(message)
    except protovalidate.ValidationError as error:
        return [path_of(one.proto.field) for one in error.violations]
    return []


def path_of(field: Any) -> str:
    return ".".join(part.field_name for part in field.elements) if field else ""


@pytest.mark.parametrize("name", MESSAGES)
def test_every_rule_of_a_message_can_be_evaluated(name: str) -> None:
    violations(filled(MESSAGES[name]))
    violations(message_factory.GetMessageClass(MESSAGES[name])())


def submit() -> job_service_pb2.SubmitJobRequest:
    request = job_service_pb2.SubmitJobRequest(project="p")
    request.spec.probe.SetInParent()
    return request


def test_a_bare_submit_keeps_all_rules() -> None:
    assert violations(submit()) == []


def test_a_kind_is_required() -> None:
    request = job_service_pb2.SubmitJobRequest(project="p")
    request.spec.display_name = "no kind"
    assert violations(request) == ["spec.kind"]


HOSTILE: dict[str, Callable[[job_service_pb2.SubmitJobRequest], object]] = {
    "project": lambda one: setattr(one, "project", "../etc"),
    "job_id": lambda one: setattr(one, "job_id", "a\0b"),
    "priority": lambda one: setattr(one, "priority", 1001),
    "queue": lambda one: setattr(one, "queue", "Fast"),
    "job_set": lambda one: setattr(one, "job_set", "two words"),
    "idempotency_key": lambda one: setattr(one, "idempotency_key", "k" * 129),
    "duplicate_policy": lambda one: setattr(one, "duplicate_policy", 99),
    "labels": lambda one: one.labels.update({str(number): "" for number in range(10_000)}),
    "spec.display_name": lambda one: setattr(one.spec, "display_name", "a\nb"),
    "spec.depends_on.job": lambda one: one.spec.depends_on.add(job="projects/p/jobs/.."),
    "spec.inputs": lambda one: one.spec.inputs["../x"].dataset.MergeFrom(
        spec_pb2.ArtifactRef().dataset.__class__(dataset_id="d", version="v1")
    ),
    "spec.inputs.artifact": lambda one: setattr(
        one.spec.inputs["x"], "artifact", "projects/p/jobs/j/artifacts/../../etc/passwd"
    ),
    "spec.inputs.dataset.version": lambda one: one.spec.inputs["x"].dataset.MergeFrom(
        spec_pb2.ArtifactRef().dataset.__class__(dataset_id="d", version="latest")
    ),
    "spec.policy.queue_timeout": lambda one: one.spec.policy.queue_timeout.FromSeconds(-1),
    "spec.policy.cancel_grace": lambda one: one.spec.policy.cancel_grace.FromSeconds(3601),
    "spec.policy.start_time": lambda one: setattr(one.spec.policy.start_time, "seconds", 2**62),
    "spec.policy.backoff_multiplier": lambda one: setattr(
        one.spec.policy, "backoff_multiplier", math.nan
    ),
    "spec.policy.max_attempts": lambda one: setattr(one.spec.policy, "max_attempts", -1),
    "spec.resources.cpu": lambda one: setattr(one.spec.resources, "cpu", math.inf),
    "spec.resources": lambda one: setattr(one.spec.resources, "gpu_count", 1),
    "spec.probe.artifact_bytes": lambda one: setattr(one.spec.probe, "artifact_bytes", 2**40),
}


@pytest.mark.parametrize("path", HOSTILE)
def test_a_bad_value_is_refused_at_its_field(path: str) -> None:
    request = submit()
    HOSTILE[path](request)
    assert set(violations(request)) == {path}


def test_all_violations_come_at_once() -> None:
    request = submit()
    for spoil in HOSTILE.values():
        spoil(request)
    assert len(violations(request)) >= len(HOSTILE)


@pytest.mark.parametrize(
    "artifact",
    [
        "projects/p/jobs/j/artifacts/review.json",
        "projects/p/jobs/j/artifacts/plots/equity.png",
        f"projects/p/artifacts/{'a' * 64}",
    ],
)
def test_an_artifact_name_may_have_folders(artifact: str) -> None:
    assert violations(artifact_service_pb2.GetArtifactRequest(name=artifact)) == []


@pytest.mark.parametrize(
    "artifact",
    ["", "x", "projects/p/jobs/j/artifacts/", "projects/p/jobs/j/artifacts//x"]
    + [f"projects/p/jobs/j/artifacts/{bad}" for bad in ("..", "a/..", "/etc", "a\0", ".x", "a/")],
)
def test_an_artifact_name_that_leads_elsewhere_is_refused(artifact: str) -> None:
    assert violations(artifact_service_pb2.GetArtifactRequest(name=artifact)) == ["name"]


def test_a_search_space_needs_low_below_high() -> None:
    space = hpo_pb2.HpoSpec.ParamSpace(uniform=hpo_pb2.HpoSpec.Range(low=2, high=1))
    assert violations(space) == ["uniform"]


# Words of a comment that promise a bound, and fields whose server-side check they describe.
BOUND = re.compile(r"\d\.\.\d|[Aa]t most \d|matches? \[|^\[[A-Za-z0-9]")
CHECKED_IN_CODE = {
    "filter": "the filter's own parser answers INVALID_FILTER",
    "spec": "its size is counted before it is parsed",
    "canary_percent": "a rule of the whole message, since it depends on the strategy",
}


def fields_with_a_bound(image: Path) -> list[tuple[str, descriptor_pb2.FieldDescriptorProto]]:
    """List the fields of requests and specs whose comment says a bound."""
    found = []
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file
    for file in files:
        for place in file.source_code_info.location:
            if BOUND.search(place.leading_comments.strip()):
                element, name = element_at(file, list(place.path))
                is_field = isinstance(element, descriptor_pb2.FieldDescriptorProto)
                if is_field and element.type != element.TYPE_BOOL and is_given(name):
                    found.append((name, element))
    return found


def element_at(file: descriptor_pb2.FileDescriptorProto, path: list[int]) -> tuple[Any, str]:
    element: Any = file
    name = file.package
    while path:
        number, *path = path
        field = element.DESCRIPTOR.fields_by_number[number]
        element = getattr(element, field.name)
        if path and field.is_repeated:
            index, *path = path
            element = element[index]
            name = f"{name}.{getattr(element, 'name', '')}"
    return element, name


def is_given(name: str) -> bool:
    """Whether the field is in a request or in a spec, so that a caller may get it wrong."""
    parts = set(name.split(".")) - {"ControlRequest", "InputRequest"}
    return any(part.endswith(("Request", "Spec", "Thresholds", "Policy")) for part in parts)


def test_a_bound_that_a_comment_says_is_a_rule(image: Path) -> None:
    found = fields_with_a_bound(image)
    assert len(found) > 100
    silent = [
        name
        for name, field in found
        if not field.options.SerializeToString() and field.name not in CHECKED_IN_CODE
    ]
    assert silent == []


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_a_string_that_reaches_the_store_refuses_nul(name: str) -> None:
    message = message_factory.GetMessageClass(MESSAGES[name])
    unruled = {"filter", "order_by", "page_token", "cursor"}
    for field in MESSAGES[name].fields:
        if field.type == field.TYPE_STRING and not field.is_repeated and field.name not in unruled:
            assert field.name in violations(message(**{field.name: "a\0b"})), field.name
