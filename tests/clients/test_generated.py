"""The generated code of the clients is that of the contract."""

from pathlib import Path

import pytest

from tests.clients.toolbox import ROOT, path_of, run, unavailable


def files_below(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("typescript_folder")
def test_the_generated_code_of_the_clients_is_fresh(tmp_path: Path) -> None:
    path_of("go")
    python = ROOT / ".venv-gen/bin/python"
    if not (python.exists() and (ROOT / "third_party").exists()):
        unavailable("the compiler of the contract is not set up; run: make gen")
    run([python, ROOT / "clients/generate.py", "--out", tmp_path], folder=ROOT)
    for folder in ("go/gen", "typescript/src/gen"):
        kept = files_below(ROOT / "clients" / folder)
        fresh = files_below(tmp_path / folder)
        stale = sorted(name for name in kept | fresh if kept.get(name) != fresh.get(name))
        assert stale == [], f"clients/{folder} is stale; run: make gen"
