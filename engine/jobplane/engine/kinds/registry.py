"""Which kinds there are: those of this package, and those that other packages bring."""

import importlib
import logging
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from jobplane.engine import kinds
from jobplane.engine.domain.errors import UnknownKindError
from jobplane.engine.kinds.base import Kind

log = logging.getLogger(__name__)
GROUP = "jobplane.kinds"


class Registry:
    """Kinds by name. Describes only: no kind's work is imported here."""

    def __init__(self, found: Iterable[Kind], broken: Mapping[str, str] | None = None) -> None:
        self._kinds = {kind.name: kind for kind in found}
        self._broken = dict(broken or {})

    @classmethod
    def discover(cls) -> "Registry":
        """All kinds that are installed; a plug-in that can't be loaded is unavailable."""
        found = list(_built_in())
        broken: dict[str, str] = {}
        for entry in entry_points(group=GROUP):
            try:
                found.append(_plugged_in(entry, taken={kind.name for kind in found}))
            except Exception as error:  # noqa: BLE001  somebody else's code: its failure is a fact to tell
                log.warning("kind.broken", extra={"kind": entry.name, "error": repr(error)})
                broken[entry.name] = f"the plug-in {entry.value} can't be loaded: {error!r}"
                found.append(Kind(name=entry.name, description=broken[entry.name], work=""))
        return cls(found, broken)

    def all(self) -> tuple[Kind, ...]:
        """Every kind, by name."""
        return tuple(self._kinds[name] for name in sorted(self._kinds))

    def get(self, name: str) -> Kind:
        """The kind of this name."""
        if name not in self._kinds:
            raise UnknownKindError(name, sorted(self._kinds))
        return self._kinds[name]

    def missing(self, kind: Kind) -> str:
        """What to do before the kind can run; empty when nothing is missing."""
        if kind.name in self._broken:
            return self._broken[kind.name]
        if all(find_spec(module) for module in kind.requires):
            return ""
        return f'pip install "jobplane[{kind.extra}]"'


def _built_in() -> Iterator[Kind]:
    for module in pkgutil.iter_modules(kinds.__path__):
        if module.ispkg:
            package = importlib.import_module(f"{kinds.__name__}.{module.name}")
            yield package.KIND


def _plugged_in(entry: EntryPoint, *, taken: set[str]) -> Kind:
    kind = entry.load()
    if not isinstance(kind, Kind):
        raise TypeError(f"{entry.value} is not a Kind")
    if kind.name in taken:
        raise ValueError(f"kind {kind.name!r} exists already")
    if kind.schema is None:
        raise ValueError(f"kind {kind.name!r} has no JSON Schema")
    return kind
