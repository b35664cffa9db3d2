"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "idempotency_keys",
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "job_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "jobs",
        sa.Column(
            "pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "job_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "kind", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "status",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column(
            "queue",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "job_set",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "creator",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "schedule",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "display_name",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "failure_reason",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.Column(
            "failure_category",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=True,
        ),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("heartbeat_us", sa.BigInteger(), nullable=True),
        sa.Column(
            "lane", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "shape",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("demand", sa.LargeBinary(), nullable=True),
        sa.Column("rank_us", sa.BigInteger(), nullable=False),
        sa.Column(
            "worker",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("ready", sa.Integer(), nullable=False),
        sa.Column("ready_us", sa.BigInteger(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("progress", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("project", "job_id"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(
            "jobs_by_job_set",
            ["project", "job_set", "created_us", "job_id"],
            unique=False,
            sqlite_where=sa.text("job_set IS NOT NULL"),
            postgresql_where=sa.text("job_set IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_by_schedule",
            ["project", "schedule", "created_us", "job_id"],
            unique=False,
            sqlite_where=sa.text("schedule IS NOT NULL"),
            postgresql_where=sa.text("schedule IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_by_display_name",
            ["project", "display_name", "created_us", "job_id"],
            unique=False,
            sqlite_where=sa.text("display_name IS NOT NULL"),
            postgresql_where=sa.text("display_name IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_by_failure_reason",
            ["project", "failure_reason", "created_us", "job_id"],
            unique=False,
            sqlite_where=sa.text("failure_reason IS NOT NULL"),
            postgresql_where=sa.text("failure_reason IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_by_failure_category",
            ["project", "failure_category", "created_us", "job_id"],
            unique=False,
            sqlite_where=sa.text("failure_category IS NOT NULL"),
            postgresql_where=sa.text("failure_category IS NOT NULL"),
        )
        batch_op.create_index("jobs_by_create", ["project", "created_us", "job_id"], unique=False)
        batch_op.create_index(
            "jobs_by_create_everywhere", ["created_us", "job_id", "project"], unique=False
        )
        batch_op.create_index(
            "jobs_by_creator", ["project", "creator", "created_us", "job_id"], unique=False
        )
        batch_op.create_index(
            "jobs_by_finish",
            ["project", sa.text("coalesce(finished_us, -1)"), "job_id"],
            unique=False,
        )
        batch_op.create_index(
            "jobs_by_kind", ["project", "kind", "created_us", "job_id"], unique=False
        )
        batch_op.create_index("jobs_by_priority", ["project", "priority", "job_id"], unique=False)
        batch_op.create_index(
            "jobs_by_queue", ["project", "queue", "created_us", "job_id"], unique=False
        )
        batch_op.create_index(
            "jobs_by_status", ["project", "status", "created_us", "job_id"], unique=False
        )
        batch_op.create_index("jobs_by_update", ["project", "updated_us", "job_id"], unique=False)
        batch_op.create_index(
            "jobs_claimable",
            ["lane", "project", "queue", "kind", "shape", "rank_us", "pk"],
            unique=False,
            sqlite_where=sa.text("status = 'QUEUED' AND ready = 1"),
            postgresql_where=sa.text("status = 'QUEUED' AND ready = 1"),
        )
        batch_op.create_index(
            "jobs_expiring",
            ["expires_us"],
            unique=False,
            sqlite_where=sa.text("expires_us IS NOT NULL"),
            postgresql_where=sa.text("expires_us IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_due",
            ["due_us"],
            unique=False,
            sqlite_where=sa.text("due_us IS NOT NULL"),
            postgresql_where=sa.text("due_us IS NOT NULL"),
        )
        batch_op.create_index(
            "jobs_open_by_schedule",
            ["project", "schedule"],
            unique=False,
            sqlite_where=sa.text("schedule <> '' AND done = 0"),
            postgresql_where=sa.text("schedule <> '' AND done = 0"),
        )
        batch_op.create_index(
            "jobs_live",
            ["worker"],
            unique=False,
            sqlite_where=sa.text("worker <> ''"),
            postgresql_where=sa.text("worker <> ''"),
        )
        batch_op.create_index(
            "jobs_queued",
            ["queue", "created_us"],
            unique=False,
            sqlite_where=sa.text("status = 'QUEUED'"),
            postgresql_where=sa.text("status = 'QUEUED'"),
        )
        batch_op.create_index(
            "jobs_waiting",
            ["ready_us"],
            unique=False,
            sqlite_where=sa.text("status = 'QUEUED' AND ready = 0 AND ready_us IS NOT NULL"),
            postgresql_where=sa.text("status = 'QUEUED' AND ready = 0 AND ready_us IS NOT NULL"),
        )

    op.create_table(
        "shared_values",
        sa.Column(
            "key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tombstones",
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "job_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("expired_us", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "job_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("tombstones_by_revision", "tombstones", ["revision"])
    op.create_table(
        "artifacts",
        sa.Column(
            "pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "artifact_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "type", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "media_type",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "sha256",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "stage",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pk"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index("artifacts_by_content", ["sha256", "project"], unique=False)
        batch_op.create_index("artifacts_by_size", ["project", "size_bytes"], unique=False)
        batch_op.create_index("artifacts_of_job", ["job_pk", "artifact_id"], unique=True)
        for name, columns, unique in (
            ("uploads_by_content", ["project", "sha256"], True),
            ("uploads_by_number", ["project", "pk"], False),
            ("uploads_expiring", ["expires_us"], False),
        ):
            batch_op.create_index(
                name,
                columns,
                unique=unique,
                sqlite_where=sa.text("job_pk IS NULL"),
                postgresql_where=sa.text("job_pk IS NULL"),
            )

    op.create_table(
        "job_contents",
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "role",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "sha256",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_pk", "role"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("job_contents", schema=None) as batch_op:
        batch_op.create_index("job_contents_by_content", ["sha256"], unique=False)

    op.create_table(
        "datasets",
        sa.Column(
            "pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        *(
            sa.Column(
                name,
                sa.String().with_variant(sa.String(collation="C"), "postgresql"),
                nullable=False,
            )
            for name in ("project", "dataset_id", "version", "sha256", "format", "media_type")
        ),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "creator",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pk"),
        sa.UniqueConstraint("project", "dataset_id", "version"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.create_index("datasets_by_number", ["project", "pk"], unique=False)
        batch_op.create_index("datasets_by_content", ["sha256"], unique=False)

    op.create_table(
        "job_events",
        sa.Column(
            "revision",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("occurred_us", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column(
            "status",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "type", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("revision"),
        sa.UniqueConstraint("job_pk", "sequence"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "job_labels",
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column(
            "value",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_pk", "key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("job_labels", schema=None) as batch_op:
        batch_op.create_index("labels_by_value", ["key", "value", "job_pk"], unique=False)

    op.create_table(
        "job_metrics",
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "key", sa.String().with_variant(sa.String(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("value", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_pk", "key"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("job_metrics", schema=None) as batch_op:
        batch_op.create_index("metrics_by_value", ["key", "value", "job_pk"], unique=False)

    op.create_table(
        "loads",
        sa.Column(
            "lane",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "queue",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "shape",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "project", "queue", "kind", "shape"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("loads", schema=None) as batch_op:
        batch_op.create_index("loads_by_project", ["project"], unique=False)
        batch_op.create_index("loads_by_queue", ["queue"], unique=False)
        batch_op.create_index(
            "loads_waiting",
            ["lane"],
            unique=False,
            sqlite_where=sa.text("queued > 0"),
            postgresql_where=sa.text("queued > 0"),
        )

    op.create_table(
        "queues",
        sa.Column(
            "name",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "reason",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "updater",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quotas",
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("limits", sa.LargeBinary(), nullable=False),
        sa.Column("gates", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consumption",
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "metric",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("period_us", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("project", "metric", "period_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_dependencies",
        sa.Column(
            "upstream_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("job_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "condition",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["job_pk"], ["jobs.pk"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("upstream_pk", "job_pk"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("job_dependencies", schema=None) as batch_op:
        batch_op.create_index("dependencies_of_job", ["job_pk", "upstream_pk"], unique=False)

    op.create_table(
        "dependency_backlog",
        sa.Column(
            "upstream_pk",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column(
            "upstream",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("upstream_pk"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "schedules",
        sa.Column(
            "project",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "schedule_id",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column(
            "creator",
            sa.String().with_variant(sa.String(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("fires", sa.LargeBinary(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=True),
        sa.Column("fire_us", sa.BigInteger(), nullable=True),
        sa.Column("waiting_us", sa.BigInteger(), nullable=True),
        sa.Column("decided_us", sa.BigInteger(), nullable=False),
        sa.Column("counting_us", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "schedule_id"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("schedules", schema=None) as batch_op:
        batch_op.create_index(
            "schedules_due",
            ["fire_us", "project", "schedule_id"],
            unique=False,
            sqlite_where=sa.text("fire_us IS NOT NULL"),
            postgresql_where=sa.text("fire_us IS NOT NULL"),
        )
        batch_op.create_index(
            "schedules_waiting",
            ["project", "schedule_id"],
            unique=False,
            sqlite_where=sa.text("waiting_us IS NOT NULL"),
            postgresql_where=sa.text("waiting_us IS NOT NULL"),
        )
        batch_op.create_index(
            "schedules_decided",
            ["decided_us"],
            unique=False,
            sqlite_where=sa.text("fire_us IS NOT NULL"),
            postgresql_where=sa.text("fire_us IS NOT NULL"),
        )


def downgrade() -> None:
    """Refuse: a database goes forward only; restore the backup instead."""
    raise RuntimeError("restore the backup that the migration made")
