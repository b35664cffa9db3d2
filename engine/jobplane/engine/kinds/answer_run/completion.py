"""Chat completions from an OpenAI-compatible endpoint: streamed, retried, stoppable.

The client is httpx2 rather than the vendor's package: three small packages against
fourteen, and the protocol used here is one POST.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx2

from jobplane.engine.kinds.answer_run.settings import Endpoint

_POLL_S = 0.1
_CONNECT_S = 10.0
_MOST_CHARS = 1_000_000
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_OK = 200
_DONE = "[DONE]"
# A shorter one is no secret, and to cut it out would tear words apart.
_SHORTEST_KEY = 4


class EndpointDownError(Exception):
    """The endpoint gave no usable completion, though asked with patience.

    `transient` says whether a later try may fare better.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class _TryAgainError(Exception):
    """One try failed in a way that another may not."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Request:
    """One call: what is sent, but for the key."""

    model: str
    messages: tuple[Mapping[str, str], ...]
    max_tokens: int
    temperature: float
    seed: int

    def body(self) -> dict[str, Any]:
        """JSON of the call."""
        return {
            "model": self.model,
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class ChatClient:
    """Speaks with one endpoint. `safe_point` is called ten times a second while it waits."""

    def __init__(
        self, endpoint: Endpoint, *, key: str, timeout_s: float, safe_point: Callable[[], None]
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._timeout_s = timeout_s
        self._safe_point = safe_point
        # Calls that were sent, retries included.
        self.calls = 0

    def complete(self, request: Request) -> Completion:
        """The completion, or EndpointDownError after the last try."""
        try:
            completion = asyncio.run(self._watched(request))
        except EndpointDownError as error:
            # Endpoints are known to echo the key; neither text nor chain may carry it on.
            text = redacted(str(error), self._key)
            raise EndpointDownError(text, transient=error.transient) from None
        return replace(completion, text=redacted(completion.text, self._key))

    async def _watched(self, request: Request) -> Completion:
        """Complete, and let a cancel through within a tenth of a second."""
        work = asyncio.ensure_future(self._patiently(request))
        try:
            while not work.done():
                self._safe_point()
                await asyncio.wait({work}, timeout=_POLL_S)
            return work.result()
        finally:
            work.cancel()
            await asyncio.wait({work}, timeout=1.0)

    async def _patiently(self, request: Request) -> Completion:
        wait = self._endpoint.first_backoff_s
        for left in range(self._endpoint.attempts - 1, -1, -1):
            try:
                self.calls += 1
                return await self._once(request)
            except (_TryAgainError, httpx2.TransportError) as error:
                reason = str(error) or type(error).__name__
                if not left:
                    raise EndpointDownError(reason, transient=True) from error
                asked = error.wait_s if isinstance(error, _TryAgainError) else None
                await asyncio.sleep(min(self._endpoint.max_wait_s, max(wait, asked or 0.0)))
                wait *= 2
        raise EndpointDownError("no try was allowed")

    async def _once(self, request: Request) -> Completion:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx2.Timeout(self._timeout_s, connect=min(_CONNECT_S, self._timeout_s))
        # The endpoint is the operator's own choice: no proxy, no redirect may change it.
        async with (
            httpx2.AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST",
                f"{self._endpoint.base_url}/chat/completions",
                json=request.body(),
                headers=headers,
            ) as response,
        ):
            await _check_status(response)
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return await _streamed(response, request)
            return _whole(await _limited(response), request)


async def _check_status(response: httpx2.Response) -> None:
    if response.status_code == _OK:
        return
    await response.aread()
    said = " ".join(response.text.split())[:200]
    message = f"HTTP {response.status_code}: {said}"
    if response.status_code in _RETRIED:
        raise _TryAgainError(message, _retry_after(response.headers))
    raise EndpointDownError(message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    said = headers.get("retry-after", "")
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(said)
        sent = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, (until - sent).total_seconds())


async def _limited(response: httpx2.Response) -> str:
    pieces: list[str] = []
    length = 0
    async for piece in response.aiter_text():
        length += len(piece)
        if length > _MOST_CHARS:
            raise EndpointDownError(f"the answer is longer than {_MOST_CHARS} characters")
        pieces.append(piece)
    return "".join(pieces)


async def _streamed(response: httpx2.Response, request: Request) -> Completion:
    pieces: list[str] = []
    finish, length = "", 0
    usage: Mapping[str, Any] = {}
    async for event in _events(response):
        choices: Sequence[dict[str, Any]] = event.get("choices") or ()
        for choice in choices[:1]:
            delta: Mapping[str, Any] = choice.get("delta") or {}
            pieces.append(delta.get("content") or "")
            finish = choice.get("finish_reason") or finish
        usage = event.get("usage") or usage
        length += len(pieces[-1]) if pieces else 0
        if length > _MOST_CHARS:
            raise EndpointDownError(f"the answer is longer than {_MOST_CHARS} characters")
    if not finish:
        raise _TryAgainError("the stream ended before its end was told")
    return _completion("".join(pieces), finish, usage, request)


async def _events(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == _DONE:
            return
        if data:
            yield _parsed(data)


def _whole(text: str, request: Request) -> Completion:
    message = _parsed(text)
    try:
        choice = message["choices"][0]
        content = choice["message"].get("content") or ""
        finish = choice.get("finish_reason") or "stop"
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _TryAgainError("the answer is no chat completion") from error
    return _completion(content, finish, message.get("usage") or {}, request)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise _TryAgainError("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise _TryAgainError("the answer is no JSON object")
    message = cast("dict[str, Any]", found)
    if "error" in message:
        raise _TryAgainError(f"the endpoint says: {str(message['error'])[:200]}")
    return message


def _completion(text: str, finish: str, usage: Mapping[str, Any], request: Request) -> Completion:
    sent = "".join(message["content"] for message in request.messages)
    return Completion(
        text=text.strip(),
        finish_reason=finish,
        prompt_tokens=_count(usage, "prompt_tokens") or estimated_tokens(sent),
        completion_tokens=_count(usage, "completion_tokens") or estimated_tokens(text),
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def redacted(text: str, key: str) -> str:
    """Text without the key."""
    return text.replace(key, "[redacted]") if len(key) >= _SHORTEST_KEY else text


def estimated_tokens(text: str) -> int:
    """Tokens of a text by rule of thumb, where the endpoint does not count them."""
    return len(text) // 4 + 1
