"""Scanners: a place in a filter's text, and what can be read there."""

import re
from typing import NoReturn

from jobplane.engine.domain.errors import InvalidFilterError
from jobplane.engine.query.expression import BARE_KEY
from jobplane.engine.query.literal import Literal
from jobplane.engine.query.schema import Operator

_SPACE = re.compile(r"[ \t\r\n]*")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_OPERATOR = re.compile(r"!=|<=|>=|[=<>:]")
_FOREIGN_OPERATORS = {"==": "=", "<>": "!=", "=~": ":", "~": ":", "=<": "<=", "=>": ">="}
_QUOTES = "\"'"
_BARE_END = frozenset(" \t\r\n()\"',=<>!\\")
_WORD_END = frozenset(" \t\r\n()\"'")
_ESCAPABLE = frozenset("\"'\\*")


class Scanner:
    """Reads one text from left to right; a refusal names its column, from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def column(self) -> int:
        """Where the next thing begins."""
        self._skip()
        return self._at + 1

    @property
    def next(self) -> str:
        """The next character that is no space; "" at the end."""
        self._skip()
        return self._text[self._at : self._at + 1]

    @property
    def is_adjacent(self) -> bool:
        """Whether something follows without a space between."""
        return bool(self._text[self._at : self._at + 1].strip())

    def fail(self, description: str, column: int | None = None) -> NoReturn:
        """Refuse the filter at a column, else here."""
        raise InvalidFilterError(description, self.column if column is None else column)

    def take(self, symbol: str) -> bool:
        """Whether the symbol is next; if so it is read."""
        if self.next != symbol:
            return False
        self._at += 1
        return True

    def take_keyword(self, word: str) -> bool:
        """Whether the keyword is next, and not a longer word; if so it is read."""
        self._skip()
        end = self._at + len(word)
        follows = self._text[end : end + 1]
        if not self._text.startswith(word, self._at) or (follows and follows not in _WORD_END):
            return False
        self._at = end
        return True

    def peek_path(self) -> str:
        """The dotted name that is next, left unread; "" if there is none."""
        self._skip()
        match = _PATH.match(self._text, self._at)
        return match.group() if match else ""

    def advance(self, length: int) -> None:
        """Go over characters that were peeked at."""
        self._at += length

    def take_key(self) -> str:
        """The key of a map; "" if there is none."""
        if self._text[self._at : self._at + 1] in _QUOTES and self.is_adjacent:
            literal = self._take_quoted()
            if literal.has_star:
                self.fail(r"a key has no wildcard; write \* for a star", literal.column)
            return literal.text
        return self._take(BARE_KEY)

    def take_operator(self) -> Operator | None:
        """The operator that is next, if there is one."""
        self._skip()
        for foreign, ours in _FOREIGN_OPERATORS.items():
            if self._text.startswith(foreign, self._at):
                self.fail(f"there is no operator {foreign}; write {ours}")
        symbol = self._take(_OPERATOR)
        return Operator(symbol) if symbol else None

    def take_literal(self) -> Literal | None:
        """The value that is next, quoted or bare, if there is one."""
        if not self.next:
            return None
        return self._take_quoted() if self.next in _QUOTES else self._take_bare()

    def _skip(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match.group()

    def _take_bare(self) -> Literal | None:
        column = self.column
        end = self._at
        while end < len(self._text) and self._text[end] not in _BARE_END:
            end += 1
        text = self._text[self._at : end]
        if not text:
            return None
        if not text.isprintable():
            self.fail("quote a value that has unusual spaces or control characters", column)
        self._at = end
        return self._without_star([(char, char == "*") for char in text], column)

    def _take_quoted(self) -> Literal:
        column = self.column
        mark = self._text[self._at]
        chars: list[tuple[str, bool]] = []
        at = self._at + 1
        while at < len(self._text) and self._text[at] != mark:
            char = self._text[at]
            if char == "\\":
                at += 1
                char = self._text[at : at + 1]
                if char not in _ESCAPABLE or not char:
                    self.fail(r"a backslash goes before \, *, ' or a double quote only", at)
                chars.append((char, False))
            else:
                chars.append((char, char == "*"))
            at += 1
        if at >= len(self._text):
            self.fail(f"the quote {mark} is never closed", column)
        self._at = at + 1
        return self._without_star(chars, column)

    def _without_star(self, chars: list[tuple[str, bool]], column: int) -> Literal:
        stars = [place for place, (_, is_star) in enumerate(chars) if is_star]
        if stars and stars != [len(chars) - 1]:
            self.fail(
                r'a wildcard * stands at the end only; write "\*" for the character itself', column
            )
        text = "".join(char for char, is_star in chars if not is_star)
        return Literal(text, column, has_star=bool(stars))
