"""Which content store an engine has."""

from pathlib import Path

from jobplane.engine.content.port import ContentPort
from jobplane.engine.content.s3 import S3ContentStore
from jobplane.engine.content.store import ContentStore


def open_content(url: str, *, folder: Path) -> ContentPort:
    """The store of a URL, s3://bucket/prefix?endpoint=...&region=..., or else the folder."""
    return S3ContentStore(url, folder=folder) if url else ContentStore(folder)
