"""The contract only ever grows: what a released client uses stays as it is."""

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.contract.toolbox import ROOT, attempt, run, tool, unavailable

RULES = '{"version": "v2", "breaking": {"use": ["FILE"]}}'


def compiled(compiler: Path, protos: Path, target: Path) -> Path:
    sources = sorted(str(path.relative_to(protos)) for path in protos.glob("jobplane/**/*.proto"))
    includes = (f"-I{protos}", f"-I{ROOT / 'third_party'}")
    output = ("--include_imports", f"--descriptor_set_out={target}")
    run([compiler, "-m", "grpc_tools.protoc", *includes, *output, *sources])
    return target


def breaks(new: Path, old: Path) -> str:
    """Give what is broken, one line each; empty when nothing is."""
    done = attempt([tool("buf"), "breaking", new, "--against", old, "--config", RULES])
    assert done.returncode in {0, 100}, done.stderr
    return done.stdout


def released() -> str:
    """Name the last release, or the last commit where there is none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        unavailable("the history is missing; run the tests in a git clone")
    tag = attempt(["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])
    return tag.stdout.strip() or "HEAD"


@pytest.fixture
def current(compiler: Path, tmp_path: Path) -> Path:
    return compiled(compiler, ROOT / "protos", tmp_path / "current.binpb")


def test_nothing_that_was_released_is_broken(compiler: Path, current: Path, tmp_path: Path) -> None:
    archive = tmp_path / "released.tar"
    run(["git", "archive", "--output", archive, released(), "protos"])
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as content:
        content.extractall(tmp_path / "released", filter="data")
    old = compiled(compiler, tmp_path / "released/protos", tmp_path / "released.binpb")
    assert breaks(current, old) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string display_name = 1", "string title = 1"),
        ("RunPolicy policy = 3", "RunPolicy policy = 6"),
        ("double cpu = 1", "float cpu = 1"),
        ("CONDITION_FINISHED = 3", "CONDITION_ENDED = 3"),
    ],
    ids=["a field renamed", "a field renumbered", "a type changed", "a value renamed"],
)
def test_a_break_is_caught(
    compiler: Path, current: Path, tmp_path: Path, before: str, after: str
) -> None:
    protos = tmp_path / "protos"
    shutil.copytree(ROOT / "protos/jobplane", protos / "jobplane")
    spec = protos / "jobplane/v1/spec.proto"
    text = spec.read_text()
    assert text.count(before) == 1
    spec.write_text(text.replace(before, after))
    assert breaks(compiled(compiler, protos, tmp_path / "changed.binpb"), current)


def test_the_contract_keeps_the_rules_of_style(compiler: Path) -> None:
    del compiler  # it lays out third_party/, which buf reads
    done = attempt([tool("buf"), "lint"])
    assert done.returncode == 0, done.stdout


def test_the_contract_is_formatted() -> None:
    done = attempt([tool("buf"), "format", "-d", "--exit-code", "protos"])
    assert done.returncode == 0, done.stdout
