"""Bad input over a real server: the code, the reason and the field of the error table."""

import json

import pytest
from google.protobuf.struct_pb2 import Struct

from jobplane.service.convert.frame import varint
from jobplane.service.rpc import decoding
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import spec_pb2
from tests.service.test_wire_scan import SPEC_FIELD, UNKNOWN, delimited, member

JOBS = "/jobplane.v1.JobService/"
SUBMIT = JOBS + "SubmitJob"
PROJECT = delimited(1, b"demo")


def request(**fields) -> wire.SubmitJobRequest:
    made = wire.SubmitJobRequest(**{"project": "demo", **fields})
    made.spec.probe.SetInParent()
    return made


def test_an_unknown_field_on_the_wire_is_refused(server):
    refused = server.refusal(SUBMIT, request().SerializeToString() + UNKNOWN)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "UNKNOWN_FIELD")
    assert refused.fields == ["#999"]


def test_an_unknown_field_deep_inside_is_refused_with_its_path(server):
    data = PROJECT + delimited(SPEC_FIELD, member("probe", UNKNOWN))
    assert server.refusal(SUBMIT, data).fields == ["spec.probe.#999"]


def test_an_unknown_field_does_not_hide_the_other_mistakes(server):
    bad = request(priority=5000).SerializeToString() + UNKNOWN
    assert server.refusal(SUBMIT, bad).fields == ["#999", "priority"]


def test_two_members_of_a_oneof_are_refused(server):
    data = PROJECT + delimited(SPEC_FIELD, member("probe") + member("backtest"))
    refused = server.refusal(SUBMIT, data)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert "spec.backtest" in refused.fields


