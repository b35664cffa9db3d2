"""What a client does with a server, told step by step and done by nobody here.

A talk is a generator: it yields a request and is given the answer, or the typed error of the
call is thrown into it. What it returns is the outcome. The blocking client and the one for
asyncio each have one loop that does the steps; every decision is in the talks.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from jobplane.client import errors
from jobplane.client._methods import method_of
from jobplane.client._status import UNREACHABLE


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Send:
    """Send these messages, all of one type, and be given the one answer."""

    kind: type[Message]
    messages: Iterator[Message]
    timeout_s: float


T = TypeVar("T")
Answer = TypeVar("Answer", bound=Message)
# A message alone is a request of a unary call.
Step = Message | Pause | Send
Talk = Generator[Step, Any, T]


def ask(request: Message, kind: type[Answer]) -> Talk[Answer]:
    """Answer of one call; asked once more where that is safe and gRPC's own retries end.

    They end where an answer began: a connection that is lost after that shows as UNREACHABLE.
    """
    try:
        answer = yield request
    except errors.JobplaneError as refused:
        if refused.reason != UNREACHABLE or not method_of(type(request)).is_repeatable:
            raise
        answer = yield request
    assert isinstance(answer, kind)
    return answer
