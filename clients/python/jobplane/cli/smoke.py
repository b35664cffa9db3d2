"""The smoke commands: a whole run through a real server, checked step by step."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobplane.cli.session import Session, plain, with_session
from jobplane.client import errors, specs
from jobplane.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobplane.client import Job

# What `smoke` exits with when the server breaks the contract.
BROKEN = 1
POLL_S = 0.2
OUTPUTS = ("final.md", "context_bundle.json")
ENDS_WELL = {job_pb2.JOB_STATUS_SUCCEEDED, job_pb2.JOB_STATUS_SUCCEEDED_WITH_GAPS}


class BrokenContractError(Exception):
    """The server did not do what the contract says."""


@click.group()
def smoke() -> None:
    """Drive a real server through a whole run, and check every answer."""


@smoke.command("answer-run")
@click.option(
    "--documents",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Folder, archive or file to answer from.",
)
@click.option("--question", required=True, help="What to ask.")
@click.option("--run-id", default="", help="Id of the run; by default a fresh one.")
@click.option("--timeout", type=float, default=120.0, show_default=True, help="Seconds.")
@click.option(
    "--save",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("smoke"),
    show_default=True,
    help="Folder for the answers.",
)
@with_session
def answer_run(
    session: Session, *, documents: Path, question: str, run_id: str, timeout: float, save: Path
) -> int:
    """Trigger a run, poll it to its end, fetch its output and context, save all as JSON.

    Exits 1 when the lifecycle is not as the contract says.
    """
    save.mkdir(parents=True, exist_ok=True)
    run = _Run(session, run_id or f"smoke-{uuid.uuid4().hex[:12]}", save)
    try:
        run.trigger(_content(documents), question)
        run.poll(timeout)
        run.fetch()
        run.repeat(question)
    except (BrokenContractError, errors.JobplaneError) as error:
        session.say(f"broken: {error}")
        return BROKEN
    session.say(f"the lifecycle is as the contract says; answers are in {save}")
    return 0


class _Run:
    """One run, and what the server said of it."""

    def __init__(self, session: Session, run_id: str, save: Path) -> None:
        self._session = session
        self._client = session.client
        self._id = run_id
        self._save = save
        self._job: Job | None = None
        self._source = ""

    @property
    def job(self) -> Job:
        """The run's job, once it was triggered."""
        if self._job is None:
            raise BrokenContractError("the run was not triggered")
        return self._job

    def trigger(self, documents: bytes | Path, question: str) -> None:
        """Submit; the answer is QUEUED under the id that was asked for."""
        name = documents.name if isinstance(documents, Path) else "documents.zip"
        self._source = self._client.upload(documents, filename=name).name
        began = time.monotonic()
        self._job = self._client.submit(
            specs.AnswerRun(question=question), job_id=self._id, inputs={"documents": self._source}
        )
        self._tell(f"triggered {self._id} in {time.monotonic() - began:.3f} s", "trigger.json")
        if self.job.id != self._id:
            raise BrokenContractError(f"the run has the id {self.job.id}, not {self._id}")
        if not self.job.wire.done:
            self._refused_before_the_end()

    def _refused_before_the_end(self) -> None:
        try:
            self.job.artifact(OUTPUTS[0])
        except errors.PreconditionFailed as error:
            if error.reason != "RESULT_NOT_READY":
                raise BrokenContractError(f"output before the end: {error.reason}") from error
        else:
            if not self.job.refresh().wire.done:
                raise BrokenContractError("output was given before the end")

    def poll(self, timeout_s: float) -> None:
        """Poll the status as a front end does, until it is terminal."""
        ends_at = time.monotonic() + timeout_s
        seen: list[str] = []
        while not self.job.refresh().wire.done:
            if self.job.status not in seen:
                seen.append(self.job.status)
                self._tell(f"status {self.job.status}", "status.json")
            if time.monotonic() > ends_at:
                raise BrokenContractError(f"no end after {timeout_s:g} s: {self.job.status}")
            time.sleep(POLL_S)
        self._tell(f"status {self.job.status}", "status.json")
        if self.job.wire.status not in ENDS_WELL:
            raise BrokenContractError(
                f"it ended {self.job.status}: {self.job.wire.failure.message}"
            )

    def fetch(self) -> None:
        """Fetch the answer and its context."""
        for name in OUTPUTS:
            content = self.job.artifact(name).read()
            (self._save / name).write_bytes(content)
            self._session.say(f"{name}: {len(content)} bytes")

    def repeat(self, question: str) -> None:
        """A second run of the same id must be refused, and an unknown one not be found."""
        self._expects(errors.AlreadyExists, lambda: self._submit_again(question), "a duplicate id")
        unknown = f"smoke-{uuid.uuid4().hex}"
        self._expects(errors.NotFound, lambda: self._client.get(unknown), "an unknown id")

    def _submit_again(self, question: str) -> object:
        # Another body and another key: only the id is the same.
        spec = specs.AnswerRun(question=f"{question} Again?")
        return self._client.submit(spec, job_id=self._id, inputs={"documents": self._source})

    def _expects(
        self, kind: type[errors.JobplaneError], call: Callable[[], object], what: str
    ) -> None:
        try:
            call()
        except kind as error:
            self._session.say(f"{what} is refused: {error.reason}")
        except errors.JobplaneError as error:
            raise BrokenContractError(f"{what} is refused with {error.reason}") from error
        else:
            raise BrokenContractError(f"{what} is not refused")

    def _tell(self, text: str, file: str) -> None:
        self._session.say(text)
        (self._save / file).write_text(json.dumps(plain(self.job.wire), indent=2) + "\n")


def _content(documents: Path) -> bytes | Path:
    """A file as it is; a folder as an archive."""
    if documents.is_file():
        return documents
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(documents.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(documents))
    return buffer.getvalue()
