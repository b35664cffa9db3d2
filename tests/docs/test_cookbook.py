"""Every line of the cookbook, run as it stands, in each language."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.clients.toolbox import fetch, path_of, run
from tests.docs.console import ROOT, blocks, missing, session

PAGE = ROOT / "docs/cookbook.md"
ADDRESS = "127.0.0.1:7070"
HERE = "\t// The blocks below stand here.\n"


def code(language: str, server: str) -> list[str]:
    """Blocks of a language, for the server of the test."""
    return [block.replace(ADDRESS, server) for block in blocks(PAGE, language)]


def promised(language: str, mark: str) -> str:
    """What the blocks say that they print."""
    lines = "".join(blocks(PAGE, language)).splitlines()
    return "".join(f"{line.removeprefix(mark)}\n" for line in lines if line.startswith(mark))


def test_the_tasks_are_done_by_grpcurl(grpcurl, server):
    ran = 0
    for command, shown in session(PAGE):
        words = shlex.split(command.replace(ADDRESS, server))
        done = subprocess.run(
            [grpcurl, *words[1:]], capture_output=True, text=True, timeout=60, check=False
        )
        printed = (done.stdout + done.stderr).splitlines()
        assert missing(shown, printed) is None, (command, missing(shown, printed), printed)
        ran += 1
    assert ran == 9


def test_the_tasks_are_done_in_python(server, tmp_path):
    program = tmp_path / "cookbook.py"
    program.write_text("\n".join(code("python", server)))
    assert run([sys.executable, program], folder=tmp_path) == promised("python", "# -> ")


# The first build compiles the whole of grpc.
@pytest.mark.timeout(300)
def test_the_tasks_are_done_in_go(server, tmp_path):
    go, folder = path_of("go"), ROOT / "clients/go"
    fetch([go, "mod", "download"], folder=folder)
    frame, *recipes = code("go", server)
    program = tmp_path / "cookbook.go"
    program.write_text(frame.replace(HERE, "".join(recipes)))
    run([go, "build", "-o", tmp_path / "cookbook", program], folder=folder)
    assert run([tmp_path / "cookbook"], folder=tmp_path) == promised("go", "// -> ")


@pytest.mark.timeout(300)
def test_the_tasks_are_done_in_typescript(server):
    npm, folder = path_of("npm"), ROOT / "clients/typescript"
    if not (folder / "node_modules/.package-lock.json").exists():
        fetch([npm, "ci", "--ignore-scripts"], folder=folder)
    run([npm, "run", "build"], folder=folder)
    # Where an example stands, so that it finds the package by its name.
    program = folder / f"examples/cookbook-{os.getpid()}.ts"
    built = folder / f"dist/examples/{program.stem}.js"
    try:
        program.write_text("\n".join(code("typescript", server)))
        run([folder / "node_modules/.bin/tsc", "-p", "tsconfig.json"], folder=folder)
        printed = run([path_of("node"), built], folder=folder)
    finally:
        program.unlink()
    assert printed == promised("typescript", "// -> ")
