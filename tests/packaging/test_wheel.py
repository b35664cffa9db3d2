"""The wheel, bare and with the server, in clean environments."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READY = re.compile(r"jobplane ready grpc=(\S+) ")
UV = Path(sys.executable).parent / "uv"
NOT_FOR_CLIENTS = {"sqlalchemy", "alembic", "pandas", "pyarrow", "protovalidate", "uvicorn"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "-q", "--wheel", "-o", out, ROOT], check=True, timeout=300)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("bare") / "venv", str(wheel))


@pytest.fixture(scope="module")
def with_server(wheel, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("server") / "venv", f"{wheel}[server]")


def environment(folder, requirement):
    subprocess.run([UV, "venv", "-q", "-p", sys.executable, folder], check=True, timeout=120)
    subprocess.run([UV, "pip", "install", "-q", "-p", folder, requirement], check=True, timeout=600)
    return folder / "bin"


def installed(binaries):
    listed = subprocess.run(
        [UV, "pip", "list", "-q", "--format", "json", "-p", binaries.parent],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {package["name"] for package in json.loads(listed.stdout)}


def test_the_wheel_holds_nothing_but_our_namespace(wheel):
    names = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    roots = {line.split()[0].split("/")[0] for line in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"jobplane"}


def test_the_bare_wheel_is_light(bare):
    assert not installed(bare) & NOT_FOR_CLIENTS


def test_the_bare_wheel_says_how_to_get_the_server(bare, tmp_path):
    done = subprocess.run(
        [bare / "jobplane", "dev", "--data", tmp_path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'jobplane[server]'" in done.stderr


def test_a_bare_client_uses_a_server_of_another_environment(bare, with_server, tmp_path):
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [with_server / "jobplane", "dev", "--port", "0", "--http-port", "0",
             "--data", str(tmp_path / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as server,
    ):  # fmt: skip
        ready = READY.match(server.stdout.readline())
        assert ready, (tmp_path / "log").read_text()
        done = subprocess.run(
            [bare / "jobplane", "submit", "--kind", "probe", "-p", "steps=2", "--watch", "-q"],
            env={"JOBPLANE_ADDRESS": ready[1], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "SUCCEEDED" in done.stdout
        server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0


def test_types_of_the_wheel_reach_its_users(wheel, bare, tmp_path):
    shutil.copy(ROOT / "tests/client/user_script.py", tmp_path / "user_script.py")
    mypy = Path(sys.executable).parent / "mypy"
    done = subprocess.run(
        [mypy, "--strict", "--python-executable", bare / "python", "user_script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
