"""The example of a third-party kind is installed, found, checked and run."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.domain.attempt import Completed, Intent, Yielded
from jobplane.engine.domain.event import StageFinished, StageStarted
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.kinds.base import Kind
from jobplane.engine.kinds.registry import Registry
from tests.executors.rig import ROOT, Rig, settings_of_test

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the example installed, as pip would leave it."""
    target = tmp_path_factory.mktemp("site")
    if not UV.exists():
        if os.environ.get("CI"):
            pytest.fail("uv is missing: pip install uv")
        pytest.skip("uv is missing: pip install uv")
    source = ROOT / "examples/hello_kind"
    command = [UV, "pip", "install", "--quiet", "--no-deps", "--target", target, source]
    subprocess.run([str(word) for word in command], check=True, timeout=90)
    return target


@pytest.fixture
def registry(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.syspath_prepend(str(installed))
    assert any(found.name == "jobplane-hello-kind" for found in distributions())
    return Registry.discover()


@pytest.fixture
def kind(registry: Registry) -> Kind:
    return registry.get("hello")


@pytest.fixture
def rig(registry: Registry, installed: Path, tmp_path: Path) -> Iterator[Rig]:
    settings = settings_of_test(environment={"PYTHONPATH": str(installed)})
    rig = Rig(ProcessExecutor(registry, settings), tmp_path)
    yield rig
    rig.executor.stop(0)


def accepted(registry: Registry, kind: Kind, params: Any) -> bytes:
    """Give params as a server keeps them."""
    spec = registry.parse(kind, json.dumps(params).encode())
    job = JobSpec(kind.name, b"", schema_version="1")
    assert registry.check(kind, spec, job) == []
    registry.fill_defaults(kind, spec)
    return registry.serialized(spec)


def test_it_is_found_and_can_run(registry: Registry, kind: Kind) -> None:
    assert kind in registry.all()
    assert registry.missing(kind) == ""


def test_it_greets(registry: Registry, kind: Kind, rig: Rig) -> None:
    told = rig.run("hello", accepted(registry, kind, {"names": ["Ada", "Alan"]}))

    assert isinstance(told.conclusion, Completed), told.conclusion
    assert json.loads(told.conclusion.result.details) == {"first": "Hello, Ada!", "count": 2}
    table = list(csv.reader(io.StringIO(told.artifacts["greetings.csv"].content.decode())))
    assert table[1:] == [["Ada", "Hello, Ada!"], ["Alan", "Hello, Alan!"]]
    assert told.payloads == [
        event for stage in kind.stages for event in (StageStarted(stage), StageFinished(stage))
    ]


def test_it_goes_on_after_a_pause(registry: Registry, kind: Kind, rig: Rig) -> None:
    names = [str(number) for number in range(1000)]
    assignment = rig.launch("hello", accepted(registry, kind, {"names": names, "pause_s": 0.01}))
    rig.reports.begun(assignment)
    rig.control(assignment, Intent.PAUSE)
    told = rig.reports.ended(assignment)
    assert told.conclusion == Yielded(Intent.PAUSE)
    saved, _ = told.checkpoints[-1]
    again = rig.run("hello", accepted(registry, kind, {"names": names}), checkpoint=saved)

    assert isinstance(again.conclusion, Completed)
    assert again.conclusion.result.metrics == {"greetings": 1000.0}


def test_its_schema_refuses_what_it_does_not_know(registry: Registry, kind: Kind) -> None:
    spec = registry.parse(kind, b'{"names": [""], "gretting": "Hi"}')
    found = registry.check(kind, spec, JobSpec("hello", b"", schema_version="1"))

    assert {each.field for each in found} == {"params.names[0]", "params.gretting"}
