"""A sentence encoder of the BERT family, run by numpy alone: torch would weigh far more."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Abramowitz and Stegun 7.1.26: erf within 1.5e-7, which is what float32 holds.
_ERF_P = 0.3275911
_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


class Encoder:
    """Vector of a text from its tokens. One text at a time: its vector hangs on no other."""

    def __init__(
        self, weights: Mapping[str, Array], *, layers: int, heads: int, epsilon: float
    ) -> None:
        self._weights = weights
        self._heads = heads
        self._epsilon = epsilon
        self._layers = [f"encoder.layer.{number}." for number in range(layers)]

    def encode(self, tokens: Sequence[int]) -> Array:
        """Mean over the tokens, of length 1."""
        state = self._embedded(tokens)
        for layer in self._layers:
            state = self._attended(state, layer + "attention.")
            state = self._thought_over(state, layer)
        return unit(state.mean(axis=0))

    def _embedded(self, tokens: Sequence[int]) -> Array:
        table = "embeddings.{}_embeddings.weight"
        state = (
            self._weights[table.format("word")][list(tokens)]
            + self._weights[table.format("position")][: len(tokens)]
            + self._weights[table.format("token_type")][0]
        )
        return self._normed(state, "embeddings.LayerNorm")

    def _attended(self, state: Array, name: str) -> Array:
        query, key, value = (
            self._split(self._dense(state, f"{name}self.{part}"))
            for part in ("query", "key", "value")
        )
        affinity = query @ key.transpose(0, 2, 1) / np.float32(sqrt(query.shape[-1]))
        mixed = (_softmax(affinity) @ value).transpose(1, 0, 2).reshape(state.shape)
        return self._normed(
            self._dense(mixed, f"{name}output.dense") + state, f"{name}output.LayerNorm"
        )

    def _thought_over(self, state: Array, name: str) -> Array:
        inner = _gelu(self._dense(state, f"{name}intermediate.dense"))
        return self._normed(
            self._dense(inner, f"{name}output.dense") + state, f"{name}output.LayerNorm"
        )

    def _split(self, state: Array) -> Array:
        """One matrix for each head."""
        return state.reshape(len(state), self._heads, -1).transpose(1, 0, 2)

    def _dense(self, state: Array, name: str) -> Array:
        turned: Array = state @ self._weights[f"{name}.weight"].T
        return turned + self._weights[f"{name}.bias"]

    def _normed(self, state: Array, name: str) -> Array:
        centred: Array = state - state.mean(axis=-1, keepdims=True)
        spread: Array = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._epsilon)
        return centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def unit(vector: Array) -> Array:
    """The vector at length 1."""
    return vector / np.float32(np.linalg.norm(vector))


def _softmax(scores: Array) -> Array:
    raised: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    total: Array = raised.sum(axis=-1, keepdims=True)
    return raised / total


def _gelu(values: Array) -> Array:
    return values * np.float32(0.5) * (1 + _erf(values / np.float32(sqrt(2))))


def _erf(values: Array) -> Array:
    size: Array = np.abs(values)
    near: Array = np.reciprocal(np.float32(1) + np.float32(_ERF_P) * size)
    series = np.zeros_like(near)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * near
    tail: Array = series * np.exp(-size * size)
    signs: Array = np.sign(values)
    return signs * (1 - tail)
