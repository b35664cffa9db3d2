"""What counts can be grouped by."""

from typing import Any

from sqlalchemy import ColumnElement, func, literal, select

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.store.tables import job_labels, jobs

COLUMNS: dict[str, ColumnElement[Any]] = {
    **{name: jobs.c[name] for name in ("status", "kind", "queue", "priority")},
    "job_set": func.coalesce(jobs.c.job_set, ""),
}
LABELS = "labels."


def group_column(group_by: str) -> ColumnElement[Any]:
    """The expression to group by; jobs that lack a label are in the group ""."""
    if not group_by:
        return literal("")
    if group_by in COLUMNS:
        return COLUMNS[group_by]
    key = group_by.removeprefix(LABELS)
    if key and key != group_by:
        value = select(job_labels.c.value).where(
            job_labels.c.job_pk == jobs.c.pk, job_labels.c.key == key
        )
        return func.coalesce(value.scalar_subquery(), "")
    allowed = ", ".join([*COLUMNS, "labels.KEY"])
    raise InvalidSpecError([Violation("group_by", f"can't group by {group_by!r}; by: {allowed}")])
