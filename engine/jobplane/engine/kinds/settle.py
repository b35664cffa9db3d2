"""Settling: a caller's params become what will run, with every default and every refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.engine.kinds.schema import schema_violations


@dataclass(frozen=True, slots=True)
class Settled:
    """Params with defaults, what is wrong with them, and what the kind makes of them."""

    params: bytes
    violations: tuple[Violation, ...]
    labels: Mapping[str, str]
    isolation: Isolation


def settle(kind: Kind, spec: JobSpec) -> Settled:
    """Apply a kind's defaults and rules to the params of a spec."""
    return _settle_custom(kind, spec) if kind.spec is None else _settle_built_in(kind, spec)


def _settle_built_in(kind: Kind, spec: JobSpec) -> Settled:
    assert kind.spec is not None  # noqa: S101  the caller has looked
    message = kind.spec.FromString(spec.params)
    kind.fill_defaults(message)
    prefix = f"spec.{kind.name}"
    violations = [
        Violation(f"{prefix}.{found.field}" if found.field else prefix, found.description)
        for found in kind.check(message, spec)
    ]
    return Settled(
        params=message.SerializeToString(deterministic=True),
        violations=tuple(violations),
        labels=kind.labels(message),
        isolation=kind.isolation(message),
    )


def _settle_custom(kind: Kind, spec: JobSpec) -> Settled:
    params = parse_params(kind, spec.params)
    violations = list(schema_violations(kind, params, schema_version=spec.schema_version))
    if violations:
        return Settled(spec.params, tuple(violations), {}, Isolation.PROCESS)
    kind.fill_defaults(params)
    violations += [
        Violation(f"spec.custom.params.{found.field}", found.description)
        for found in kind.check(params, spec)
    ]
    return Settled(
        params=json.dumps(params, sort_keys=True, separators=(",", ":")).encode(),
        violations=tuple(violations),
        labels=kind.labels(params),
        isolation=kind.isolation(params),
    )


def parse_params(kind: Kind, params: bytes) -> Any:
    """The params as the kind's work sees them: its message, or a mapping."""
    if kind.spec is None:
        return json.loads(params) if params else {}
    return kind.spec.FromString(params)


def readable(kind: Kind, params: bytes) -> Mapping[str, Any]:
    """The params as plain names and values, for a person to compare."""
    parsed = parse_params(kind, params)
    if kind.spec is None:
        return parsed  # type: ignore[no-any-return]  # JSON Schema has it that params are an object
    return MessageToDict(parsed, preserving_proto_field_name=True)
