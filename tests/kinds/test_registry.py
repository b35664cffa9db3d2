"""The registry: which kinds there are, and what may be asked of them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.domain.errors import (
    InvalidSpecError,
    KindUnavailableError,
    UnknownKindError,
    Violation,
)
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.kinds.base import Kind
from jobplane.engine.kinds.probe import KIND as PROBE
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.kinds.schema import InvalidSchemaError
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec

HEAVY = ("pandas", "pyarrow", "numpy", "sklearn", "torch", "duckdb", "grpc", "sqlalchemy")


def custom(schema: Any = None, **fields: Any) -> Kind:
    details: dict[str, Any] = {"schema_version": "2", **fields}
    return Kind(name="toy", description="A toy.", work="toys:run", schema=schema or {}, **details)


def check(schema: Any, params: Any, *, version: str = "2") -> list[Violation]:
    kind = custom(schema)
    registry = Registry([kind])
    spec = registry.parse(kind, json.dumps(params).encode())
    return registry.check(kind, spec, JobSpec("toy", b"", schema_version=version))


def fields(schema: Any, params: Any) -> set[str]:
    return {violation.field for violation in check(schema, params)}


def plugin(folder: Path, *, name: str, value: str, code: str) -> None:
    """Leave in a folder what an installer leaves of a package with one entry point."""
    info = folder / f"{name}_dist-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[jobplane.kinds]\n{name} = {value}\n")
    (folder / f"{value.partition(':')[0]}.py").write_text(code)


def test_built_in_kinds_are_found() -> None:
    registry = Registry.discover()

    assert registry.get("probe") is PROBE
    assert PROBE in registry.all()


def test_kinds_are_listed_by_name() -> None:
    names = [kind.name for kind in Registry.discover().all()]

    assert names == sorted(names)


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownKindError) as caught:
        Registry([PROBE]).get("prob")

    assert caught.value.known_kinds == ["probe"]


def test_two_kinds_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="already a kind"):
        Registry([PROBE, PROBE])


def test_a_server_that_lists_kinds_imports_no_work() -> None:
    code = (
        "import sys\n"
        "from jobplane.engine.kinds.registry import Registry\n"
        "from jobplane.engine.kinds.probe import KIND\n"
        "registry = Registry([KIND])\n"
        "registry.parse(KIND, b'')\n"
        "registry.missing(KIND)\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))\n"
        "print(KIND.work.partition(':')[0] in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert shown.stdout.split("\n")[:2] == ["[]", "False"]


def test_a_kind_whose_modules_are_there_can_run() -> None:
    kind = custom(requires=("json", "xml.dom"))

    assert Registry([kind]).missing(kind) == ""


@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.inner", "json.no_such"])
def test_a_kind_whose_modules_are_missing_says_what_to_install(module: str) -> None:
    kind = custom(requires=("json", module), extra="toys")

    assert Registry([kind]).missing(kind) == 'pip install "jobplane[toys]"'


def test_a_plug_in_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from jobplane.engine.kinds.base import Kind\n"
        "KIND = Kind(name='found', description='', work='x:y', schema={}, schema_version='1')\n"
    )
    plugin(tmp_path, name="found", value="found_plugin:KIND", code=code)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert Registry.discover().get("found").schema_version == "1"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('out of order')", "out of order"),
        ("import no_such_module", "no_such_module"),
        ("KIND = 3", "not iterable"),
        ("KIND = ['text']", "gives kinds"),
        ("raise SyntaxError('odd')", "odd"),
    ],
)
def test_a_broken_plug_in_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    module = f"broken_{abs(hash(code))}"
    plugin(tmp_path, name="broken", value=f"{module}:KIND", code=code)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry.discover()
    kind = registry.get("broken")

    assert kind in registry.all()
    assert reason in registry.missing(kind)
    assert "broken" in registry.broken
    with pytest.raises(KindUnavailableError, match=re.escape(reason)):
        registry.check(kind, {}, JobSpec("broken", b""))


def test_a_plug_in_can_not_take_the_name_of_a_built_in_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from jobplane.engine.kinds.base import Kind\n"
        "KIND = Kind(name='probe', description='', work='x:y', schema={}, schema_version='1')\n"
    )
    plugin(tmp_path, name="probe", value="thief_plugin:KIND", code=code)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert Registry.discover().get("probe") is PROBE


def test_params_of_a_built_in_kind_become_its_message() -> None:
    spec = ProbeSpec(steps=3)

    assert Registry([PROBE]).parse(PROBE, spec.SerializeToString()) == spec


@pytest.mark.parametrize(
    ("kind", "params"),
    [(PROBE, b"\xff\xff"), (custom(), b"{"), (custom(), b'{"x": NaN}'), (custom(), b"\xff")],
)
def test_params_that_can_not_be_read_are_refused(kind: Kind, params: bytes) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        Registry([kind]).parse(kind, params)

    assert caught.value.violations[0].field == "params"


def test_whole_numbers_are_integers_again() -> None:
    spec = Registry([custom()]).parse(custom(), b'{"a": 3.0, "b": [2.5, 4.0], "c": {"d": 1e3}}')

    assert json.dumps(spec) == '{"a": 3, "b": [2.5, 4], "c": {"d": 1000}}'


def test_the_same_spec_gives_the_same_bytes() -> None:
    registry = Registry([PROBE])

    assert registry.serialized({"b": 1, "a": 2}) == registry.serialized({"a": 2, "b": 1})
    assert registry.serialized(ProbeSpec(steps=2)) == ProbeSpec(steps=2).SerializeToString()


def test_a_built_in_kind_checks_and_fills_by_its_own_rules() -> None:
    registry = Registry([PROBE])
    spec = ProbeSpec(gaps=-1)
    found = registry.check(PROBE, spec, JobSpec("probe", b""))
    registry.fill_defaults(PROBE, spec)

    assert [violation.field for violation in found] == ["gaps"]
    assert spec.steps == 1


NAMED = {"properties": {"a": {"type": "integer", "default": 5}, "b": {"type": "string"}}}


def test_params_that_fit_the_schema_pass() -> None:
    assert check(NAMED, {"a": 1, "b": "x"}) == []


def test_everything_wrong_is_told_at_once_by_path() -> None:
    schema = {
        "properties": {
            "n": {"type": "integer", "maximum": 3},
            "list": {"items": {"type": "object", "properties": {"x": {"type": "string"}}}},
        },
        "required": ["must"],
    }
    params = {"n": 4, "list": [{"x": "y"}, {"x": 1, "y": 2}], "odd": None}

    assert fields(schema, params) == {
        "params.n",
        "params.list[1].x",
        "params.list[1].y",
        "params.odd",
        "params.must",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {}},
        {"additionalProperties": True},
        {"additionalProperties": {}},
        {"allOf": [{"properties": {"a": {}}}]},
        {"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}},
    ],
)
def test_unknown_fields_are_refused_whatever_the_author_forgot(schema: Any) -> None:
    assert check(schema, {"unknown": 1}) != []
    assert check(schema, {}) == []


def test_a_map_that_the_author_typed_stays_a_map() -> None:
    schema = {"additionalProperties": {"type": "number"}}

    assert check(schema, {"anything": 1.5}) == []
    assert fields(schema, {"anything": "text"}) == {"params.anything"}


@pytest.mark.parametrize("params", [[], "text", 3, None])
def test_params_are_an_object(params: Any) -> None:
    assert fields(NAMED, params) == {"params"}


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 1, 2.0**60, 10**400])
def test_integers_that_lose_digits_are_refused(number: float) -> None:
    schema = {"properties": {"a": {"type": "array"}}}

    assert fields(schema, {"a": [1, number]}) == {"params.a[1]"}


@pytest.mark.parametrize("number", [2**53 - 1, -(2**53) + 1, 0.5, True])
def test_numbers_that_keep_their_digits_pass(number: float) -> None:
    assert check({"properties": {"a": {}}}, {"a": number}) == []


def test_params_that_are_nested_too_deep_are_refused() -> None:
    params: Any = 1
    for _ in range(100):
        params = {"a": params}

    assert len(check({"properties": {"a": {}}}, params)) == 1


@pytest.mark.parametrize("version", ["1", "3", ""])
def test_another_schema_version_is_refused(version: str) -> None:
    found = check(NAMED, {}, version=version)

    assert [violation.field for violation in found] == ["schema_version"]
    assert "'2'" in found[0].description


def test_defaults_of_the_schema_are_filled_in() -> None:
    schema = {"properties": {**NAMED["properties"], "in": NAMED}}
    registry = Registry([custom(schema)])
    spec: dict[str, Any] = {"in": {}, "b": "x"}
    registry.fill_defaults(custom(schema), spec)

    assert spec == {"a": 5, "b": "x", "in": {"a": 5}}


def test_the_kinds_own_check_sees_only_what_fits_its_schema() -> None:
    def own_check(spec: Any, _: JobSpec) -> list[Violation]:
        return [Violation("params.a", "too odd")] if spec["a"] % 2 else []

    kind = custom({**NAMED, "required": ["a"]}, check=own_check)
    registry = Registry([kind])
    job = JobSpec("toy", b"", schema_version="2")

    assert [each.field for each in registry.check(kind, {}, job)] == ["params.a"]
    assert registry.check(kind, {"a": 3}, job) == [Violation("params.a", "too odd")]
    assert registry.check(kind, {"a": 2}, job) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"properties": {"a": {"$ref": "https://example.com/schema.json"}}},
        {"properties": {"a": {"minimum": "three"}}},
    ],
)
def test_a_schema_that_can_not_be_used_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidSchemaError):
        Registry([custom(schema)])


def test_a_reference_to_nothing_is_told() -> None:
    found = check({"properties": {"a": {"$ref": "#/$defs/nothing"}}}, {"a": 1})

    assert "broken" in found[0].description
