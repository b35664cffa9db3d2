"""What every command is given: a client, and the way to speak to the caller."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobplane.cli.safe import Safe, folded, json_escaped, safe, width

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from jobplane.client import Client

FORMATS = ("table", "wide", "json", "jsonl", "csv", "name")
CHOICES = ("auto", "always", "never")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(kw_only=True)
class Session:
    """Options that all commands share, and what follows from them."""

    address: str = ""
    project: str = ""
    context: str = ""
    tls: bool | None = None
    output: str = "table"
    quiet: bool = False
    color: str = "auto"
    progress: str = "auto"
    _client: Client | None = field(default=None, repr=False)

    @property
    def client(self) -> Client:
        """Client to the chosen server, made at its first use."""
        if self._client is None:
            from jobplane.client import Client  # noqa: PLC0415 - `--help` must not load gRPC

            try:
                self._client = Client(
                    self.address, project=self.project, context=self.context, tls=self.tls
                )
            except (ValueError, OSError) as error:
                raise click.UsageError(str(error)) from error
        return self._client

    def close(self) -> None:
        """Leave the server, if there was one."""
        if self._client is not None:
            self._client.close()

    @property
    def is_json(self) -> bool:
        """Whether a machine reads the output."""
        return self.output in {"json", "jsonl"}

    @property
    def wide(self) -> bool:
        """Whether a table may have every column."""
        return self.output == "wide"

    @property
    def colored(self) -> bool:
        """Whether to colour the output."""
        if self.color != "auto":
            return self.color == "always"
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    @property
    def live(self) -> bool:
        """Whether to draw over lines that were drawn before."""
        if self.quiet or self.is_json or self.progress == "never":
            return False
        return self.progress == "always" or sys.stdout.isatty()

    @property
    def live_talk(self) -> bool:
        """Whether to draw a bar beside the data, on stderr."""
        if self.quiet or self.progress == "never":
            return False
        return self.progress == "always" or sys.stderr.isatty()

    def write(self, text: str) -> None:
        """Data, to stdout; what would act on a terminal is escaped."""
        click.echo(str(safe(text)), color=self.colored)

    def write_folded(self, text: str, *, indent: int) -> None:
        """Text that goes on in indented lines where the terminal ends."""
        room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
        self.write(folded(text, room, indent=indent))

    def write_raw(self, text: str) -> None:
        """Data that a program takes as it is; escaped where a terminal would take it."""
        if sys.stdout.isatty():
            self.write(text.expandtabs())
        else:
            click.echo(text, color=True)

    def say(self, text: str) -> None:
        """Talk, to stderr; silent with --quiet."""
        if not self.quiet:
            click.echo(str(safe(text)), err=True)

    def say_next(self, *commands: str) -> None:
        """Commands that make sense now; below each other where a line has no room for them."""
        room = shutil.get_terminal_size().columns if sys.stderr.isatty() else sys.maxsize
        line = safe(f"next: {'  |  '.join(commands)}")
        if width(line) > room:
            line = Safe("\n      ").join([f"next: {commands[0]}", *commands[1:]])
        self.say(line)

    def write_json(self, value: Any) -> None:
        """One JSON value to stdout: indented with -o json, on one line with jsonl."""
        indent = 2 if self.output == "json" else None
        self.write_json_text(json.dumps(value, indent=indent, ensure_ascii=False))

    def write_json_text(self, text: str) -> None:
        """JSON text to stdout; only its strings are touched, and only by escapes of JSON."""
        self.write(Safe(json_escaped(text)))

    def write_messages(self, messages: Iterable[Message]) -> None:
        """Messages as a JSON array, or as one line each."""
        values = (plain(message) for message in messages)
        if self.output == "json":
            self.write_json(list(values))
            return
        for value in values:
            self.write_json(value)


def plain(message: Message) -> dict[str, Any]:
    """JSON value of a message, with the field names of the contract."""
    from google.protobuf import json_format  # noqa: PLC0415 - `--help` must not load protobuf

    value: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return value


def with_session(command: _Command) -> _Command:
    """Give a command the shared options, and a Session as its first argument."""

    @functools.wraps(command)
    def wrapper(**given: Any) -> Any:
        names = ("address", "project", "context", "tls", "output", "quiet", "color", "progress")
        session = Session(**{name: given.pop(f"s_{name}") for name in names})
        try:
            return command(session, **given)
        finally:
            session.close()

    for option in reversed(_OPTIONS):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]  # wraps() keeps what click looks at


_OPTIONS = (
    click.option(
        "-o", "--output", "s_output", type=click.Choice(FORMATS), default="table", help="Form."
    ),
    click.option("-q", "--quiet", "s_quiet", is_flag=True, help="Only the result."),
    click.option("--address", "s_address", default="", metavar="HOST:PORT", help="Server."),
    click.option("--project", "s_project", default="", help="Project of ids without one."),
    click.option("--context", "s_context", default="", help="Named server; see `context`."),
    click.option("--tls/--no-tls", "s_tls", default=None, help="Encrypt the connection."),
    click.option("--color", "s_color", type=click.Choice(CHOICES), default="auto"),
    click.option(
        "--progress", "s_progress", type=click.Choice(CHOICES), default="auto", help="Live bar."
    ),
)
