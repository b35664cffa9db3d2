"""The model behind an endpoint, as a run uses it: budgeted, remembered, written down."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, cast

from jobplane.engine.kinds.answer_run.completion import (
    ChatClient,
    Completion,
    EndpointDownError,
    Request,
    estimated_tokens,
    redacted,
)

_PAYLOAD_CHARS = 20_000
_PAYLOADS = 200


class BudgetSpentError(Exception):
    """The next call would pass the run's budget of tokens."""


@dataclass(frozen=True, slots=True)
class Style:
    """How the run asks: the model, and the bounds of one completion."""

    name: str
    max_tokens: int
    temperature: float
    seed: int


@dataclass
class Usage:
    """What the calls of a run came to."""

    calls: int = 0
    remembered: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reasons: list[str] = field(default_factory=list[str])


class Model:
    """Completes prompts. What an earlier attempt was answered is not asked again."""

    def __init__(
        self,
        client: ChatClient,
        style: Style,
        *,
        token_budget: int,
        key: str,
        remembered: bytes | None,
        remember: Callable[[bytes], None],
    ) -> None:
        self._client = client
        self._style = style
        self._budget = token_budget
        self._key = key
        self._remember = remember
        self._answers: dict[str, dict[str, Any]] = _loaded(remembered)
        self.usage = Usage()
        self.payloads: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        """Model's name."""
        return self._style.name

    def complete(self, system: str, prompt: str, *, purpose: str) -> Completion:
        """The completion; BudgetSpentError, before a call, where it would cost too much."""
        style = self._style
        request = Request(
            model=style.name,
            messages=(
                {"role": "system", "content": system},
                {"role": "user", "content": prompt},
            ),
            max_tokens=style.max_tokens,
            temperature=style.temperature,
            seed=style.seed,
        )
        spent = self.usage.prompt_tokens + self.usage.completion_tokens
        if spent + estimated_tokens(system + prompt) + style.max_tokens > self._budget:
            raise BudgetSpentError(f"{spent} of {self._budget} tokens are spent")
        digest = sha256(json.dumps(request.body(), sort_keys=True).encode()).hexdigest()
        known = self._answers.get(digest)
        completion = Completion(**known) if known else self._asked(request, digest, purpose)
        self.usage.remembered += 1 if known else 0
        self._count(completion)
        self._log(purpose, request.body(), asdict(completion))
        return completion

    def _asked(self, request: Request, digest: str, purpose: str) -> Completion:
        try:
            completion = self._client.complete(request)
        except EndpointDownError as error:
            self._log(purpose, request.body(), {"error": str(error)})
            raise
        finally:
            self.usage.calls = self._client.calls
        self._answers[digest] = asdict(completion)
        self._remember(json.dumps(self._answers, sort_keys=True).encode())
        return completion

    def _count(self, completion: Completion) -> None:
        self.usage.prompt_tokens += completion.prompt_tokens
        self.usage.completion_tokens += completion.completion_tokens
        self.usage.finish_reasons.append(completion.finish_reason)

    def _log(self, purpose: str, body: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        if len(self.payloads) < _PAYLOADS:
            entry = {"purpose": purpose, "request": dict(body), "response": dict(answer)}
            self.payloads.append(self._redacted(entry))

    def _redacted(self, value: Any) -> Any:
        """The value with every text cut to size and free of the key."""
        if isinstance(value, str):
            text = redacted(value, self._key)
            return text if len(text) <= _PAYLOAD_CHARS else text[:_PAYLOAD_CHARS] + "[cut]"
        if isinstance(value, dict):
            parts = cast("dict[str, Any]", value)
            return {name: self._redacted(part) for name, part in parts.items()}
        if isinstance(value, list):
            return [self._redacted(part) for part in value]  # pyright: ignore[reportUnknownVariableType]  # of Any
        return value


def _loaded(remembered: bytes | None) -> dict[str, dict[str, Any]]:
    if not remembered:
        return {}
    answers: dict[str, dict[str, Any]] = json.loads(remembered)
    return answers
