"""Entry point: finds the command, runs it, and ends with its exit code.

Only the command that runs is imported, so that `jobplane --help` answers at once.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

import click

from jobplane.cli.refusal import tell_error, tell_usage, wants_json

if TYPE_CHECKING:
    from collections.abc import Sequence

DETACHED = 130
BROKEN_PIPE = 141
# What click exits with when the reader of stdout went away.
CLOSED_PIPE = 1
USAGE = 2

# Command: (module that holds it under the same name, what --help says).
COMMANDS = {
    "dev": ("dev", "Run a server here, for work and for trying out."),
    "submit": ("submit", "Submit a job from a file, stdin or parameters."),
    "watch": ("follow", "Show a job, or all that match, live until the end."),
    "wait": ("follow", "Wait for the end of jobs."),
    "result": ("follow", "Wait for a job and print its result."),
    "logs": ("logs", "Print what a job printed, live if wanted."),
    "ls": ("listing", "List jobs."),
    "count": ("listing", "Count jobs."),
    "describe": ("describe", "Tell everything about a job, the cause of a failure first."),
    "events": ("listing", "Print the numbered history of a job."),
    "cancel": ("steer", "Cancel jobs."),
    "pause": ("steer", "Pause a job at its next checkpoint."),
    "resume": ("steer", "Let a paused job go on."),
    "priority": ("steer", "Let a job run before others, or after them."),
    "update": ("steer", "Change priority, queue or labels of a job."),
    "answer": ("steer", "Answer the question that a job asks."),
    "retry": ("steer", "Submit a finished job anew."),
    "resubmit": ("again", "Submit a job's spec as a new job, changed or not."),
    "delete": ("steer", "Remove finished jobs for good."),
    "diff": ("again", "Show in what the specs of two jobs differ."),
    "compare": ("again", "Show metrics of jobs side by side."),
    "artifacts": ("artifacts", "List, get, print and verify the artifacts of a job."),
    "datasets": ("datasets", "Name uploaded content by id and version."),
    "models": ("models", "Show trained models, and move them between stages."),
    "schedules": ("schedules", "Submit jobs by the clock."),
    "queues": ("queues", "Show queues, and open, cordon or close them."),
    "quota": ("quota", "Show and set the limits of a project."),
    "kinds": ("kinds", "Show what can be run."),
    "api": ("api", "Call any method of the server, by reflection."),
    "doctor": ("doctor", "Check machine, connection and server, and say what to do."),
    "admin": ("admin", "Back up, check and mend a server's data."),
    "smoke": ("smoke", "Drive a server through a whole run, and check it."),
    "conformance": ("conformance", "Hold a server to the contract, from outside."),
    "context": ("contexts", "Choose between servers."),
    "completion": ("completion", "Print the completion script of a shell."),
    "version": ("version", "Print the versions of this client and of the server."),
}


class Commands(click.Group):
    """Group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own
        """Names in the order of a job's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's own
        """Command by its name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"jobplane.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own
        """Help that imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Run durable jobs, and watch them to their end.

    Data goes to stdout, talk to stderr. The exit code tells how the job ended: 0 well,
    1 failed, 2 wrong usage, 3 cancelled, 4 its time limit passed, 5 not found, 6 denied,
    7 over a limit, 8 conflict, 9 needs input, 10 gaps (--strict), 69 server unreachable,
    124 --timeout passed, 130 detached.
    """


def run(arguments: Sequence[str]) -> int:
    """Exit code of a command line."""
    as_json = wants_json(arguments)
    try:
        code = cli.main(list(arguments), prog_name="jobplane", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return USAGE
    except click.ClickException as error:
        tell_usage(error, as_json=as_json)
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        return DETACHED
    except SystemExit as ended:
        return _ended(ended)
    except Exception as error:  # noqa: BLE001 - a defect is raised again in _refused
        return _refused(error, as_json=as_json)
    return int(code or 0)


def main() -> None:
    """Run the command line of this process."""
    # gRPC's own log of what a typed error says too.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that can't show a sign shall not end the command.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _ended(ended: SystemExit) -> int:
    """Exit code for an end that click decided on: 1 is a closed pipe, which is no failed job."""
    if ended.code != CLOSED_PIPE:
        return int(ended.code or 0)
    # Python flushes stdout once more at its end, which would fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _refused(error: Exception, *, as_json: bool) -> int:
    """Tell a typed error and give its exit code; anything else is a defect and goes up."""
    from jobplane.cli.exits import exit_of_error  # noqa: PLC0415 - `--help` must not load gRPC
    from jobplane.client import JobplaneError  # noqa: PLC0415 - the same

    if not isinstance(error, JobplaneError):
        raise error
    tell_error(error, as_json=as_json)
    return int(exit_of_error(error))
