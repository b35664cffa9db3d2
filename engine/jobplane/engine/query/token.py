"""Page tokens: where the next page starts, signed and bound to its query."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import cast

from jobplane.engine.domain.errors import InvalidPageTokenError

Key = tuple[int | str | None, ...]

MIN_SECRET_BYTES = 16
MAX_TOKEN_BYTES = 4096

_VERSION = b"\x01"
_DIGEST_BYTES = 32
_MAC_BYTES = 16
_PURPOSE = b"jobplane page token\0"


class PageTokens:
    """Makes and reads tokens: base64url(version | key | digest of the query | HMAC)."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret of page tokens has at least {MIN_SECRET_BYTES} bytes")
        self._secret = secret

    def encode(self, key: Key, bound: Sequence[str]) -> str:
        """A token that continues after the key, for a query with these arguments only."""
        text = json.dumps(key, ensure_ascii=False, separators=(",", ":"))
        body = _VERSION + text.encode() + _digest(bound)
        return _armor(body + self._mac(body))

    def decode(self, token: str, bound: Sequence[str]) -> Key:
        """The key inside; refuses what we did not make for exactly these arguments."""
        raw = _unarmor(token)
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise InvalidPageTokenError
        if body[:1] != _VERSION or body[-_DIGEST_BYTES:] != _digest(bound):
            raise InvalidPageTokenError
        # Signed by us, so it is what encode() wrote.
        return cast("Key", tuple(json.loads(body[1:-_DIGEST_BYTES])))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, _PURPOSE + body, "sha256")[:_MAC_BYTES]


def _digest(bound: Sequence[str]) -> bytes:
    # JSON keeps ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256(json.dumps(list(bound)).encode()).digest()


def _armor(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unarmor(token: str) -> bytes:
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise InvalidPageTokenError
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError as error:
        raise InvalidPageTokenError from error
    # Python skips characters that are not base64, and the last one has spare bits.
    if _armor(raw) != token:
        raise InvalidPageTokenError
    return raw
