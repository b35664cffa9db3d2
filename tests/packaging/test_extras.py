"""What a kind needs is what its extra installs."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from jobplane.engine.kinds.registry import Registry

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
KINDS = [kind for kind in Registry.discover().all() if kind.spec is not None]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_by(extra: str) -> set[str]:
    """Distributions that an extra names, itself or through the extras that it builds on."""
    names: set[str] = set()
    for requirement in EXTRAS[extra]:
        if others := re.fullmatch(r"jobplane\[([a-z0-9,-]+)\]", requirement):
            names = names.union(*(installed_by(other) for other in others[1].split(",")))
        else:
            names.add(normal(re.split(r"[\[<>=!~; ]", requirement)[0]))
    return names


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_extra_of_a_kind_installs_what_it_requires(kind):
    homes = packages_distributions()
    offered = installed_by(kind.extra or "server")
    for module in kind.requires:
        # A module that is not installed here is taken for a distribution of the same name.
        wanted = {normal(name) for name in homes.get(module.partition(".")[0], [module])}
        assert wanted & offered, f"{kind.name} requires {module}, which {kind.extra} leaves out"


def test_all_holds_every_extra():
    missing = {name: installed_by(name) - installed_by("all") for name in EXTRAS}
    assert {name: lost for name, lost in missing.items() if lost} == {}
