"""The layout that lets four source roots share one namespace."""

import pytest

from tests.contract.toolbox import ROOT, generated_modules

ROOTS = ("engine", "service", "gen", "clients/python")


@pytest.mark.parametrize("root", ROOTS)
def test_a_source_root_leaves_the_namespace_open(root: str) -> None:
    assert (ROOT / root / "jobplane").is_dir()
    assert not (ROOT / root / "jobplane/__init__.py").exists()


def test_generated_packages_are_open_too() -> None:
    assert list((ROOT / "gen").rglob("__init__.py")) == []


def test_generated_packages_carry_types() -> None:
    folders = {path.parent for path in (ROOT / "gen").rglob("*_pb2.py")}
    assert [folder for folder in folders if not (folder / "py.typed").exists()] == []


def test_no_generated_module_imports_the_package_of_rules() -> None:
    imports = {
        name for module in generated_modules() for name in vars(module) if name.startswith("buf_")
    }
    assert imports == set()
