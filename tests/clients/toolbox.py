"""Runs the tools of other languages, and says what to install where one is missing."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = {
    "go": "install Go 1.26 or newer: https://go.dev/dl",
    "gofmt": "install Go 1.26 or newer: https://go.dev/dl",
    "node": "install Node 20 or newer: https://nodejs.org",
    "npm": "install Node 20 or newer: https://nodejs.org",
}


def path_of(tool: str) -> str:
    """Find a tool, or leave the test with its install line."""
    path = shutil.which(tool)
    return path or unavailable(f"{tool} is missing; {INSTALL[tool]}")


def unavailable(reason: str) -> NoReturn:
    """Skip the test on a developer's machine, fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(
    command: Sequence[str | Path], *, folder: Path, seconds: int = 300, **environment: str
) -> str:
    """Run a command that must succeed, and give what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fetch(command: Sequence[str | Path], *, folder: Path) -> None:
    """Run a command that needs the network; without one the test is left."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        unavailable(f"{' '.join(map(str, command))} in {folder.name}: {done.stderr.strip()}")
