"""The registry: every kind that this server knows, and what is wrong with those it can't use."""

import json
import logging
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from google.protobuf.message import DecodeError, Message

import jobplane.engine.kinds
from jobplane.engine.domain.errors import (
    InvalidSpecError,
    KindUnavailableError,
    UnknownKindError,
    Violation,
)
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.kinds.base import Kind
from jobplane.engine.kinds.schema import InvalidSchemaError, ParamsSchema, parsed_params

GROUP = "jobplane.kinds"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_log = logging.getLogger(__name__)


class Registry:
    """Kinds by name. Built-in kinds have a spec message; plug-ins a JSON Schema."""

    def __init__(self, kinds: Iterable[Kind], *, broken: Mapping[str, str] | None = None) -> None:
        self._kinds: dict[str, Kind] = {}
        self._schemas: dict[str, ParamsSchema] = {}
        self._broken: dict[str, str] = {}
        for kind in kinds:
            self._add(kind)
        for name, why in (broken or {}).items():
            self._add_broken(name, why)

    @classmethod
    def discover(cls) -> "Registry":
        """Give the registry of the built-in kinds and of the plug-ins that are installed."""
        registry = cls(())
        for found in pkgutil.iter_modules(jobplane.engine.kinds.__path__):
            if found.ispkg:
                registry._add_builtin(found.name)
        for point in entry_points(group=GROUP):
            registry._add_plugin(point)
        return registry

    @property
    def broken(self) -> Mapping[str, str]:
        """Kinds that are listed but can't be loaded, each with the reason."""
        return self._broken

    def _add_builtin(self, name: str) -> None:
        """Add the kind of a folder beside this module, by its KIND or KINDS."""
        try:
            package = import_module(f"{jobplane.engine.kinds.__name__}.{name}")
            for kind in getattr(package, "KINDS", ()) or (package.KIND,):
                self._add(kind)
        except (ImportError, AttributeError, ValueError, InvalidSchemaError) as error:
            self._add_broken(name, f"it can't be loaded: {error}")

    def _add(self, kind: Kind) -> None:
        if not _NAME.fullmatch(kind.name):
            raise ValueError(f"{kind.name!r} is no name for a kind: want {_NAME.pattern}")
        if kind.name in self._kinds:
            raise ValueError(f"there is already a kind {kind.name!r}")
        if kind.spec is None:
            if kind.schema is None:
                raise ValueError(f"kind {kind.name!r} has neither a spec message nor a JSON Schema")
            self._schemas[kind.name] = ParamsSchema(kind.schema)
        self._kinds[kind.name] = kind

    def _add_plugin(self, point: EntryPoint) -> None:
        """Add what an entry point names; its faults are kept, they must not end the server."""
        try:
            loaded = point.load()
            for kind in (loaded,) if isinstance(loaded, Kind) else tuple(loaded):
                if not isinstance(kind, Kind) or kind.spec is not None:
                    raise TypeError("a plug-in gives kinds with a JSON Schema")  # noqa: TRY301
                self._add(kind)
        # Code of others: it may raise anything while it is imported.
        except Exception as error:  # noqa: BLE001
            self._add_broken(point.name, f"its plug-in {point.value} can't be used: {error}")

    def _add_broken(self, name: str, why: str) -> None:
        _log.warning("a kind can't be used", extra={"kind": name, "why": why})
        if name not in self._kinds and _NAME.fullmatch(name):
            description = "Can't be used on this server."
            self._kinds[name] = Kind(name=name, description=description, work="", schema={})
            self._broken[name] = why

    def all(self) -> tuple[Kind, ...]:
        """Give every kind by name, those that can't be used here included."""
        return tuple(self._kinds[name] for name in sorted(self._kinds))

    def get(self, name: str) -> Kind:
        """Give a kind, or raise UnknownKindError."""
        try:
            return self._kinds[name]
        except KeyError:
            raise UnknownKindError(name, sorted(self._kinds)) from None

    def missing(self, kind: Kind) -> str:
        """Say what to do before the kind can run here; empty when it can."""
        if kind.name in self._broken:
            return self._broken[kind.name]
        if all(_is_importable(module) for module in kind.requires):
            return ""
        return f'pip install "jobplane[{kind.extra}]"'

    def parse(self, kind: Kind, params: bytes) -> Any:
        """Give the spec message of a built-in kind, or the params of a custom one."""
        try:
            return parsed_params(params) if kind.spec is None else kind.spec.FromString(params)
        except (DecodeError, ValueError) as error:
            raise InvalidSpecError([Violation("params", f"can't be read: {error}")]) from error

    def check(self, kind: Kind, spec: Any, job: JobSpec) -> list[Violation]:
        """Give everything that is wrong with a parsed spec; fields are paths inside it.

        Those of a custom kind are `schema_version` and `params...`.
        """
        violations: list[Violation] = []
        if kind.name in self._broken:
            raise KindUnavailableError(kind.name, self._broken[kind.name])
        if kind.spec is None:
            violations += _version_violations(kind, job)
            violations += self._schemas[kind.name].violations(spec)
            if violations:
                # The kind's own check may rely on what the schema promises.
                return violations
        return violations + list(kind.check(spec, job))

    def fill_defaults(self, kind: Kind, spec: Any) -> None:
        """Put in, in place, the defaults of a parsed spec."""
        if kind.spec is None:
            self._schemas[kind.name].fill_defaults(spec)
        kind.fill_defaults(spec)

    def serialized(self, spec: Any) -> bytes:
        """Give a parsed spec as JobSpec.params: the same spec gives the same bytes."""
        if isinstance(spec, Message):
            return spec.SerializeToString(deterministic=True)
        return json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _version_violations(kind: Kind, job: JobSpec) -> Iterator[Violation]:
    if job.schema_version != kind.schema_version:
        given = f"{job.schema_version!r} is not" if job.schema_version else "is required:"
        text = f"{given} the version of {kind.name!r} on this server, {kind.schema_version!r}"
        yield Violation("schema_version", text)


def _is_importable(module: str) -> bool:
    """Whether a module is installed, found without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
