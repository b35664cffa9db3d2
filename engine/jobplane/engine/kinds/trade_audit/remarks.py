"""Remarks: what is odd about a journal, without ending its audit."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

FIRST_ROWS = 5
INFO = "INFO"
WARNING = "WARNING"
# Text of a journal that is quoted in a message is cut here.
MAX_QUOTE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One kind of oddity: how often, and where first."""

    code: str
    severity: str
    count: int
    first_rows: tuple[int, ...]
    message: str

    def as_json(self) -> dict[str, Any]:
        """Give the remark as the artifacts show it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "count": self.count,
            "first_rows": list(self.first_rows),
            "message": self.message,
        }


@dataclass(slots=True)
class Remarks:
    """Collects remarks; one per code, in the order they came."""

    _by_code: dict[str, Remark] = field(default_factory=dict[str, Remark])

    def add(
        self,
        code: str,
        message: str,
        *,
        rows: Iterable[int] = (),
        count: int | None = None,
        severity: str = WARNING,
    ) -> None:
        """Record an oddity; the same code again adds to its count."""
        before = self._by_code.get(code)
        lines = [int(row) for row in rows]
        first = (*(before.first_rows if before else ()), *lines[:FIRST_ROWS])
        self._by_code[code] = Remark(
            code=code,
            severity=severity,
            count=(before.count if before else 0) + (len(lines) if count is None else count),
            first_rows=tuple(sorted(set(first)))[:FIRST_ROWS],
            message=message,
        )

    def count(self, code: str) -> int:
        """Give how often a code was recorded."""
        remark = self._by_code.get(code)
        return remark.count if remark else 0

    @property
    def all(self) -> tuple[Remark, ...]:
        """Every remark, warnings before infos, by code."""
        return tuple(
            sorted(
                self._by_code.values(), key=lambda remark: (remark.severity == INFO, remark.code)
            )
        )


def quote(text: str) -> str:
    """Give text of a journal fit for a message: printable, short, in quotes."""
    printable = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for letter in text[: MAX_QUOTE + 1]
    )
    if len(text) > MAX_QUOTE:
        printable = printable[:MAX_QUOTE] + "\N{HORIZONTAL ELLIPSIS}"
    return f"'{printable}'"
