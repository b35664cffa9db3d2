"""The table of errors: complete, true to the contract, and small enough to arrive."""

import dataclasses
from datetime import UTC, datetime

import pytest
from google.rpc import code_pb2, status_pb2

from jobplane.engine.domain import errors
from jobplane.engine.domain.errors import EngineError, InvalidSpecError, Violation
from jobplane.service import refusals
from jobplane.service.errors import TABLE
from jobplane.service.status import MAX_DETAILS_BYTES, bug, refuse
from jobplane.v1 import error_reason_pb2 as reasons
from jobplane.v1 import options_pb2 as options
from tests.service.running_server import unpacked

VALUES = {
    "violations": (Violation("spec.probe.steps", "is too many"),),
    "known_kinds": ("echo", "probe"),
    "allowed": ("RUNNING", "QUEUED"),
    "expired_at": datetime(2026, 1, 2, tzinfo=UTC),
    "question": "model_age",
    "partial": {"model": "m"},
}
BY_TYPE = {int: 7, float: 7.0, str: "projects/demo/jobs/one", "int": 7, "float": 7.0}


def children(cls: type[EngineError]) -> set[type[EngineError]]:
    return {cls}.union(*(children(child) for child in cls.__subclasses__()))


# Only what is part of the product: tests may have children of their own.
ALL = sorted(
    (
        cls
        for cls in children(EngineError) - {EngineError}
        if cls.__module__ in (errors.__name__, refusals.__name__)
    ),
    key=lambda cls: cls.__name__,
)


def example(cls: type[EngineError]) -> EngineError:
    values = {
        field.name: VALUES.get(field.name, BY_TYPE.get(field.type, "projects/demo/jobs/one"))
        for field in dataclasses.fields(cls)
    }
    if "retry_after_s" in values:
        values["retry_after_s"] = 1.5
    return cls(**values)


def answer_of(reason: str) -> options.ErrorAnswer:
    value = reasons.ErrorReason.DESCRIPTOR.values_by_name[f"ERROR_REASON_{reason}"]
    return value.GetOptions().Extensions[options.answer]


def details_of(error: EngineError):
    refusal = refuse(error)
    assert refusal is not None
    return refusal, unpacked(status_pb2.Status.FromString(refusal.details))


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_refusal_has_a_row_of_its_own(cls):
    assert cls in TABLE


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_refusal_is_told_as_the_contract_says(cls):
    error = example(cls)
    refusal, details = details_of(error)
    answer = answer_of(error.reason)
    assert refusal.code.name == code_pb2.Code.Name(answer.code)
    assert details.pop("ErrorInfo").domain == "jobplane"
    assert set(details) == {name.rpartition(".")[2] for name in answer.details}


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_refusal_has_the_metadata_that_the_contract_names(cls):
    error = example(cls)
    _, details = details_of(error)
    # The first is only there when something was cut; a full queue may not say how full.
    optional = {"omitted_violations"} | ({"limit"} if error.reason == "QUEUE_FULL" else set())
    named = set(answer_of(error.reason).metadata)
    assert set(details["ErrorInfo"].metadata) - optional == named - optional


def test_violations_that_do_not_fit_are_counted():
    violations = [Violation(f"labels[{n}]", "is not allowed here at all") for n in range(500)]
    refusal, details = details_of(InvalidSpecError(violations))
    assert len(refusal.details) <= MAX_DETAILS_BYTES
    kept = len(details["BadRequest"].field_violations)
    assert kept > 50
    assert details["ErrorInfo"].metadata["omitted_violations"] == str(500 - kept)


def test_the_first_violations_are_kept_in_their_order():
    violations = [Violation(f"labels[{n}]", "x" * 100) for n in range(500)]
    _, details = details_of(InvalidSpecError(violations))
    kept = [one.field for one in details["BadRequest"].field_violations]
    assert kept == [f"labels[{n}]" for n in range(len(kept))]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_long_texts_are_cut_so_that_the_error_arrives(cls):
    error = example(cls)
    for field in dataclasses.fields(cls):
        if field.type in (str, "str") and field.name != "question":
            setattr(error, field.name, "ä" * 50_000)
    refusal = refuse(error)
    assert refusal is not None
    assert len(refusal.details) <= MAX_DETAILS_BYTES
    assert len(refusal.message.encode()) <= 2048


def test_a_bug_names_the_request_and_hides_the_rest():
    refusal = bug(ValueError("password"), "id-1", show=False)
    details = unpacked(status_pb2.Status.FromString(refusal.details))
    assert details["RequestInfo"].request_id == "id-1"
    assert b"password" not in refusal.details


def test_a_bug_in_dev_mode_shows_its_stack():
    with pytest.raises(ValueError, match="password") as caught:
        int("password")
    refusal = bug(caught.value, "id-1", show=True)
    details = unpacked(status_pb2.Status.FromString(refusal.details))
    assert "password" in details["DebugInfo"].detail
    assert details["DebugInfo"].stack_entries
