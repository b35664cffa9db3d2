"""Writing: the artifacts of an audit."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.kinds.base import InputFile, JobContext
from jobplane.engine.kinds.trade_audit import tables
from jobplane.engine.kinds.trade_audit.audit import Audit
from jobplane.engine.kinds.trade_audit.policy import write_policy
from jobplane.engine.kinds.trade_audit.remarks import Remark
from jobplane.engine.kinds.trade_audit.report import write_report

CSV = "text/csv; charset=utf-8"
JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
JOB_SCHEMA = "trade_audit.job/1"
QUALITY_SCHEMA = "trade_audit.data_quality/1"


@dataclass(slots=True)
class Shelf:
    """Saves artifacts and remembers their ids."""

    context: JobContext
    saved: list[str] = field(default_factory=list[str])

    def put(
        self, name: str, content: bytes | str | Path, *, media_type: str, kind: ArtifactType
    ) -> None:
        """Save content under a name."""
        self.context.save_artifact(name, content, media_type=media_type, type=kind)
        self.saved.append(name)

    def put_json(self, name: str, value: Any) -> None:
        """Save a value as JSON: keys sorted, floats at their shortest, no NaN."""
        self.put(name, to_json(value), media_type=JSON, kind=ArtifactType.JSON)


def to_json(value: Any) -> str:
    """Give the one JSON text of a value."""
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def save_input(shelf: Shelf, journal: InputFile) -> None:
    """Save the journal as it came."""
    with journal.path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    name = "input.parquet" if parquet else "input.csv"
    copy = shelf.context.folder / name
    shutil.copyfile(journal.path, copy)
    shelf.put(name, copy, media_type=PARQUET if parquet else "text/csv", kind=ArtifactType.INPUT)
    copy.unlink(missing_ok=True)


def save_tables(shelf: Shelf, audit: Audit) -> None:
    """Save the trades, normalized, flagged and replayed."""
    safe_point = shelf.context.safe_point
    for name, columns in (
        ("normalized", tables.normalized(audit)),
        ("flagged", tables.flagged(audit)),
        ("counterfactual", tables.counterfactual(audit)),
    ):
        path = shelf.context.folder / f"{name}.csv"
        tables.write_csv(columns, path, safe_point=safe_point)
        shelf.put(path.name, path, media_type=CSV, kind=ArtifactType.TABLE)
        path.unlink(missing_ok=True)
        if name == "counterfactual":
            path = path.with_suffix(".parquet")
            tables.write_parquet(columns, path, safe_point=safe_point)
            shelf.put(path.name, path, media_type=PARQUET, kind=ArtifactType.TABLE)
            path.unlink(missing_ok=True)


def save_review(shelf: Shelf, audit: Audit, review: Mapping[str, Any], quality: Any) -> None:
    """Save what is said about the trades."""
    shelf.put_json("review.json", review)
    policy = write_policy(audit)
    shelf.put("policy_report.txt", policy, media_type=TEXT, kind=ArtifactType.REPORT)
    shelf.put_json("data_quality.json", quality)
    user = audit.options.user_id
    page = write_report(audit, review, title=f"journal of {user}" if user else "one journal")
    shelf.put("report.html", page, media_type=HTML, kind=ArtifactType.REPORT)


def quality_record(
    remarks: tuple[Remark, ...], *, preset: str, source_rows: int, dropped_rows: int, trades: int
) -> dict[str, Any]:
    """Give data_quality.json."""
    return {
        "schema": QUALITY_SCHEMA,
        "format": preset,
        "source_rows": source_rows,
        "dropped_rows": dropped_rows,
        "trade_count": trades,
        "warnings": [remark.as_json() for remark in remarks],
    }


def job_record(
    shelf: Shelf,
    spec: Message,
    *,
    status: str,
    outcome: Mapping[str, Any],
    error_type: str = "",
    error_message: str = "",
) -> dict[str, Any]:
    """Give job.json; artifacts stand in it by id, never by a path."""
    context = shelf.context
    journal = context.inputs["journal"]
    return {
        "schema": JOB_SCHEMA,
        "job_id": context.job_id,
        "user_id": getattr(spec, "user_id", ""),
        "engine_version": context.engine_version,
        "input_sha256": journal.sha256,
        "input_bytes": journal.size_bytes,
        "execution_status": status,
        "error_type": error_type or None,
        "error_message": error_message or None,
        "spec": MessageToDict(spec, preserving_proto_field_name=True),
        "artifacts": {name: name for name in sorted({*shelf.saved, "job.json"})},
        **outcome,
    }
