"""What is generated from the contract is committed as it would be generated now."""

from pathlib import Path

from tests.contract.toolbox import ROOT, run


def files_below(folder: Path, pattern: str) -> dict[str, bytes]:
    paths = (path for path in folder.rglob(pattern) if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if "__pycache__" not in path.parts
    }


def differing(kept: dict[str, bytes], fresh: dict[str, bytes]) -> list[str]:
    return sorted(name for name in kept | fresh if kept.get(name) != fresh.get(name))


def test_the_generated_code_is_fresh(compiler: Path, tmp_path: Path) -> None:
    run([compiler, "protos/generate.py", "--out", tmp_path])
    kept, fresh = files_below(ROOT / "gen", "*"), files_below(tmp_path, "*")
    assert fresh
    assert differing(kept, fresh) == [], "gen/ is stale; run: make gen"


def test_the_generator_prints_nothing(compiler: Path, tmp_path: Path) -> None:
    assert run([compiler, "protos/generate.py", "--out", tmp_path]) == ""


def test_the_generator_takes_away_what_has_no_source(compiler: Path, tmp_path: Path) -> None:
    stray = tmp_path / "jobplane/old/v1/old_pb2.py"
    stray.parent.mkdir(parents=True)
    stray.touch()
    run([compiler, "protos/generate.py", "--out", tmp_path])
    assert not stray.parent.exists()


def test_only_files_with_services_have_stubs() -> None:
    stubs = {path.name for path in (ROOT / "gen").rglob("*_pb2_grpc.py")}
    assert stubs
    assert all(name.endswith("_service_pb2_grpc.py") for name in stubs)


def test_the_reference_is_fresh(compiler: Path, tmp_path: Path) -> None:
    run([compiler, "protos/reference.py", "--out", tmp_path])
    kept = files_below(ROOT / "docs/reference", "*.md")
    fresh = files_below(tmp_path, "*.md")
    assert fresh
    stale = [name for name in differing(kept, fresh) if name in fresh or written(kept[name])]
    assert stale == [], "docs/reference/ is stale; run: make docs"


def written(page: bytes) -> bool:
    return page.startswith(b"<!-- Written by protos/reference.py")
