"""Settling: a caller's params become what will run, with every default and every refusal."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.engine.kinds.registry import Registry


@dataclass(frozen=True, slots=True)
class Settled:
    """Params with defaults, what is wrong with them, and what the kind makes of them."""

    params: bytes
    violations: tuple[Violation, ...]
    missing: tuple[Violation, ...]
    labels: Mapping[str, str]
    isolation: Isolation


def settle(
    registry: Registry, kind: Kind, spec: JobSpec, *, settings: Mapping[str, Any]
) -> Settled:
    """Apply a kind's defaults and rules to the params of a spec."""
    parsed = registry.parse(kind, spec.params)
    prefix = params_path(kind)
    violations = _placed(registry.check(kind, parsed, spec), prefix)
    if violations:
        return Settled(spec.params, violations, (), {}, Isolation.PROCESS)
    registry.fill_defaults(kind, parsed)
    return Settled(
        params=registry.serialized(parsed),
        violations=(),
        missing=_placed(kind.missing(parsed, settings), prefix),
        labels=kind.labels(parsed),
        isolation=kind.isolation(parsed),
    )


def _placed(found: Iterable[Violation], prefix: str) -> tuple[Violation, ...]:
    """The violations with their fields as paths from the request."""
    return tuple(
        Violation(f"{prefix}.{one.field}" if one.field else prefix, one.description)
        for one in found
    )


def params_path(kind: Kind) -> str:
    """Where the contract has the params of a kind."""
    return f"spec.{kind.name}" if kind.spec else "spec.custom"


def readable(registry: Registry, kind: Kind, params: bytes) -> Mapping[str, Any]:
    """The params as plain names and values, for a person to compare."""
    parsed = registry.parse(kind, params)
    if kind.spec is None:
        return parsed  # type: ignore[no-any-return]  # JSON Schema has it that params are an object
    return MessageToDict(parsed, preserving_proto_field_name=True)
