"""Compiles the contract, and says what to install where a tool is missing."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest
from google.protobuf.descriptor import Descriptor, MethodDescriptor

ROOT = Path(__file__).parents[2]


def unavailable(reason: str) -> NoReturn:
    """Skip the test on a developer's machine, fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(command: Sequence[str | Path], *, folder: Path = ROOT) -> str:
    """Run a command that must succeed, and give what it printed."""
    done = attempt(command, folder=folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def attempt(
    command: Sequence[str | Path], *, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def tool(name: str) -> Path:
    """Find a tool of the development environment."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        unavailable(f"{name} is missing; run: make sync")
    return path


def generated_modules() -> Iterator[ModuleType]:
    """Import every module of messages in gen/."""
    for path in sorted((ROOT / "gen/jobplane").rglob("*_pb2.py")):
        yield importlib.import_module(
            ".".join(path.relative_to(ROOT / "gen").with_suffix("").parts)
        )


def messages() -> Iterator[Descriptor]:
    """Give every message of the contract, nested ones too."""

    def walk(message: Descriptor) -> Iterator[Descriptor]:
        if not message.GetOptions().map_entry:
            yield message
            for nested in message.nested_types:
                yield from walk(nested)

    for module in generated_modules():
        for message in module.DESCRIPTOR.message_types_by_name.values():
            yield from walk(message)


def methods() -> Iterator[MethodDescriptor]:
    """Give every RPC of the contract."""
    for module in generated_modules():
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from service.methods
