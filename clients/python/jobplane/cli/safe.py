"""Text that may be shown on a terminal: what others wrote can't steer it, hide or reorder."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Joins and splits letters in many scripts and in emoji, and harms nobody.
JOINERS = frozenset("\u200c\u200d")
# Controls, what can't be encoded, private use, separators of lines, and formats (bidi, tags).
UNSAFE = frozenset({"Cc", "Cs", "Co", "Zl", "Zp", "Cf"})
NO_WIDTH = frozenset({"Mn", "Me", "Cf"})
WIDE = frozenset({"W", "F"})
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
ELLIPSIS = "…"
_LATIN, _BASIC = 0x100, 0x10000


class Safe(str):
    """Text that holds nothing but what is meant to be shown, colours of ours included."""

    __slots__ = ()

    def __add__(self, other: str) -> Safe:
        return Safe(str(self) + str(safe(other)))

    def join(self, parts: Iterable[str], /) -> Safe:
        """The parts, each made safe, with this text between them."""
        return Safe(str(self).join(str(safe(part)) for part in parts))


def safe(text: str) -> Safe:
    """Text on one line; what would act on a terminal stands there as a visible escape."""
    if isinstance(text, Safe):
        return text
    if text.isascii() and text.isprintable():
        return Safe(text)
    return Safe("".join(map(_shown, text)))


def safe_lines(text: str) -> Safe:
    """Text made safe line by line; its own line breaks stay."""
    return text if isinstance(text, Safe) else Safe("\n").join(text.split("\n"))


def styled(text: str, **style: Any) -> Safe:
    """Safe text in a colour, or otherwise set apart."""
    return Safe(click.style(safe(text), **style))


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    plain = click.unstyle(text)
    return len(plain) if plain.isascii() else sum(map(_columns, plain))


def cut(text: str, room: int) -> Safe:
    """Text in at most that many columns; what is left out is marked."""
    given = safe(text)
    if width(given) <= room:
        return given
    taken, used = "", 1
    # The colour goes with the cut: half an escape would spoil the line.
    for sign in click.unstyle(given):
        used += _columns(sign)
        if used > room:
            break
        taken += sign
    return Safe(taken + ELLIPSIS if room > 0 else "")


def folded(text: str, room: int, *, indent: int = 0) -> Safe:
    """Text in lines of at most that many columns, those after the first one indented."""
    given = safe(text)
    if width(given) <= room:
        return given
    lines: list[list[str]] = [[]]
    for word in _fitting(str(given).split(" "), max(1, room - indent)):
        if lines[-1] and width(" ".join([*lines[-1], word])) > room:
            lines.append([" " * (indent - 1), word] if indent else [word])
        else:
            lines[-1].append(word)
    return Safe("\n".join(" ".join(line) for line in lines))


def _fitting(words: Iterable[str], room: int) -> Iterator[str]:
    """Words, those that are too long for a line broken."""
    for word in words:
        rest = word
        while width(rest) > room:
            head = str(cut(rest, room + 1)).removesuffix(ELLIPSIS) or rest[:1]
            yield head
            rest = rest[len(head) :]
        yield rest


def json_escaped(text: str) -> str:
    """JSON text whose strings hold nothing raw that would act on a terminal."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(sign if sign == "\n" or _is_safe(sign) else _json_escape(sign) for sign in text)


def _is_safe(sign: str) -> bool:
    return sign in JOINERS or unicodedata.category(sign) not in UNSAFE


def _shown(sign: str) -> str:
    if _is_safe(sign):
        return sign
    code = ord(sign)
    if code < _LATIN:
        return SHORT.get(sign) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _BASIC else f"\\U{code:08x}"


def _json_escape(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _columns(sign: str) -> int:
    if unicodedata.category(sign) in NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(sign) in WIDE else 1
