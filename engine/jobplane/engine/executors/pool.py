"""The warm pool: spare children whose imports are done before anybody needs them."""

import logging
import sys
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from jobplane.engine.executors.environment import child_environment
from jobplane.engine.executors.family import Child, Family
from jobplane.engine.executors.settings import ProcessSettings
from jobplane.engine.kinds.base import Kind

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a child imports before it is ready."""

    kind: str
    work: str
    spec: str
    hint: str

    @classmethod
    def of(cls, kind: Kind) -> "Recipe":
        """Give the recipe of a kind."""
        spec = f"{kind.spec.__module__}:{kind.spec.__qualname__}" if kind.spec is not None else ""
        return cls(kind.name, kind.work, spec, f'pip install "jobplane[{kind.extra}]"')

    @property
    def argv(self) -> list[str]:
        """Give the command of a child."""
        module = "jobplane.engine.executors.child"
        return [sys.executable, "-P", "-m", module, self.kind, self.work, self.spec, self.hint]


class WarmPool:
    """Spare children by recipe; each is used once."""

    def __init__(self, family: Family, settings: ProcessSettings) -> None:
        self._family = family
        self._settings = settings
        self._lock = threading.Lock()
        # Recipes by last use, each with its spares and when they were made, oldest first.
        self._spares: OrderedDict[Recipe, deque[tuple[Child, float]]] = OrderedDict()
        self._is_closed = False

    def take(self, recipe: Recipe) -> tuple[Child, bool]:
        """Give a child, and whether it was warm."""
        with self._lock:
            spares = self._spares.setdefault(recipe, deque())
            self._spares.move_to_end(recipe)
            while spares:
                child, _ = spares.popleft()
                if child.exit is None:
                    return child, True
                child.close()
        return self._spawned(recipe), False

    def _spawned(self, recipe: Recipe) -> Child:
        own = self._settings.kind_environment.get(recipe.kind, {})
        extra = {**self._settings.environment, **own}
        return self._family.spawn(recipe.argv, child_environment(extra))

    def refill(self, recipe: Recipe) -> None:
        """Make spares for a recipe that was just used, at the cost of those not used lately."""
        with self._lock:
            spares = self._spares.setdefault(recipe, deque())
            while not self._is_closed and len(spares) < self._settings.warm_per_kind:
                if not self._has_room(recipe):
                    return
                try:
                    spares.append((self._spawned(recipe), time.monotonic()))
                except OSError as error:
                    # The job that just took a child goes on; only the next one starts colder.
                    _log.warning("no spare child", extra={"kind": recipe.kind, "why": str(error)})
                    return

    def _has_room(self, recipe: Recipe) -> bool:
        """Give up the oldest spare of another recipe when the pool is full."""
        if sum(map(len, self._spares.values())) < self._settings.warm_total:
            return True
        for other, spares in self._spares.items():
            if other != recipe and spares:
                spares.popleft()[0].close()
                return self._settings.warm_total > 0
        return False

    def retire_idle(self, now: float) -> None:
        """End spares that nobody needed for long, and forget those that ended."""
        with self._lock:
            for recipe, spares in tuple(self._spares.items()):
                while spares and (
                    now - spares[0][1] > self._settings.warm_idle_s or spares[0][0].exit is not None
                ):
                    spares.popleft()[0].close()
                if not spares:
                    del self._spares[recipe]

    def close(self) -> None:
        """Let every spare go."""
        with self._lock:
            self._is_closed = True
            for spares in self._spares.values():
                for child, _ in spares:
                    child.close()
            self._spares.clear()
