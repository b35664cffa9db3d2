"""Work: one audit from the journal to its artifacts."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil

from jobplane.engine.kinds.base import JobContext, Outcome, WorkError
from jobplane.engine.kinds.trade_audit import STAGES
from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.counterfactual import (
    attribution,
    recommended_limit,
    replay,
)
from jobplane.engine.kinds.trade_audit.detective import detect
from jobplane.engine.kinds.trade_audit.grades import grade
from jobplane.engine.kinds.trade_audit.measures import measure
from jobplane.engine.kinds.trade_audit.moments import amount
from jobplane.engine.kinds.trade_audit.normalizer import Journal, normalize
from jobplane.engine.kinds.trade_audit.options import fill_defaults, read_options
from jobplane.engine.kinds.trade_audit.remarks import WARNING, Remarks
from jobplane.engine.kinds.trade_audit.review import summarize, write_review
from jobplane.engine.kinds.trade_audit.skeleton import review_skeleton
from jobplane.engine.kinds.trade_audit.writing import (
    Shelf,
    job_record,
    quality_record,
    save_input,
    save_review,
    save_tables,
)
from jobplane.kinds.trade_audit.v1.trade_audit_pb2 import TradeAuditSpec

DEFAULT_MAX_INPUT_BYTES = 1 << 30
METRICS_SCHEMA = "trade_audit.runtime_metrics/1"


def run(spec: TradeAuditSpec, context: JobContext) -> Outcome:
    """Audit the journal given as input `journal`."""
    filled = TradeAuditSpec()
    filled.CopyFrom(spec)
    fill_defaults(filled)
    return _Run(filled, context).run()


@dataclass
class _Run:
    """One attempt; remembers how long each stage took."""

    spec: TradeAuditSpec
    context: JobContext
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    remarks: Remarks = field(default_factory=Remarks)

    def run(self) -> Outcome:
        """Give the outcome; a journal that can't be audited still gets its records."""
        try:
            journal = self._normalize()
        except WorkError as error:
            self._record_failure(error)
            raise
        audit = self._audit(journal)
        with self._stage("review"):
            review = write_review(audit)
        quality = quality_record(
            audit.remarks,
            preset=journal.preset,
            source_rows=journal.source_rows,
            dropped_rows=journal.dropped_rows,
            trades=len(audit.trades),
        )
        with self._stage("write"):
            self._write(audit, review, quality)
        return self._outcome(audit)

    @contextmanager
    def _stage(self, name: str) -> Generator[None]:
        """Mark and time a stage; stop before it when asked to."""
        self.context.safe_point()
        done = STAGES.index(name)
        self.context.progress(
            done, len(STAGES), unit="stage", message=name, fraction=done / len(STAGES)
        )
        begun = time.perf_counter()
        with self.context.stage(name):
            yield
        self.seconds[name] = time.perf_counter() - begun

    def _normalize(self) -> Journal:
        limit = int(self.context.settings.get("max_input_bytes", DEFAULT_MAX_INPUT_BYTES))
        with self._stage("normalize"):
            return normalize(
                self.context.inputs["journal"].path,
                read_options(self.spec),
                max_bytes=limit,
                now=datetime.now(UTC),
                remarks=self.remarks,
                safe_point=self.context.safe_point,
            )

    def _audit(self, journal: Journal) -> Audit:
        options, safe_point = read_options(self.spec), self.context.safe_point
        trades, limits = journal.trades, options.thresholds
        for remark in self.remarks.all:
            if remark.severity == WARNING:
                self.context.warn(remark.code, f"{remark.message} ({remark.count})")
        with self._stage("detect"):
            findings = detect(trades, limits, safe_point=safe_point)
        with self._stage("counterfactual"):
            recommended = recommended_limit(trades)
            safe_point()
            path = replay(
                trades, findings, limits, daily_max_loss=options.daily_max_loss or recommended
            )
            safe_point()
            shares = attribution(trades, findings, limits, full=path, safe_point=safe_point)
        with self._stage("grade"):
            grades = grade(trades, findings, path, limits)
            safe_point()
            measures = measure(trades, findings, grades, options, safe_point=safe_point)
        return Audit(
            options=options,
            preset=journal.preset,
            trades=trades,
            findings=findings,
            replay=path,
            grades=grades,
            recommended_limit=recommended,
            attribution=shares,
            measures=measures,
            remarks=self.remarks.all,
        )

    def _write(self, audit: Audit, review: dict[str, Any], quality: dict[str, Any]) -> None:
        begun = time.perf_counter()
        shelf = Shelf(self.context)
        save_input(shelf, self.context.inputs["journal"])
        save_tables(shelf, audit)
        save_review(shelf, audit, review, quality)
        shelf.saved.append("runtime_metrics.json")
        outcome = {
            "outcome": audit.outcome,
            "delta_pnl": audit.delta_pnl,
            "cost_of_bias": audit.cost_of_bias,
            "trade_count": len(audit.trades),
        }
        shelf.put_json(
            "job.json", job_record(shelf, self.spec, status="COMPLETED", outcome=outcome)
        )
        self.seconds["write"] = time.perf_counter() - begun
        shelf.put_json("runtime_metrics.json", self._metrics(len(audit.trades)))

    def _metrics(self, trades: int) -> dict[str, Any]:
        """Give runtime_metrics.json, the one artifact that differs from run to run."""
        total = sum(self.seconds.values())
        return {
            "schema": METRICS_SCHEMA,
            "stage_seconds": dict(self.seconds),
            "total_seconds": total,
            "trades_per_second": trades / total if total > 0 else None,
            "trade_count": trades,
            "input_bytes": self.context.inputs["journal"].size_bytes,
            "k_repeat": self.spec.k_repeat,
            "rss_bytes": psutil.Process().memory_info().rss,
            "engine_version": self.context.engine_version,
            "libraries": {name: version(name) for name in ("numpy", "pandas", "pyarrow")},
        }

    def _record_failure(self, error: WorkError) -> None:
        """Save what is known of a journal that can't be audited, under the usual names."""
        shelf = Shelf(self.context)
        remarks = self.remarks.all
        review = review_skeleton("FAILED", error_type=error.reason, error_message=error.message) | {
            "data_quality_warnings": [remark.as_json() for remark in remarks]
        }
        shelf.put_json("review.json", review)
        dropped = self.remarks.count("DROPPED_ROWS")
        quality = quality_record(remarks, preset="", source_rows=0, dropped_rows=dropped, trades=0)
        shelf.put_json("data_quality.json", quality)
        record = job_record(
            shelf,
            self.spec,
            status="FAILED",
            outcome={"outcome": None, "delta_pnl": None, "cost_of_bias": None, "trade_count": 0},
            error_type=error.reason,
            error_message=error.message,
        )
        shelf.put_json("job.json", record)

    def _outcome(self, audit: Audit) -> Outcome:
        rates = audit.bias_rates
        return Outcome(
            headline=f"{audit.outcome}: discipline {amount(audit.delta_pnl)}, "
            f"{rates['any_bias_rate']:.1%} of {len(audit.trades):,} trades biased",
            details=summarize(audit),
            metrics={
                "delta_pnl": audit.delta_pnl,
                "cost_of_bias": audit.cost_of_bias,
                "trade_count": float(len(audit.trades)),
                "total_pnl": float(audit.measures["total_pnl"]),
                **rates,
            },
            warnings=tuple(
                f"{remark.code}: {remark.message}"
                for remark in audit.remarks
                if remark.severity == WARNING
            ),
        )
