"""Runs audits of journals given as text, without a plane."""

import atexit
import csv
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobplane.engine.kinds.base import Outcome
from jobplane.engine.kinds.trade_audit.work import run
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditResult, TradeAuditSpec
from tests.kinds.fake_context import FakeContext, input_file

HEADER = "timestamp,asset,price,size_usd,side,pnl\n"
# One way to say "no limit": larger than any loss of the tests.
NO_LIMIT = 1e12
_FOLDERS = tempfile.mkdtemp(prefix="trade-audit-")
atexit.register(shutil.rmtree, _FOLDERS, ignore_errors=True)


@dataclass(frozen=True)
class Audited:
    """What an audit left behind."""

    outcome: Outcome
    context: FakeContext

    @property
    def result(self) -> TradeAuditResult:
        assert isinstance(self.outcome.details, TradeAuditResult)
        return self.outcome.details

    @property
    def review(self) -> dict[str, Any]:
        review: dict[str, Any] = self.json("review.json")
        return review

    def text(self, name: str) -> str:
        return self.context.artifacts[name].content.decode()

    def json(self, name: str) -> Any:
        return json.loads(self.text(name))

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(name))))

    def column(self, name: str, column: str) -> list[float]:
        return [float(row[column]) for row in self.rows(name)]

    def flags(self, column: str) -> list[int]:
        """Positions of the trades, by time, that have a flag."""
        rows = self.rows("flagged.csv")
        return [place for place, row in enumerate(rows) if row[column] == "true"]

    def codes(self) -> set[str]:
        return {warning["code"] for warning in self.review["data_quality_warnings"]}


def context_for(content: str | bytes, *, name: str = "journal.csv", **fields: Any) -> FakeContext:
    """Give a context whose input `journal` is the content."""
    folder = Path(tempfile.mkdtemp(dir=_FOLDERS))
    journal = folder / name
    journal.write_bytes(content.encode() if isinstance(content, str) else content)
    attempt = folder / "attempt"
    attempt.mkdir()
    return FakeContext(folder=attempt, inputs={"journal": input_file(journal)}, **fields)


def audit(content: str | bytes, *, spec: TradeAuditSpec | None = None, **fields: Any) -> Audited:
    """Audit a journal; `fields` are those of the spec."""
    context = context_for(content)
    return Audited(run(spec or TradeAuditSpec(**fields), context), context)


def journal(*rows: str) -> str:
    """Give a canonical journal; a row is "day time, size, side, pnl" on asset X at price 1."""
    lines = []
    for row in rows:
        time, size, side, pnl = (part.strip() for part in row.split(","))
        lines.append(f"2024-01-{time}:00,X,1,{size},{side},{pnl}\n")
    return HEADER + "".join(lines)
