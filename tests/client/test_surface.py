"""What the package shows to its users, and what it costs them."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import jobplane.client
from jobplane.client import (
    Artifact,
    AsyncArtifact,
    AsyncClient,
    AsyncJob,
    AsyncJobList,
    AsyncJobsWatch,
    AsyncLogTail,
    AsyncWatch,
    Client,
    Job,
    JobList,
    JobsWatch,
    LogTail,
    Watch,
    errors,
    specs,
)
from jobplane.client._requests import KIND_OF_MESSAGE

EXPORTS = {
    "Artifact",
    "AsyncArtifact",
    "AsyncClient",
    "AsyncJob",
    "AsyncJobList",
    "AsyncJobsWatch",
    "AsyncLogTail",
    "AsyncWatch",
    "BatchItem",
    "CancelledJobs",
    "Client",
    "Event",
    "Interruption",
    "Job",
    "JobChange",
    "JobList",
    "JobplaneError",
    "JobsWatch",
    "LogLine",
    "LogTail",
    "Watch",
    "WatchPlan",
    "WatchedJob",
    "errors",
    "specs",
}
ERRORS = {
    "Aborted", "AlreadyExists", "CallCancelled", "DataLoss", "DeadlineExceeded", "EvalFailed",
    "Internal", "InvalidArgument", "InvalidSpec", "JobCancelled", "JobFailed", "JobTimedOut",
    "JobUnsuccessful", "JobplaneError", "NotEnabled", "NotFound", "OutOfRange",
    "PermissionDenied", "PreconditionFailed", "QuotaExceeded", "RateLimited", "Unauthenticated",
    "Unavailable", "WaitTimeout", "WatchStalled",
}  # fmt: skip
SCRIPT = Path(__file__).with_name("user_script.py")
HEAVY = ("sqlalchemy", "pandas", "pyarrow", "click", "rich", "jobplane.engine", "jobplane.service")


def names_of(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_exports_are_these():
    assert set(jobplane.client.__all__) == EXPORTS
    assert all(hasattr(jobplane.client, name) for name in EXPORTS)


def test_the_errors_are_these():
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.JobplaneError)
    }
    assert found == ERRORS


TWINS = [
    (Client, AsyncClient),
    (Job, AsyncJob),
    (JobList, AsyncJobList),
    (Artifact, AsyncArtifact),
    (Watch, AsyncWatch),
    (JobsWatch, AsyncJobsWatch),
    (LogTail, AsyncLogTail),
]
# What a thing under asyncio is called by its own protocols.
SAME = {"aclose": "close"}


@pytest.mark.parametrize(("blocking", "asynchronous"), TWINS)
def test_twins_have_the_same_names(blocking, asynchronous):
    assert names_of(blocking) == {SAME.get(name, name) for name in names_of(asynchronous)}


@pytest.mark.parametrize(
    ("blocking", "asynchronous", "name"),
    [
        (blocking, asynchronous, name)
        for blocking, asynchronous in TWINS
        for name in sorted(names_of(blocking) & names_of(asynchronous))
        if callable(getattr(blocking, name))
    ],
)
def test_twins_take_the_same_and_say_the_same(blocking, asynchronous, name):
    one, other = getattr(blocking, name), getattr(asynchronous, name)
    assert taken_by(one) == taken_by(other)
    assert one.__doc__.replace("Client.", "AsyncClient.") == other.__doc__


def test_a_client_is_made_in_the_same_way():
    assert taken_by(Client) == taken_by(AsyncClient)


def taken_by(function):
    """Parameters of a function, with their defaults."""
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
    ]


def test_every_built_in_kind_has_its_spec():
    shown = {str(getattr(specs, name).DESCRIPTOR.full_name) for name in specs.__all__}
    assert set(KIND_OF_MESSAGE) <= shown


@pytest.mark.parametrize("module", ["jobplane.client", "jobplane.cli.main"])
def test_an_import_loads_nothing_heavy(module):
    heavy = HEAVY if module == "jobplane.client" else (*HEAVY[:3], *HEAVY[4:], "grpc")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_script_is_typed(checker, tmp_path):
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n")
    options = {
        "mypy": ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache")],
        "pyright": ["--pythonpath", sys.executable],
    }
    ran = subprocess.run(
        [sys.executable, "-m", checker, *options[checker], str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_checker_finds_a_users_mistake(tmp_path):
    script = tmp_path / "wrong.py"
    script.write_text(
        "from jobplane.client import Client, specs\n"
        "with Client() as client:\n"
        "    client.submit(specs.Probe(stepz=3))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert "stepz" in ran.stdout
