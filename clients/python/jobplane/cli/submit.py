"""The submit command."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from jobplane.cli import interrupts
from jobplane.cli.exits import Exit, exit_of_job
from jobplane.cli.follow import (
    CANCEL,
    NO_WAIT_INPUT,
    STRICT,
    TIMEOUT,
    UNTIL,
    VERBOSE,
    follow,
    follow_logs,
)
from jobplane.cli.parameters import build_spec
from jobplane.cli.report import write_end
from jobplane.cli.session import Session, plain, with_session
from jobplane.client._requests import new_key
from jobplane.client.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobplane.client import Job
    from jobplane.client._requests import Spec

_FOLLOWING = (
    "verbose",
    "timeout",
    "strict",
    "no_wait_input",
    "cancel_on_interrupt",
    "until",
)
_Command = TypeVar("_Command", bound="Callable[..., Any]")


def follow_options(command: _Command) -> _Command:
    """Options that say whether and how to stay with the job."""
    given: Any = command
    for option in reversed(_FOLLOW_OPTIONS):
        given = option(given)
    return cast("_Command", given)


_FOLLOW_OPTIONS = (
    click.option("--watch", "mode", flag_value="watch", help="Show the job live until its end."),
    click.option("--wait", "mode", flag_value="wait", help="Wait silently for its end."),
    click.option("--logs", "mode", flag_value="logs", help="Print its log until its end."),
    click.option("--detach", "mode", flag_value="detach", default="detach", help="Return at once."),
    UNTIL,
    VERBOSE,
    TIMEOUT,
    STRICT,
    NO_WAIT_INPUT,
    CANCEL,
)


@click.command()
@click.argument("file", required=False)
@click.option("--kind", default="", help="Kind; FILE and -p then hold its parameters alone.")
@click.option("-p", "parameters", multiple=True, metavar="PATH=VALUE", help="Parameter.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Part of the spec.")
@click.option(
    "--data",
    "inputs",
    multiple=True,
    metavar="ROLE=FILE",
    help="Input: a file, or an artifact's name.",
)
@click.option("--key", "idempotency_key", help="Idempotency key; a repeat makes no second job.")
@click.option("--job-id", default="", help="Id to give the job.")
@click.option("--queue", default="", help="Queue.")
@click.option("--job-set", default="", help="Group of the job.")
@click.option("--priority", type=click.IntRange(0, 1000), help="0 to 1000, default 500.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Label.")
@click.option("--display-name", default="", help="Name for people.")
@click.option(
    "--validate-only", "--dry-run", is_flag=True, help="Check everything, submit nothing."
)
@follow_options
@with_session
def submit(session: Session, **options: Any) -> int:
    """Submit a job: from FILE (JSON or TOML, - for stdin), or from --kind and -p.

    Prints the job; with --watch, --wait or --logs the exit code tells how it ended.
    """
    kind = options.pop("kind")
    spec = build_spec(
        file=options.pop("file"),
        kind=kind,
        parameters=options.pop("parameters"),
        settings=options.pop("settings"),
    )
    if kind:
        _complete(session, spec)
    if options.pop("validate_only"):
        if options["inputs"]:
            raise click.UsageError("--validate-only uploads nothing: leave out --data")
        checked = session.client.validate(spec)
        session.say("valid; nothing was submitted")
        if session.is_json:
            session.write_json(plain(checked))
        return Exit.OK
    options["labels"] = labels_of(options["labels"])
    options["inputs"] = inputs_of(options["inputs"])
    return start(session, spec, **options)


def start(session: Session, spec: Spec, **options: Any) -> int:
    """Submit, and stay with the job as it was asked for; gives the exit code."""
    mode = options.pop("mode")
    following = {name: options.pop(name) for name in _FOLLOWING}
    # Made here rather than in the client, so that it can be shown and used again.
    is_named = bool(options["idempotency_key"])
    options["idempotency_key"] = options["idempotency_key"] or new_key()
    job = session.client.submit(spec, **options)
    if mode == "detach":
        _write_submitted(session, job, key=options["idempotency_key"])
        return Exit.OK
    if mode == "logs":
        session.say(_head(job, key=options["idempotency_key"]))
        shared = ("timeout", "strict", "cancel_on_interrupt")
        return follow_logs(session, job, **{name: following[name] for name in shared})
    if mode == "watch":
        if session.output in {"table", "wide"} and not session.quiet:
            # A key made here says nothing to a person, and takes half a line.
            key = options["idempotency_key"] if is_named or not session.live else ""
            session.write_folded(_head(job, key=key), indent=4)
        return follow(session, job, **following)
    return _wait(session, job, **following)


def _complete(session: Session, spec: dict[str, Any]) -> None:
    """Who names a kind from outside on the command line means the version that is there."""
    custom = spec.get("custom")
    if custom is not None and not custom.get("schema_version"):
        # An unknown kind is refused by the submit, with those that are known.
        with suppress(NotFound):
            custom["schema_version"] = session.client.kind(custom["kind"]).schema_version


def labels_of(items: Sequence[str]) -> dict[str, str]:
    """Labels from K=V."""
    pairs = [item.partition("=") for item in items]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.UsageError(f"--label {name!r} must be K=V")
    return {name: value for name, _, value in pairs}


def inputs_of(items: Sequence[str]) -> dict[str, Path | str]:
    """Inputs from ROLE=FILE; what names an artifact is no file."""
    inputs: dict[str, Path | str] = {}
    for item in items:
        role, equals, given = item.partition("=")
        if not role or not equals:
            raise click.UsageError(f"--data {item!r} must be ROLE=FILE")
        if given.startswith("projects/"):
            inputs[role] = given
        elif Path(given).is_file():
            inputs[role] = Path(given)
        else:
            raise click.UsageError(f"--data {role}: there is no file {given!r}")
    return inputs


def _wait(session: Session, job: Job, **options: Any) -> int:
    if options["no_wait_input"] or options["until"] == "running":
        quiet, session.quiet = session.quiet, True
        try:
            return follow(session, job, **options)
        finally:
            session.quiet = quiet
    on_interrupt = job.cancel if options["cancel_on_interrupt"] else None
    session.say(f"job {job.id} submitted, waiting for its end")
    with interrupts.detaching(session, [job.id], on_interrupt=on_interrupt):
        job.wait(options["timeout"])
    job.refresh()
    write_end(session, job.wire)
    return exit_of_job(job.wire, strict=options["strict"])


def _head(job: Job, *, key: str) -> str:
    project = f"project={job.wire.project}"
    known = "  (made by an earlier submit with this key)" if job.deduplicated else ""
    told = f"  key={key}" if key else ""
    return f"job {job.id}  kind={job.kind}  {project}{told}{known}"


def _write_submitted(session: Session, job: Job, *, key: str) -> None:
    if session.is_json:
        session.write_json({"job": plain(job.wire), "deduplicated": job.deduplicated})
    elif session.output == "name":
        session.write(job.name)
    elif session.quiet:
        session.write(job.id)
    else:
        session.write_folded(_head(job, key=key), indent=4)
        session.say_next(f"jobplane watch {job.id}", f"jobplane result {job.id}")
