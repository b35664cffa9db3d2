"""Vectors of meaning from the pinned model; an extra, as its files weigh more than all the rest."""

from hashlib import file_digest
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.kinds.answer_run import minilm
from jobplane.engine.kinds.answer_run.encoder import Array, Encoder, unit
from jobplane.engine.kinds.base import WorkError


class Embedder(Protocol):
    """Turns texts into vectors of length 1."""

    def embed(self, text: str) -> Array:
        """The vector of a text."""
        ...


def load_embedder() -> Embedder:
    """The pinned model, or WorkError with the line that installs it."""
    if missing := minilm.missing_packages():
        raise _unusable("EXTRA_MISSING", f"needs {' and '.join(missing)}")
    weights, tokenizer = _checked(minilm.WEIGHTS), _checked(minilm.TOKENIZER)
    return _SentenceModel(weights, tokenizer)


def embedding_record() -> dict[str, Any]:
    """Which model made the vectors, exactly enough to make them again."""
    return {
        "model": minilm.NAME,
        "distribution": minilm.DISTRIBUTION,
        "version": minilm.VERSION,
        "weights_sha256": minilm.SHA256[minilm.WEIGHTS],
        "tokenizer_sha256": minilm.SHA256[minilm.TOKENIZER],
    }


def _checked(name: str) -> Path:
    """The file of the model, known to be the pinned one."""
    path = minilm.find_file(name)
    if path is None or not path.is_file():
        raise _unusable("MODEL_UNKNOWN", f"finds no {name} in {minilm.DISTRIBUTION}")
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != minilm.SHA256[name]:
        raise _unusable(
            "MODEL_UNKNOWN", f"refuses {name}: its sha256 is {digest}, not {minilm.SHA256[name]}"
        )
    return path


def _unusable(reason: str, why: str) -> WorkError:
    message = f"retrieval.mode HYBRID {why}: {minilm.INSTALL}"
    return WorkError(reason, message, category=FailureCategory.DEPENDENCY)


class _SentenceModel:
    """The model of the package, read from its own files: no network."""

    def __init__(self, weights: Path, tokenizer: Path) -> None:
        # By name, as the extra may be missing.
        reader: Any = import_module("safetensors.numpy")
        library: Any = import_module("tokenizers")
        self._encoder = Encoder(
            reader.load_file(weights),
            layers=minilm.LAYERS,
            heads=minilm.HEADS,
            epsilon=minilm.EPSILON,
        )
        self._tokenizer: Any = library.Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(minilm.MAX_TOKENS)

    def embed(self, text: str) -> Array:
        """The vector of a text; of a long one the mean of those of its stretches."""
        first = self._tokenizer.encode(text)
        stretches: list[Array] = [
            self._encoder.encode(part.ids) for part in (first, *first.overflowing)
        ]
        return unit(np.array(stretches, dtype=np.float32).mean(axis=0))
