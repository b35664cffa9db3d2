"""Named servers: the file of contexts, and the choice of the server to talk to."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ADDRESS = "127.0.0.1:7070"
DEFAULT_PROJECT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A server, and who to be there; empty members leave the choice to the defaults."""

    address: str = ""
    project: str = ""
    token: str = field(default="", repr=False)
    tls: bool = False
    # Path of a PEM file with the roots to trust; empty means those of the system.
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class ContextBook:
    """Every named context and the name of the one in use."""

    contexts: Mapping[str, Context]
    current: str = ""

    @property
    def in_use(self) -> Context:
        """The context in use, or an empty one."""
        return self.contexts.get(self.current, Context())

    def with_context(self, name: str, context: Context) -> ContextBook:
        """Book with the context set; the first one becomes the one in use."""
        return ContextBook({**self.contexts, name: context}, self.current or name)


def book_path(env: Mapping[str, str]) -> Path:
    """Where the contexts are kept: JOBPLANE_CONFIG, else in the user's configuration folder."""
    if env.get("JOBPLANE_CONFIG"):
        return Path(env["JOBPLANE_CONFIG"])
    home = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "jobplane" / "contexts.json"


def read_book(path: Path) -> ContextBook:
    """Contexts of a file; none where there is no file, ValueError where it can't be read."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        contexts = {name: Context(**values) for name, values in content["contexts"].items()}
        return ContextBook(contexts, content.get("current", ""))
    except FileNotFoundError:
        return ContextBook({})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no file of contexts: {error}") from error


def write_book(path: Path, book: ContextBook) -> None:
    """Keep the contexts, readable to their owner alone as they may hold tokens."""
    content = {
        "current": book.current,
        "contexts": {name: asdict(context) for name, context in sorted(book.contexts.items())},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


def choose(
    *, given: Context, env: Mapping[str, str], context_name: str = "", tls: bool | None = None
) -> Context:
    """Context to use: what was given, else the environment, else the file, else the defaults."""
    book = read_book(book_path(env))
    name = context_name or env.get("JOBPLANE_CONTEXT", "") or book.current
    if name and name != book.current and name not in book.contexts:
        raise ValueError(f"there is no context {name!r}; known: {', '.join(book.contexts) or '-'}")
    kept = book.contexts.get(name, Context())
    address = given.address or env.get("JOBPLANE_ADDRESS", "")
    if address and address != kept.address:
        # A token must not follow to another server than the one it was kept for.
        kept = replace(kept, token="", tls=False, ca_file="")
    return Context(
        address=address or kept.address or DEFAULT_ADDRESS,
        project=given.project or env.get("JOBPLANE_PROJECT", "") or kept.project or DEFAULT_PROJECT,
        token=given.token or env.get("JOBPLANE_TOKEN", "") or kept.token,
        tls=(given.tls or kept.tls or bool(env.get("JOBPLANE_TLS"))) if tls is None else tls,
        ca_file=given.ca_file or env.get("JOBPLANE_CA_FILE", "") or kept.ca_file,
    )
