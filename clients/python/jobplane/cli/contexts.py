"""The context commands: named servers."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Any

import click

from jobplane.cli.exits import Exit
from jobplane.cli.session import Session, with_session
from jobplane.cli.table import table
from jobplane.client._context import (
    Context,
    ContextBook,
    book_path,
    choose,
    read_book,
    write_book,
)


@click.group()
def context() -> None:
    """Choose between servers."""


@context.command()
@with_session
def ls(session: Session) -> int:
    """List the named servers; * marks the one in use."""
    book = _book()
    if session.is_json:
        session.write_json({name: _public(item) for name, item in book.contexts.items()})
        return Exit.OK
    rows = [
        ("*" if name == book.current else "", name, item.address, item.project or "-")
        for name, item in sorted(book.contexts.items())
    ]
    session.write(table(("USE", "NAME", "ADDRESS", "PROJECT"), rows))
    return Exit.OK


@context.command(name="set")
@click.argument("name")
@click.option("--token-file", type=click.File(), help="File with the token; - for stdin.")
@click.option("--ca-file", default="", help="PEM file with the roots to trust.")
@with_session
def set_(session: Session, *, name: str, token_file: Any, ca_file: str) -> int:
    """Keep a server under NAME; --address, --project and --tls say which."""
    book = _book()
    kept = book.contexts.get(name, Context())
    changed = replace(
        kept,
        address=session.address or kept.address,
        project=session.project or kept.project,
        tls=kept.tls if session.tls is None else session.tls,
        ca_file=ca_file or kept.ca_file,
        token=token_file.read().strip() if token_file else kept.token,
    )
    if not changed.address:
        raise click.UsageError("a new context needs --address")
    write_book(book_path(os.environ), book.with_context(name, changed))
    session.say(f"kept {name}: {changed.address}")
    return Exit.OK


@context.command()
@click.argument("name")
@with_session
def use(session: Session, *, name: str) -> int:
    """Use the server NAME from here on."""
    book = _book()
    if name not in book.contexts:
        known = ", ".join(sorted(book.contexts)) or "none; make one with: jobplane context set"
        raise click.UsageError(f"there is no context {name!r}; known: {known}")
    write_book(book_path(os.environ), ContextBook(book.contexts, name))
    session.say(f"using {name}: {book.contexts[name].address}")
    return Exit.OK


@context.command()
@with_session
def show(session: Session) -> int:
    """Show the server that commands talk to now, and why."""
    given = Context(address=session.address, project=session.project)
    try:
        chosen = choose(given=given, env=os.environ, context_name=session.context, tls=session.tls)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if session.is_json:
        session.write_json(_public(chosen))
        return Exit.OK
    for name, value in _public(chosen).items():
        session.write(f"{name:<8} {value}")
    return Exit.OK


def _book() -> ContextBook:
    try:
        return read_book(book_path(os.environ))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _public(item: Context) -> dict[str, Any]:
    """Members that may be shown: whether there is a token, not the token."""
    return {**asdict(item), "token": "set" if item.token else ""}
