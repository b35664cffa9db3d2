"""The dev command: a server on this machine."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import click

from jobplane.cli.exits import Exit

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
INSTALL = "pip install 'jobplane[server]'"


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7070, show_default=True)
@click.option("--http-port", type=click.IntRange(0, 65535), default=8070, show_default=True)
@click.option(
    "--data",
    # Whether it can be used the server says, in one line.
    type=click.Path(path_type=Path),
    default=Path(".jobplane"),
    show_default=True,
    help="Folder that keeps jobs and artifacts.",
)
@click.option(
    "--documents",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Folder that answer runs may read; may be repeated.",
)
@click.option("--llm-endpoint", default="", help="OpenAI-compatible endpoint of a language model.")
@click.option("--log-level", type=click.Choice(LEVELS), default="INFO", show_default=True)
@click.option("--llm-model", default="", help="Model to ask there.")
def dev(*, data: Path, **options: Any) -> int:
    """Run a server here, on loopback only, without container or database server.

    Prints one line when it answers; logs go to stderr. Port 0 picks a free one.
    """
    try:
        server = importlib.import_module("jobplane.service.dev")
    except ModuleNotFoundError as error:
        click.echo(
            f"jobplane dev needs the server, which is not installed ({error.name} is missing); "
            f"install it with: {INSTALL}",
            err=True,
        )
        return Exit.USAGE
    given = {name: value for name, value in options.items() if value not in ("", ())}
    unknown = set(given) - set(inspect.signature(server.run_dev).parameters)
    if unknown:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unknown))
        raise click.UsageError(f"the installed server does not take {names}")
    return int(server.run_dev(data_dir=data, **given))
