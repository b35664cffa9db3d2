"""The compiler of the contract."""

import os
import sys
from pathlib import Path

import pytest

from tests.contract.toolbox import ROOT, run, unavailable


@pytest.fixture(scope="session")
def compiler() -> Path:
    """Python that has protoc, with the .proto files of others laid out."""
    python = ROOT / os.environ.get("JOBPLANE_GEN_PYTHON", ".venv-gen/bin/python")
    if not python.exists():
        unavailable("the compiler of the contract is not set up; run: make gen")
    if not (ROOT / "third_party/buf").exists():
        run([sys.executable, "protos/third_party.py"])
    return python


@pytest.fixture(scope="session")
def image(compiler: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled contract as it stands in the work tree, with comments and rules."""
    folder = tmp_path_factory.mktemp("image")
    target = folder / "image.binpb"
    run([compiler, "protos/generate.py", "--out", folder / "gen", "--rules-image", target])
    return target
