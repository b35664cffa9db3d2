"""The tables. Times are microseconds since 1970 in UTC; JSON columns hold domain values."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    literal_column,
    text,
)

metadata = MetaData()

# SQLite only gives an INTEGER primary key its own number.
Key = BigInteger().with_variant(Integer, "sqlite")
# Comparisons of text are by code point on every database.
Text = String().with_variant(String(collation="C"), "postgresql")

jobs = Table(
    "jobs",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("queue", Text, nullable=False),
    # What most jobs lack is NULL, so that its index holds only the jobs that have it.
    Column("job_set", Text),
    Column("creator", Text, nullable=False),
    Column("schedule", Text),
    Column("display_name", Text),
    Column("failure_reason", Text),
    Column("failure_category", Text),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
    Column("expires_us", BigInteger),
    Column("heartbeat_us", BigInteger),
    # Executor slots it needs; decides which claims may take it.
    Column("lane", Text, nullable=False),
    # Class of the hardware that it asks for; empty when it asks for none.
    Column("shape", Text, nullable=False),
    # The hardware itself; null when it asks for none.
    Column("demand", LargeBinary),
    # Order in its line, lowest first: age and priority in one number.
    Column("rank_us", BigInteger, nullable=False),
    # Server process that runs the live attempt; empty when none does.
    Column("worker", Text, nullable=False),
    # 1 when a claim may take it now; 0 while it waits for a time or for other jobs.
    Column("ready", Integer, nullable=False),
    # When a job that is not ready may become so.
    Column("ready_us", BigInteger),
    # When the reaper must look at it.
    Column("due_us", BigInteger),
    Column("spec", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("progress", LargeBinary),
    UniqueConstraint("project", "job_id"),
    sqlite_autoincrement=True,
)

# A job that has not finished sorts before all that have: see query/order.py.
FINISHED_OR_NOT = func.coalesce(jobs.c.finished_us, literal_column("-1"))

# Every order and every field that a list offers has its index.
Index("jobs_by_create", jobs.c.project, jobs.c.created_us, jobs.c.job_id)
Index("jobs_by_create_everywhere", jobs.c.created_us, jobs.c.job_id, jobs.c.project)
Index("jobs_by_update", jobs.c.project, jobs.c.updated_us, jobs.c.job_id)
Index("jobs_by_priority", jobs.c.project, jobs.c.priority, jobs.c.job_id)
Index("jobs_by_finish", jobs.c.project, FINISHED_OR_NOT, jobs.c.job_id)
for _field in ("status", "kind", "queue", "creator"):
    Index(f"jobs_by_{_field}", jobs.c.project, jobs.c[_field], jobs.c.created_us, jobs.c.job_id)
for _field in ("job_set", "schedule", "display_name", "failure_reason", "failure_category"):
    _given = text(f"{_field} IS NOT NULL")
    Index(
        f"jobs_by_{_field}",
        jobs.c.project,
        jobs.c[_field],
        jobs.c.created_us,
        jobs.c.job_id,
        sqlite_where=_given,
        postgresql_where=_given,
    )
_QUEUED = text("status = 'QUEUED'")
_QUEUED_READY = text("status = 'QUEUED' AND ready = 1")
_QUEUED_WAITING = text("status = 'QUEUED' AND ready = 0 AND ready_us IS NOT NULL")
_EXPIRING = text("expires_us IS NOT NULL")
_DUE = text("due_us IS NOT NULL")
_SCHEDULED_OPEN = text("schedule <> '' AND done = 0")
_LIVE = text("worker <> ''")
Index(
    "jobs_claimable",
    jobs.c.lane,
    jobs.c.project,
    jobs.c.queue,
    jobs.c.kind,
    jobs.c.shape,
    jobs.c.rank_us,
    jobs.c.pk,
    sqlite_where=_QUEUED_READY,
    postgresql_where=_QUEUED_READY,
)
Index(
    "jobs_queued",
    jobs.c.queue,
    jobs.c.created_us,
    sqlite_where=_QUEUED,
    postgresql_where=_QUEUED,
)
Index(
    "jobs_waiting",
    jobs.c.ready_us,
    sqlite_where=_QUEUED_WAITING,
    postgresql_where=_QUEUED_WAITING,
)
Index("jobs_expiring", jobs.c.expires_us, sqlite_where=_EXPIRING, postgresql_where=_EXPIRING)
Index("jobs_due", jobs.c.due_us, sqlite_where=_DUE, postgresql_where=_DUE)
Index(
    "jobs_open_by_schedule",
    jobs.c.project,
    jobs.c.schedule,
    sqlite_where=_SCHEDULED_OPEN,
    postgresql_where=_SCHEDULED_OPEN,
)
Index("jobs_live", jobs.c.worker, sqlite_where=_LIVE, postgresql_where=_LIVE)

job_labels = Table(
    "job_labels",
    metadata,
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index("labels_by_value", "key", "value", "job_pk"),
    sqlite_with_rowid=False,
)

job_metrics = Table(
    "job_metrics",
    metadata,
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Float, nullable=False),
    Index("metrics_by_value", "key", "value", "job_pk"),
    sqlite_with_rowid=False,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

job_events = Table(
    "job_events",
    metadata,
    # Position in the feed of all events; one writer gives it in the order of commits.
    Column("revision", Key, primary_key=True, autoincrement=True),
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE"), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("occurred_us", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    UniqueConstraint("job_pk", "sequence"),
    sqlite_autoincrement=True,
)

_UPLOADED = text("job_pk IS NULL")
artifacts = Table(
    "artifacts",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    # Null for uploaded content, which belongs to no job.
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE")),
    Column("artifact_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stage", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("detail", LargeBinary, nullable=False),
    Index("artifacts_of_job", "job_pk", "artifact_id", unique=True),
    Index("artifacts_by_content", "sha256", "project"),
    # What a project stores is summed up from this alone.
    Index("artifacts_by_size", "project", "size_bytes"),
    Index(
        "uploads_by_content",
        "project",
        "sha256",
        unique=True,
        sqlite_where=_UPLOADED,
        postgresql_where=_UPLOADED,
    ),
    Index(
        "uploads_by_number",
        "project",
        "pk",
        sqlite_where=_UPLOADED,
        postgresql_where=_UPLOADED,
    ),
    Index(
        "uploads_expiring",
        "expires_us",
        sqlite_where=_UPLOADED,
        postgresql_where=_UPLOADED,
    ),
    sqlite_autoincrement=True,
)

# Content that a job needs besides its artifacts: its inputs and its last checkpoint.
job_contents = Table(
    "job_contents",
    metadata,
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE"), primary_key=True),
    # "checkpoint", or "input:" and the role.
    Column("role", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Index("job_contents_by_content", "sha256"),
    sqlite_with_rowid=False,
)

# Versions of data sets: names for content that never changes.
datasets = Table(
    "datasets",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("dataset_id", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("creator", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    UniqueConstraint("project", "dataset_id", "version"),
    Index("datasets_by_number", "project", "pk"),
    Index("datasets_by_content", "sha256"),
    sqlite_autoincrement=True,
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("project", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("expired_us", BigInteger, nullable=False),
    # Position in the feed of all events: those who watch many jobs hear of it there.
    Column("revision", BigInteger, nullable=False),
    Index("tombstones_by_revision", "revision"),
    sqlite_with_rowid=False,
)

# What all servers of one database share, such as the secret of page tokens.
shared_values = Table(
    "shared_values",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# How many jobs wait and run, by line: a count of the jobs table that is kept with it.
loads = Table(
    "loads",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("queue", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("shape", Text, primary_key=True),
    Column("queued", BigInteger, nullable=False),
    Column("active", BigInteger, nullable=False),
    Index("loads_by_project", "project"),
    Index("loads_by_queue", "queue"),
    sqlite_with_rowid=False,
)
_WAITING = text("queued > 0")
Index("loads_waiting", loads.c.lane, sqlite_where=_WAITING, postgresql_where=_WAITING)

# A queue that is not here is OPEN.
queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("updater", Text, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

quotas = Table(
    "quotas",
    metadata,
    Column("project", Text, primary_key=True),
    Column("limits", LargeBinary, nullable=False),
    # 1 when a limit decides about starts, not only about submits.
    Column("gates", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What finished attempts used up, by the beginning of the period that it counts in.
consumption = Table(
    "consumption",
    metadata,
    Column("project", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("period_us", BigInteger, primary_key=True),
    Column("value", Float, nullable=False),
    sqlite_with_rowid=False,
)

# Conditions that are still open; a row goes when its condition holds.
job_dependencies = Table(
    "job_dependencies",
    metadata,
    # No foreign key: what waits must hear of the end even when the job is purged.
    Column("upstream_pk", Key, primary_key=True),
    Column("job_pk", Key, ForeignKey("jobs.pk", ondelete="CASCADE"), primary_key=True),
    Column("condition", Text, nullable=False),
    Index("dependencies_of_job", "job_pk", "upstream_pk"),
    sqlite_with_rowid=False,
)

# Jobs that ended with more dependents than one transaction tells.
dependency_backlog = Table(
    "dependency_backlog",
    metadata,
    Column("upstream_pk", Key, primary_key=True, autoincrement=False),
    Column("upstream", Text, nullable=False),
    Column("status", Text, nullable=False),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    metadata,
    Column("project", Text, primary_key=True),
    Column("schedule_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("creator", Text, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("fires", LargeBinary, nullable=False),
    # The nominal time that comes next, and when it fires; null while paused.
    Column("next_us", BigInteger),
    Column("fire_us", BigInteger),
    # A nominal time whose fire waits for the job before.
    Column("waiting_us", BigInteger),
    # When next_us was computed; a clock that was turned back is before it.
    Column("decided_us", BigInteger, nullable=False),
    Column("counting_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_FIRING = text("fire_us IS NOT NULL")
_FIRE_WAITING = text("waiting_us IS NOT NULL")
Index(
    "schedules_due",
    schedules.c.fire_us,
    schedules.c.project,
    schedules.c.schedule_id,
    sqlite_where=_FIRING,
    postgresql_where=_FIRING,
)
Index(
    "schedules_waiting",
    schedules.c.project,
    schedules.c.schedule_id,
    sqlite_where=_FIRE_WAITING,
    postgresql_where=_FIRE_WAITING,
)
Index(
    "schedules_decided",
    schedules.c.decided_us,
    sqlite_where=_FIRING,
    postgresql_where=_FIRING,
)