def test_a_spec_without_a_kind_is_refused(server):
    made = wire.SubmitJobRequest(project="demo")
    made.spec.display_name = "nothing"
    refused = server.refusal(SUBMIT, made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields == ["spec.kind"]


def test_a_request_without_a_spec_is_refused(server):
    assert server.refusal(SUBMIT, PROJECT).fields == ["spec"]


def test_a_field_of_the_wrong_type_is_named(server):
    number = 3  # idempotency_key, sent as a number
    refused = server.refusal(SUBMIT, request().SerializeToString() + varint(number << 3) + b"\x07")
    assert refused.fields == ["idempotency_key"]
    assert refused.code == "INVALID_ARGUMENT"


def test_a_negative_duration_is_named(server):
    made = request()
    made.spec.policy.attempt_timeout.seconds = -5
    refused = server.refusal(SUBMIT, made)
    assert refused.reason == "INVALID_SPEC"
    assert refused.fields == ["spec.policy.attempt_timeout"]


@pytest.mark.parametrize("nanos", [-1, 1_000_000_000, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("field", ["policy.attempt_timeout", "policy.start_time"])
def test_nanos_that_no_clock_has_are_named(server, field, nanos):
    made = request()
    made.spec.policy.attempt_timeout.seconds = 5
    made.spec.policy.start_time.seconds = 2_000_000_000
    getattr(made.spec.policy, field.rpartition(".")[2]).nanos = nanos
    refused = server.refusal(SUBMIT, made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields == [f"spec.{field}"]


def test_all_violations_come_at_once(server):
    made = request(project="NO PROJECT", priority=-1, queue="NO QUEUE", job_id="../../etc")
    fields = server.refusal(SUBMIT, made).fields
    assert set(fields) == {"project", "priority", "queue", "job_id"}


def test_many_bad_labels_are_refused_and_counted(server):
    made = request(labels={f"UPPER {n}": "v" for n in range(900)})
    refused = server.refusal(SUBMIT, made)
    assert refused.reason == "INVALID_SPEC"
    assert int(refused.metadata["omitted_violations"]) > 700
    assert len(refused.trailers["grpc-status-details-bin"]) <= 6 * 1024


@pytest.mark.parametrize("key", ["UPPER {}", "lower-{}"])
def test_the_check_of_ten_thousand_labels_ends_at_the_first_mistake(server, monkeypatch, key):
    checked = []
    validator = decoding._validator

    class Noting:
        def collect_violations(self, message, *, fail_fast):
            found = validator.collect_violations(message, fail_fast=fail_fast)
            checked.append((fail_fast, len(found)))
            return found

    monkeypatch.setattr(decoding, "_validator", Noting())
    made = request(labels={key.format(n): "v" for n in range(10_000)})
    refused = server.refusal(SUBMIT, made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields[0].startswith("labels")
    assert checked == [(True, 1)]


def test_a_spec_of_3_9_mib_is_too_large(server):
    made = wire.SubmitJobRequest(project="demo")
    made.spec.custom.kind = "echo"
    made.spec.custom.params.update({"text": "x" * int(3.9 * 1024 * 1024)})
    refused = server.refusal(SUBMIT, made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE")
    assert refused.fields == ["spec"]
    assert refused.metadata["limit_bytes"] == str(256 * 1024)
    assert "Help" in refused.details


def test_a_message_of_5_mib_is_refused_by_the_transport(server):
    made = request(job_set="x" * (5 * 1024 * 1024))
    assert server.refusal(SUBMIT, made).code == "RESOURCE_EXHAUSTED"


def test_invalid_utf_8_is_malformed(server):
    refused = server.refusal(SUBMIT, delimited(1, b"\xff\xfe"))
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


@pytest.mark.parametrize("data", [b"\xff" * 50, b"\x0a\x7fshort", b"\x00", b"\x0f"])
def test_bytes_that_are_no_message_are_malformed(server, data):
    refused = server.refusal(SUBMIT, data)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


def test_a_filter_with_a_mistake_says_the_column(server):
    made = wire.ListJobsRequest(project="demo", filter="status = = RUNNING")
    refused = server.refusal(JOBS + "ListJobs", made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FILTER")
    assert refused.fields == ["filter"]
    assert refused.details["BadRequest"].field_violations[0].description.startswith("column ")


def test_a_tampered_page_token_is_refused(server):
    refused = server.refusal(
        JOBS + "ListJobs", wire.ListJobsRequest(project="demo", page_token="x")
    )
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")
    assert refused.fields == ["page_token"]


@pytest.mark.parametrize(
    "name",
    [
        "projects/demo/jobs/..",
        "projects/demo/jobs/a\0b",
        "projects/demo/jobs/a/b",
        "projects/../jobs/one",
        "jobs/one",
        "",
        "projects/demo/jobs/" + "x" * 65,
    ],
)
def test_a_name_that_is_none_is_refused(server, name):
    refused = server.refusal(JOBS + "GetJob", wire.GetJobRequest(name=name))
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_SPEC")
    assert refused.fields == ["name"]


def test_an_unknown_kind_names_those_that_are_known(server):
    made = wire.SubmitJobRequest(project="demo")
    made.spec.custom.kind = "nope"
    refused = server.refusal(SUBMIT, made)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "UNKNOWN_KIND")
    assert refused.metadata["known_kinds"] == "echo,probe"


def test_a_built_in_kind_can_not_hide_as_custom(server):
    made = wire.SubmitJobRequest(project="demo")
    made.spec.custom.kind = "probe"
    assert server.refusal(SUBMIT, made).fields == ["spec.custom.kind"]


def custom(params: Struct) -> wire.SubmitJobRequest:
    spec = spec_pb2.JobSpec(custom=spec_pb2.CustomSpec(kind="echo", params=params))
    return wire.SubmitJobRequest(project="demo", spec=spec)


@pytest.mark.parametrize("number", [2.0**53 + 2, -(2.0**60), float("inf"), float("nan")])
def test_a_number_that_would_change_on_its_way_is_refused(server, number):
    params = Struct()
    params.fields["count"].number_value = number
    assert server.refusal(SUBMIT, custom(params)).fields == ["spec.custom.params.count"]


def test_custom_params_reach_the_engine_as_json(server):
    params = Struct()
    params.update({"b": [1, 2.5, None, True], "a": {"text": "ä"}})
    server.call(SUBMIT, custom(params))
    text = server.engine.submissions[0].spec.params
    assert json.loads(text) == {"a": {"text": "ä"}, "b": [1, 2.5, None, True]}
    assert text.startswith(b'{"a":{"text":"\xc3\xa4"}')


def test_a_struct_that_is_nested_too_deep_is_malformed(server):
    value = delimited(1, b"x") + delimited(2, b"")
    for _ in range(200):
        value = delimited(1, b"x") + delimited(2, delimited(5, delimited(1, value)))
    body = delimited(1, b"echo") + delimited(3, delimited(1, value))
    refused = server.refusal(SUBMIT, PROJECT + delimited(SPEC_FIELD, member("custom", body)))
    assert refused.reason == "MALFORMED_REQUEST"


def test_a_value_of_a_sensitive_field_is_never_echoed(server):
    made = request()
    made.spec.inputs["journal"].uri = "not-a-uri with s3cr3t"
    made.spec.inputs["journal"].sha256 = "0" * 64
    refused = server.refusal(SUBMIT, made)
    assert refused.fields == ['spec.inputs["journal"].uri']
    assert "s3cr3t" not in str(refused)


def test_an_unknown_method_is_not_implemented(server):
    refused = server.refusal("/jobplane.v1.JobService/ExplodeJob")
    assert (refused.code, refused.reason) == ("UNIMPLEMENTED", "NOT_ENABLED")
    assert server.refusal("/other.Service/Method").code == "UNIMPLEMENTED"


def test_a_method_that_is_not_built_is_told_as_such_with_a_link(server):
    refused = server.refusal("/jobplane.v1.ScheduleService/ListSchedules")
    assert (refused.code, refused.reason) == ("UNIMPLEMENTED", "NOT_ENABLED")
    assert refused.metadata == {"method": "/jobplane.v1.ScheduleService/ListSchedules"}
    assert refused.details["Help"].links[0].url.endswith("#NOT_ENABLED")


def test_the_request_id_comes_back_with_every_error(server):
    refused = server.refusal(SUBMIT, b"", metadata=[("x-request-id", "abc-1")])
    assert refused.trailers["x-request-id"] == "abc-1"
    assert refused.trailers["x-jobplane-version"] == "1.2.3"


@pytest.mark.parametrize("wished", ["a b", "x" * 65, "a\nb".replace("\n", "%0a")])
def test_a_request_id_that_could_forge_a_log_line_is_replaced(server, wished):
    refused = server.refusal(SUBMIT, b"", metadata=[("x-request-id", wished)])
    assert refused.trailers["x-request-id"] != wished
