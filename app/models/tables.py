"""The tables. Every object belongs to a tenant and names the key that made it."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect


class Words(TypeDecorator[str]):
    """Text of any length without NUL, which PostgreSQL cannot store: U+FFFD stands in for it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """What is sent to the database."""
        return None if value is None else value.replace("\0", "\ufffd")


metadata = MetaData()
Serial = BigInteger().with_variant(Integer, "sqlite")


def _owner() -> list[Column[str]]:
    return [
        Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
        Column("key_id", String(64), ForeignKey("keys.id")),
    ]


tenants = Table(
    "tenants",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", Float, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the whole key
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)

files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    *_owner(),
    Column("filename", Words, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("path", Text, nullable=False),  # relative to the files folder
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Index("ix_files_tenant", "tenant_id", "created_at"),
)

cursors = Table(  # where deleted files and batches stood in their lists
    "cursors",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("place", Float, nullable=False),  # what the list is ordered by
    Column("created_at", Float, nullable=False),
    Index("ix_cursors_age", "created_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("seq", Serial, nullable=False, unique=True),
    *_owner(),
    Column("endpoint", String(64), nullable=False),
    Column("model", String(128)),
    Column("status", String(16), nullable=False),
    Column("completion_window", String(16), nullable=False),
    Column("input_file_id", String(64), nullable=False),
    Column("output_file_id", String(64)),
    Column("error_file_id", String(64)),
    Column("idempotency_key", String(255)),
    Column("request_hash", String(64), nullable=False),
    Column("errors", JSON),
    Column("metadata", JSON),
    Column("output_expires_seconds", Integer),
    Column("locale", String(16), nullable=False),
    Column("trace_id", String(64)),
    Column("lines_ingested", Integer, nullable=False, server_default="0"),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("completed", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("in_progress_at", Float),
    Column("finalizing_at", Float),
    Column("completed_at", Float),
    Column("failed_at", Float),
    Column("expired_at", Float),
    Column("cancelling_at", Float),
    Column("cancelled_at", Float),
    Column("settles", BigInteger, nullable=False, server_default="0"),  # see app.models.endings
    Column("paused_at", Float),  # since when its lines are passed over
    Column("retried_from", String(64)),  # the batch whose lines this one runs again
    Column("announced_at", Float),  # when its end was handed to the webhooks
    Column("input_sha256", String(64)),
    Column("manifest", JSON),
    Column("reused_lines", Integer, nullable=False, server_default="0"),  # see app.models.twins
    Column("reused_tokens", BigInteger, nullable=False, server_default="0"),  # of their answers
    Column(
        "tries", Integer
    ),  # of its client before this one; 0 once the first came; NULL: not told
    Column("unrun", Integer, nullable=False, server_default="0"),  # of `failed`: no worker had them
    UniqueConstraint("tenant_id", "idempotency_key", name="uq_batches_idempotency"),
    Index("ix_batches_tenant", "tenant_id", "seq"),
    Index("ix_batches_status", "status"),
    Index("ix_batches_retried", "retried_from"),
    Index("ix_batches_announced", "announced_at", "status"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    *_owner(),
    Column("metadata", JSON),
    Column("num_turns", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_sessions_tenant", "tenant_id", "created_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    *_owner(),
    Column("kind", String(16), nullable=False),
    Column("model", String(128), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),  # the fencing token
    Column("crashes", Integer, nullable=False, server_default="0"),  # attempts that killed a worker
    Column("slot", String(128)),
    Column("epoch", Integer),
    Column("request", JSON, nullable=False),
    Column("session_id", String(64), ForeignKey("sessions.id", ondelete="CASCADE")),
    Column("batch_id", String(64), ForeignKey("batches.id", ondelete="CASCADE")),
    Column("custom_id", String(256)),
    Column("line_no", Integer),
    Column("idempotency_key", String(255)),
    Column("request_hash", String(64)),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("error", JSON),  # {"code", "param", "values"}: rendered in the reader's language
    Column("metadata", JSON),
    Column("trace_id", String(64)),
    Column("created_at", Float, nullable=False),
    Column("queued_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("expires_at", Float),
    Column("parent_line", Integer),  # of the same batch: the line that this one follows on
    Column("held", Boolean, nullable=False, server_default=text("false")),  # its batch is paused
    Column("claimed_at", Float),  # when the current attempt began
    Column("ended_no", BigInteger),  # a batch's lines in the order they ended: app.models.endings
    Column("place", String(64), nullable=False, server_default=text("''")),  # see app.models.picks
    Column("twin_no", Integer),  # the first line with the same request: app.models.twins
    Column(
        "is_twin", Boolean, nullable=False, server_default=text("false")
    ),  # waits for its answer
    UniqueConstraint("batch_id", "line_no", name="uq_jobs_line"),
    # SQLite would have to build the whole table anew to lose its constraint.
    UniqueConstraint("tenant_id", "idempotency_key", name="uq_jobs_idempotency").ddl_if("sqlite"),
    Index(
        "ix_jobs_idempotency",
        *("tenant_id", "idempotency_key"),
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ).ddl_if("postgresql"),
    # On PostgreSQL these hold few rows, so that a job that changes its state is written to few.
    Index(
        "ix_jobs_claim",
        *("model", "state", "held", text("priority DESC"), "place", "seq"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_jobs_ended",
        "batch_id",
        "ended_no",
        "line_no",
        sqlite_where=text("ended_no IS NOT NULL"),
        postgresql_where=text("ended_no IS NOT NULL"),
    ),
    Index(
        "ix_jobs_twins",
        "batch_id",
        "twin_no",
        "state",
        sqlite_where=text("twin_no IS NOT NULL"),
        postgresql_where=text("twin_no IS NOT NULL"),
    ),
    Index("ix_jobs_slot", "slot", "state", postgresql_where=text("state = 'running'")),
    Index("ix_jobs_session", "session_id", "seq", postgresql_where=text("session_id IS NOT NULL")),
    Index("ix_jobs_tenant", "tenant_id", "seq"),
    Index(
        "ix_jobs_state", "state", "finished_at", postgresql_where=text("finished_at IS NOT NULL")
    ),
    sqlite_autoincrement=True,
)

results = Table(
    "results",
    metadata,
    Column(
        "job_id", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    ),  # one outcome a job, whatever happens
    Column("attempt", Integer, nullable=False),
    Column("text", Words, nullable=False),
    Column("finish_reason", String(16), nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("coding", JSON),  # of a code job: code, language, symbols, checks, instruction, context
    Column("details", JSON(none_as_null=True)),  # log-probabilities and further choices
    Column("reused_from", JSON(none_as_null=True)),  # whose answer this is: {"job_id", "custom_id"}
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("job_id", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("choice", Integer, nullable=False),
    Column("start", Integer, nullable=False),  # characters of this choice before the chunk
    Column("text", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("logprobs", JSON(none_as_null=True)),  # of the chunk's tokens, if they were asked for
    Index("ix_chunks_job", "job_id", "id"),
    Index("ix_chunks_age", "created_at"),
    sqlite_autoincrement=True,
)

turns = Table(
    "turns",
    metadata,
    Column("session_id", String(64), ForeignKey("sessions.id", ondelete="CASCADE")),
    Column("turn_no", Integer, nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("messages", JSON, nullable=False),  # what the client said in this turn
    Column("answer", Words, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("pinned", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("session_id", "turn_no", name="uq_turns"),
    Index("ix_turns_age", "created_at"),
)

symbols = Table(
    "symbols",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("session_id", String(64), ForeignKey("sessions.id", ondelete="CASCADE")),
    Column("scope", String(128)),  # shared by the tenant's sessions that name it
    Column("name", String(256), nullable=False),
    Column("kind", String(16), nullable=False),  # function | class | variable | import
    Column("language", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("signature", Text),
    Column("type", Text),
    Column("value", Text),
    Column("code", Text, nullable=False),
    Column("job_id", String(64), nullable=False),  # made it; it may be forgotten before
    Column("pinned", Boolean, nullable=False, server_default=text("false")),
    Column("is_current", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Float, nullable=False),
    Index("ix_symbols_session", "session_id", "name", "version"),
    Index("ix_symbols_scope", "tenant_id", "scope", "is_current"),
    Index("ix_symbols_age", "created_at"),
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("slot", String(128)),
    Column("epoch", Integer),
    Column("outcome", String(32), nullable=False),  # released | crashed
    Column("ended_at", Float, nullable=False),
    Column("claimed_at", Float),
    UniqueConstraint("job_id", "attempt", name="uq_attempts"),
)

evidence = Table(  # what an incarnation left that died with jobs
    "evidence",
    metadata,
    Column("slot", String(128), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("cause", String(16), nullable=False),
    Column("stacks", Words, nullable=False),
    Column("log", JSON, nullable=False),  # lines as objects
    Column("made_at", Float, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("object_id", String(64), primary_key=True),  # of a batch or job
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("url", Text, nullable=False),  # empty: of interest to the configured endpoints alone
    Column("created_at", Float, nullable=False),
    Column("announced_at", Float),
    Index("ix_webhooks_announced", "announced_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("object_id", String(64), nullable=False),
    Column("type", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("is_general", Boolean, nullable=False),  # a configured endpoint, not the client's
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("status_code", Integer),
    Column("reason", Text),
    Column("created_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("ix_deliveries_due", "state", "next_at"),
    Index("ix_deliveries_object", "object_id"),
)

workers = Table(
    "workers",
    metadata,
    Column("slot", String(128), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("model", String(128), nullable=False),
    Column("machine", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("parent_pid", Integer, nullable=False),
    Column("pulse", BigInteger, nullable=False, server_default="0"),
    Column("step", BigInteger, nullable=False, server_default="0"),
    Column("in_flight", Integer, nullable=False, server_default="0"),
    Column("in_shift", Boolean, nullable=False, server_default=text("false")),
    Column("shifts", Integer, nullable=False, server_default="0"),
    Column("model_loads_total", Integer, nullable=False, server_default="0"),
    Column("provenance", JSON),
    Column("started_at", Float, nullable=False),
    Column("pulsed_at", Float, nullable=False),
)

beats = Table(
    "beats",
    metadata,
    Column("name", String(128), primary_key=True),  # control@HOST
    Column("beaten_at", Float, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(64), ForeignKey("tenants.id"), nullable=False),
    Column("type", String(64), nullable=False),  # batch.at_risk
    Column("object_id", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("type", "object_id", name="uq_events"),  # each is said once
    Index("ix_events_created", "created_at"),
)
