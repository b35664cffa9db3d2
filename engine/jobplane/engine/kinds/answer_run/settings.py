"""What the operator configured for answer runs, read once into frozen values.

The shape of `context.settings`, and of the section `answers` of the server's settings:

    {
      "document_roots": ["/srv/papers"],
      "endpoints": {
        "default": {
          "base_url": "http://localhost:8000/v1",   # required; /chat/completions is added
          "model": "small-instruct",                # required
          "key_env": "JOBPLANE_LLM_KEY",            # optional: variable that holds the key
          "attempts": 4,                            # optional: tries of one call
          "first_backoff_s": 0.5,                   # optional: doubled after each try
          "max_wait_s": 30.0                        # optional: longest wait between tries
        }
      },
      "limits": {"documents": 5000}                 # optional: any field of Limits
    }

The plane passes the variables that `key_env` names to the child, and nothing else of
its environment; the key is in no spec, no setting and no artifact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_MIB = 1024 * 1024


class SettingsError(ValueError):
    """A setting of answer runs has a value that can't be used."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what one run reads."""

    documents: int = 5000
    document_bytes: int = 20 * _MIB
    total_bytes: int = 256 * _MIB
    # Unpacked bytes for each packed one; only counted beyond `ratio_free_bytes`.
    archive_ratio: int = 100
    ratio_free_bytes: int = 10 * _MIB
    pdf_pages: int = 2000
    # Passages that retrieval by meaning takes in, at some 15 a second.
    embedded_passages: int = 10_000
    sql_timeout_s: float = 10.0
    sql_rows: int = 1000
    sql_memory_mib: int = 256


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind an OpenAI-compatible URL, and how patient to be with it."""

    name: str
    base_url: str
    model: str
    key_env: str = ""
    attempts: int = 4
    first_backoff_s: float = 0.5
    max_wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Roots of document folders, endpoints by name, and limits."""

    document_roots: tuple[Path, ...] = ()
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    limits: Limits = Limits()


def read_settings(raw: Mapping[str, Any]) -> AnswerSettings:
    """Settings as values, or SettingsError naming the one that is wrong."""
    roots: Sequence[str] = raw.get("document_roots") or ()
    if isinstance(roots, str):
        raise SettingsError("document_roots is a list of folders, not one text")
    endpoints: Mapping[str, Any] = raw.get("endpoints") or {}
    return AnswerSettings(
        document_roots=tuple(Path(root) for root in roots),
        endpoints={name: _endpoint(name, value) for name, value in endpoints.items()},
        limits=_limits(raw.get("limits") or {}),
    )


def key_variables(settings: AnswerSettings) -> tuple[str, ...]:
    """Names of the environment variables that an attempt may need."""
    names = {endpoint.key_env for endpoint in settings.endpoints.values()}
    return tuple(sorted(names - {""}))


def _endpoint(name: str, raw: Mapping[str, Any]) -> Endpoint:
    unknown = sorted(set(raw) - {item.name for item in fields(Endpoint)})
    if unknown:
        raise SettingsError(f"endpoints.{name}: unknown setting {unknown[0]!r}")
    for key in ("base_url", "model"):
        if not raw.get(key):
            raise SettingsError(f"endpoints.{name}.{key} is missing")
    url = urlsplit(str(raw["base_url"]))
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise SettingsError(f"endpoints.{name}.base_url is not an http(s) URL")
    if url.username or url.password:
        raise SettingsError(f"endpoints.{name}.base_url must hold no credentials; use key_env")
    return Endpoint(
        name=name,
        base_url=str(raw["base_url"]).rstrip("/"),
        model=str(raw["model"]),
        key_env=str(raw.get("key_env") or ""),
        attempts=max(1, int(raw.get("attempts", 4))),
        first_backoff_s=float(raw.get("first_backoff_s", 0.5)),
        max_wait_s=float(raw.get("max_wait_s", 30.0)),
    )


def _limits(raw: Mapping[str, Any]) -> Limits:
    plain = Limits()
    known = {item.name for item in fields(Limits)}
    for name, value in raw.items():
        if name not in known:
            raise SettingsError(f"limits: unknown limit {name!r}")
        if not isinstance(value, (int, float)) or value <= 0:
            raise SettingsError(f"limits.{name} must be a number above 0")
    whole = {name: value for name, value in raw.items() if name != "sql_timeout_s"}
    changed: dict[str, Any] = {name: int(value) for name, value in whole.items()}
    if "sql_timeout_s" in raw:
        changed["sql_timeout_s"] = float(raw["sql_timeout_s"])
    return replace(plain, **changed)
