"""The contract and the engine use the same words."""

from enum import StrEnum
from typing import Any

import pytest

from jobplane.engine.domain import artifact, errors, event, job, status
from jobplane.service.errors import TABLE
from jobplane.v1 import (
    artifact_pb2,
    error_reason_pb2,
    event_pb2,
    job_pb2,
    job_service_pb2,
    options_pb2,
    spec_pb2,
)

REASONS = {
    value.name.removeprefix("ERROR_REASON_"): value
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values
    if value.number
}


def all_errors(base: type[errors.EngineError]) -> set[type[errors.EngineError]]:
    return {base}.union(*(all_errors(one) for one in base.__subclasses__()))


@pytest.mark.parametrize(
    ("wire", "prefix", "domain"),
    [
        (job_pb2.JobStatus, "JOB_STATUS_", status.JobStatus),
        (job_pb2.JobPhase, "JOB_PHASE_", status.Phase),
        (job_pb2.WaitReason, "WAIT_REASON_", job.WaitReason),
        (job_pb2.FailureCategory, "FAILURE_CATEGORY_", job.FailureCategory),
        (job_pb2.InputRequest.DefaultAction, "DEFAULT_ACTION_", job.DefaultAction),
        (spec_pb2.Dependency.Condition, "CONDITION_", job.Condition),
        (artifact_pb2.ArtifactType, "ARTIFACT_TYPE_", artifact.ArtifactType),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_enum_has_the_names_of_the_engine(wire: Any, prefix: str, domain: type[StrEnum]) -> None:
    ours = {value.name.removeprefix(prefix) for value in wire.DESCRIPTOR.values}
    theirs = {str(value) for value in domain}
    assert ours - {"UNSPECIFIED"} == theirs - {"UNSPECIFIED"}


def test_event_payloads_have_the_names_of_the_engine() -> None:
    oneof = event_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["payload"]
    durable = {field.name for field in oneof.fields} - {"progress"}
    assert durable == set(event.PAYLOAD_TYPES)


def test_a_watch_can_be_filtered_by_every_payload() -> None:
    oneof = event_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["payload"]
    field = job_service_pb2.WatchJobRequest.DESCRIPTOR.fields_by_name["event_types"]
    rule = field.GetOptions().SerializeToString().decode("utf-8", errors="ignore")
    assert [one.name for one in oneof.fields if f"'{one.name}'" not in rule] == []


@pytest.mark.parametrize("error", sorted(all_errors(errors.EngineError), key=str))
def test_every_refusal_of_the_engine_has_its_reason_in_the_contract(
    error: type[errors.EngineError],
) -> None:
    assert error.reason in REASONS


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_says_how_it_travels_and_what_to_do(reason: str) -> None:
    answer = REASONS[reason].GetOptions().Extensions[options_pb2.answer]
    assert answer.code > 0
    assert 400 <= answer.http_status < 600
    assert answer.next_step.endswith(".")


@pytest.mark.parametrize("error", TABLE, ids=lambda error: error.__name__)
def test_the_server_answers_a_reason_with_the_code_of_the_contract(
    error: type[errors.EngineError],
) -> None:
    answer = REASONS[error.reason].GetOptions().Extensions[options_pb2.answer]
    assert TABLE[error].code.value[0] == answer.code


def test_terminal_statuses_have_numbers_from_ten() -> None:
    numbers = {name: number for name, number in job_pb2.JobStatus.items() if number}
    terminal = {name for name, number in numbers.items() if number >= 10}
    assert terminal == {f"JOB_STATUS_{one}" for one in status.JobStatus if one.is_terminal}
