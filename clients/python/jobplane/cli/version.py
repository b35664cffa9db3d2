"""The version command."""

from __future__ import annotations

from importlib.metadata import version as version_of

import click

from jobplane.cli.exits import Exit
from jobplane.cli.session import Session, plain, with_session


@click.command()
@click.option("--server", is_flag=True, help="Ask the server too.")
@with_session
def version(session: Session, *, server: bool) -> int:
    """Print the version of this client; with --server also what the server is."""
    told = {"client": version_of("jobplane")}
    info = session.client.server_info() if server else None
    if session.is_json:
        session.write_json({**told, **({"server": plain(info)} if info else {})})
        return Exit.OK
    session.write(f"client {told['client']}")
    if info is not None:
        session.write(f"server {info.version} at {session.client.address}, engine {info.engine}")
    return Exit.OK
