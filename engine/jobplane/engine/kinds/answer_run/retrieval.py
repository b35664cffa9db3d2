"""Which passages a question may draw on: by words, and, as an option, by meaning."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import bm25s  # type: ignore[import-untyped]  # it ships no types
import numpy as np

from jobplane.engine.kinds.answer_run.chunking import Chunk
from jobplane.engine.kinds.answer_run.embedding import Embedder
from jobplane.engine.kinds.answer_run.encoder import Array
from jobplane.engine.kinds.answer_run.language import index_tokens, meanings
from jobplane.engine.kinds.answer_run.questions import SubQuestion

# Constant of reciprocal rank fusion, as its authors chose it.
_FUSE_K = 60
# A word of the same meaning says less than the word itself.
_MEANING_WEIGHT = 0.5
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Scores:
    """Why a passage was taken."""

    bm25: float
    dense: float | None = None
    fused: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A passage for a question."""

    chunk: Chunk
    index: int
    scores: Scores


class Retriever:
    """Index over all passages of a run."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._tokens = [index_tokens(_indexed_text(chunk)) for chunk in chunks]
        self._counts: Counter[str] = Counter()
        for tokens in self._tokens:
            self._counts.update(set(tokens))
        self._vocabulary = set(self._counts)
        self._index: Any = bm25s.BM25(method="lucene")
        if self._vocabulary:
            self._index.index(self._tokens, show_progress=False)
        self._embedder: Embedder | None = None
        self._vectors: Array = np.zeros((0, 0), dtype=np.float32)

    def learn_meaning(
        self, embedder: Embedder, learnt: Callable[[int], None] = lambda _: None
    ) -> None:
        """Find by meaning too from now on; `learnt` hears how many passages are done."""
        vectors: list[Array] = []
        for chunk in self._chunks:
            vectors.append(embedder.embed(_indexed_text(chunk)))
            learnt(len(vectors))
        self._embedder, self._vectors = embedder, np.array(vectors, dtype=np.float32)

    def idf(self, stemmed: str) -> float:
        """How much a word tells, over the passages of this run."""
        count = self._counts.get(stemmed, 0)
        return log(1 + (len(self._chunks) - count + 0.5) / (count + 0.5))

    def share(self, stemmed: str) -> float:
        """Share of the passages that have the word."""
        return self._counts.get(stemmed, 0) / max(1, len(self._chunks))

    def means(self, stemmed: str) -> bool:
        """Whether any passage has the word, or one that means much the same."""
        return stemmed in self._vocabulary or bool(meanings(stemmed) & self._vocabulary)

    def find(self, question: SubQuestion, k: int) -> list[Found]:
        """Best passages, best first; none that shares nothing with the question."""
        words = self._by_words(question)
        order = _order(words)
        ranked = [index for index in order if words[index] > 0]
        if self._embedder is None or not self._chunks:
            return [
                Found(self._chunks[index], index, Scores(_rounded(words[index])))
                for index in ranked[:k]
            ]
        dense = self._vectors @ self._embedder.embed(question.text)
        # The last bits differ between machines; the order must not.
        dense = np.round(dense, _DIGITS)
        fused = _fuse(len(self._chunks), ranked, list(_order(dense)))
        return [
            Found(
                self._chunks[index],
                index,
                Scores(_rounded(words[index]), _rounded(dense[index]), round(fused[index], 6)),
            )
            for index in sorted(range(len(fused)), key=lambda index: (-fused[index], index))[:k]
        ]

    def _by_words(self, question: SubQuestion) -> np.ndarray:
        scores = np.zeros(len(self._chunks), dtype=np.float64)
        stems = [term.stem for term in (*question.terms, *question.inherited)]
        groups = sorted({group for term in stems for group in meanings(term)})
        for tokens, weight in ((stems, 1.0), (groups, _MEANING_WEIGHT)):
            known = [token for token in tokens if token in self._vocabulary]
            if known:
                scores += weight * self._index.get_scores(known)
        return scores


def _indexed_text(chunk: Chunk) -> str:
    return f"{chunk.doc.title}\n{chunk.heading}\n{chunk.text}"


def _order(scores: np.ndarray) -> list[int]:
    """Indices, best first; equal ones in the order of the passages."""
    return [int(index) for index in np.argsort(-scores, kind="stable")]


def _fuse(count: int, *rankings: Sequence[int]) -> list[float]:
    fused = [0.0] * count
    for ranking in rankings:
        for rank, index in enumerate(ranking, start=1):
            fused[index] += 1 / (_FUSE_K + rank)
    return fused


def _rounded(score: float) -> float:
    return round(float(score), _DIGITS)
