"""The completion command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the completion script of SHELL, to be read by its start-up file."""
    from jobplane.cli.main import cli  # noqa: PLC0415 - it imports this module in its turn

    make = get_completion_class(shell)
    if make is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(make(cli, {}, "jobplane", "_JOBPLANE_COMPLETE").source())
    return 0
