"""The generated code works on the oldest runtime that is declared, and on the newest."""

import sys
from pathlib import Path

import pytest

from tests.contract.toolbox import ROOT, attempt, run, tool, unavailable

FLOOR = ("protobuf==6.33.5", "grpcio==1.81.1", "googleapis-common-protos==1.70.0")
NEWEST = ("protobuf<8", "grpcio", "googleapis-common-protos")
SCRIPT = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
paths = sorted(root.glob("jobplane/**/*_pb2.py")) + sorted(root.glob("jobplane/**/*_grpc.py"))
for path in paths:
    importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
from jobplane.v1 import job_service_pb2
request = job_service_pb2.SubmitJobRequest(project="p")
request.spec.probe.steps = 3
assert job_service_pb2.SubmitJobRequest.FromString(request.SerializeToString()) == request
print(len(paths))
"""


@pytest.mark.parametrize("packages", [FLOOR, NEWEST], ids=["floor", "newest"])
def test_the_generated_code_imports(packages: tuple[str, ...], tmp_path: Path) -> None:
    uv = tool("uv")
    run([uv, "venv", "-q", "-p", sys.executable, tmp_path / "env"])
    python = tmp_path / "env/bin/python"
    installed = attempt([uv, "pip", "install", "-q", "-p", python, *packages])
    if installed.returncode:
        unavailable(f"packages can't be had: {installed.stderr.strip()[-300:]}")
    command = f"import sys; sys.path.insert(0, sys.argv[1]); exec({SCRIPT!r})"
    printed = run([python, "-W", "error", "-c", command, ROOT / "gen"], folder=tmp_path)
    assert int(printed) > 30


def test_the_floor_is_the_one_that_is_declared() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert '"protobuf>=6.33.5,<8"' in project
    assert '"grpcio>=1.81.1"' in project
    assert '"grpcio-tools==1.81.1"' in project
