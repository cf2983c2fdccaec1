"""Tables of the ``control`` schema: what users defined and asked for, and what the API projects from events.

The API writes them. Scanner and executor read a run's definition from here (``definitions.py``), and put their
events into the outbox.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from libs.common.storage.metadata import metadata

SCHEMA = "control"

ingestion = Table(
    "ingestion",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("status", Text, nullable=False, comment="draft, active, paused or error"),
    Column("generation", Integer, nullable=False, server_default="1", comment="grows with every refresh"),
    Column("definition_version", Integer, nullable=False, server_default="1"),
    Column("definition", JSONB, nullable=False, comment="contracts.definition.Definition, without secrets"),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("deleted_at", DateTime(timezone=True), comment="set instead of removing the row: the ledger refers to it"),
    Column("building", Uuid, comment="the refresh whose table is built aside: runs load that one"),
    Index("ix_ingestion_tenant_created", "tenant_id", "created_at"),
    schema=SCHEMA,
)

secret = Table(
    "secret",
    metadata,
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="AES-GCM: nonce, then ciphertext; see secrets.py"),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    schema=SCHEMA,
)

run = Table(
    "run",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="accepted"),
    Column("seq", Integer, nullable=False, server_default="0", comment="highest run-status seq folded in"),
    Column("definition_version", Integer, nullable=False),
    Column("definition", JSONB, nullable=False, comment="frozen when the run was accepted"),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("snapshots", ARRAY(BigInteger), nullable=False, server_default=text("'{}'::bigint[]")),
    Column("warnings", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("dispatched_at", DateTime(timezone=True), comment="null while queued behind the active run"),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("cancel_requested_at", DateTime(timezone=True), comment="it ends when its batches have burned"),
    Column("retry_of", Uuid, ForeignKey("control.run.id"), comment="only what failed in that run is read"),
    Column("lane", Text, nullable=False, server_default="fresh", comment="fresh or backfill"),
    Column(
        "scope",
        JSONB(none_as_null=True),
        comment="contracts.scope.Scope: what of the source is read; null: all that is new",
    ),
    Column("predicted", JSONB(none_as_null=True), comment="what its plan said of it"),
    Column("tick_at", DateTime(timezone=True), comment="the tick of the schedule that asked for it"),
    # However many replicas see a tick, it has one run.
    Index("uq_run_tick", "ingestion_id", "tick_at", unique=True, postgresql_where=text("tick_at IS NOT NULL")),
    Column("revision", Integer, nullable=False, server_default="0", comment="of its state, as told on run-state"),
    # The two rules of the queue, where no race can break them: in each lane one active run, one waiting.
    Index(
        "uq_run_active",
        "ingestion_id",
        "lane",
        unique=True,
        postgresql_where=text("ended_at IS NULL AND dispatched_at IS NOT NULL"),
    ),
    Index(
        "uq_run_queued",
        "ingestion_id",
        "lane",
        unique=True,
        postgresql_where=text("ended_at IS NULL AND dispatched_at IS NULL"),
    ),
    Index("ix_run_ingestion_created", "ingestion_id", "created_at"),
    schema=SCHEMA,
)

schedule = Table(
    "schedule",
    metadata,
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), primary_key=True),
    Column("tick_at", DateTime(timezone=True), nullable=False, comment="the first tick that nothing was done about"),
    Column("due_at", DateTime(timezone=True), nullable=False, index=True, comment="when it is looked at"),
    Column("blocked_by", Text, comment="code of the reason why its run could not start so far"),
    schema=SCHEMA,
    comment="The next tick of each ingestion that goes by the clock.",
)

refresh = Table(
    "refresh",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), nullable=False),
    Column("mode", Text, nullable=False, comment="contracts.events.RefreshMode"),
    Column("undoes", Uuid, ForeignKey("control.refresh.id"), comment="the refresh whose old table comes back"),
    Column("auto_run", Boolean, nullable=False),
    Column("status", Text, nullable=False, server_default="accepted", comment="accepted, success or failed"),
    Column("from_generation", Integer, nullable=False),
    Column("to_generation", Integer, nullable=False),
    Column("definition", JSONB, nullable=False, comment="frozen when the refresh was accepted"),
    Column("impact", JSONB, nullable=False, comment="as estimated then"),
    Column("notes", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("phase", Text, nullable=False, server_default="requested", comment="how far it was when it last failed"),
    Column("problem", JSONB, comment="contracts.events.Problem: why it is not done"),
    Column("kept_as", Text, comment="where the old table is now"),
    Column("files_loaded_before", Integer),
    Column("files_kept", Integer),
    Column("plan_id", Uuid, comment="its run loads the files of this plan"),
    Column("run_id", Uuid, ForeignKey("control.run.id"), comment="the run that it asked for"),
    Column("strategy", Text, nullable=False, server_default="drop", comment="drop or swap"),
    Column(
        "completes",
        Uuid,
        ForeignKey("control.refresh.id"),
        comment="the refresh whose built table takes the old one's place",
    ),
    Column("builds", Text, comment="the table that is built aside"),
    Column("replaced_snapshot", BigInteger, comment="the snapshot whose rows gave way; -1: the table had none"),
    Column("row_count", BigInteger, comment="of the rows that took their place"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("told_at", DateTime(timezone=True), comment="when the executor said what is known of it"),
    Column("ended_at", DateTime(timezone=True)),
    Index("uq_refresh_active", "ingestion_id", unique=True, postgresql_where=text("ended_at IS NULL")),
    schema=SCHEMA,
)

run_error = Table(
    "run_error",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("run_id", Uuid, ForeignKey("control.run.id"), nullable=False),
    Column("error_type", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("hint", Text, nullable=False, server_default=""),
    Column("file", Text, nullable=False, server_default=""),
    Column("line", BigInteger),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    # An event that comes twice must not double its problems. The message may be long: its digest is the key.
    Index(
        "uq_run_error_problem",
        "run_id",
        "error_type",
        text("md5(file)"),
        "line",
        text("md5(message)"),
        unique=True,
        postgresql_nulls_not_distinct=True,
    ),
    schema=SCHEMA,
)

reconciliation = Table(
    "reconciliation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), nullable=False),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="audit, rebuild or fill"),
    Column("options", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("generation", Integer, nullable=False),
    Column("definition", JSONB, nullable=False, comment="frozen when it was asked for"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    schema=SCHEMA,
    comment="Audits, ledger rebuilds and fills of columns that users asked for; ledger.audit says what became of each.",
)

expected_rule = Table(
    "expected_rule",
    metadata,
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), primary_key=True),
    Column("rule", Text, primary_key=True, comment="name in quality.expected_arrivals"),
    Column("judged_until", DateTime(timezone=True), nullable=False, comment="periods that ended by then are judged"),
    schema=SCHEMA,
    comment="How far each rule about files that should come was judged.",
)

missed_arrival = Table(
    "missed_arrival",
    metadata,
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("begins", DateTime(timezone=True), primary_key=True),
    Column("ends", DateTime(timezone=True), nullable=False),
    Column("pattern", Text, nullable=False, comment="of the period's keys, below the source's path"),
    Column("at_least", Integer, nullable=False),
    Column("found", Integer, nullable=False, comment="files that were there when it was looked at last"),
    Column("missed_at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Column("looked_at", DateTime(timezone=True), comment="somebody looked again, or is about to"),
    Column("arrived_at", DateTime(timezone=True), comment="null while files are missing"),
    Index("ix_missed_arrival_open", "looked_at", postgresql_where=text("arrived_at IS NULL")),
    schema=SCHEMA,
    comment="Periods whose expected files did not come in time. Each was told once.",
)

cluster_check = Table(
    "cluster_check",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("cluster_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    schema=SCHEMA,
    comment="Connection tests that users asked for; ledger.cluster_check says what was found.",
)

webhook = Table(
    "webhook",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("ingestion_id", Uuid, ForeignKey("control.ingestion.id"), comment="null: all ingestions of the tenant"),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("sealed", LargeBinary, nullable=False, comment="the secret that signs, as in control.secret"),
    Column("status", Text, nullable=False, server_default="active", comment="active or disabled"),
    Column("disabled_reason", Text),
    Column("failing_since", DateTime(timezone=True), comment="the first failure after the latest success"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_webhook_tenant_created", "tenant_id", "created_at"),
    schema=SCHEMA,
    comment="Addresses that want to be told what happens.",
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", Uuid, primary_key=True, comment="the event's id, and the webhook-id that receivers see"),
    Column("webhook_id", Uuid, ForeignKey("control.webhook.id", ondelete="CASCADE"), nullable=False),
    Column("event_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="a CloudEvent, sent byte by byte as it is here"),
    Column("state", Text, nullable=False, server_default="waiting", comment="waiting, delivered or dead"),
    Column("token", BigInteger, nullable=False, server_default="0", comment="fencing: grows with every claim"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="since it was last asked for"),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now(), comment="or: leased until"),
    Column("last_status", Integer, comment="what the receiver answered"),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("ended_at", DateTime(timezone=True), index=True),
    Index("ix_webhook_delivery_due", "webhook_id", "due_at", postgresql_where=text("state = 'waiting'")),
    Index("ix_webhook_delivery_created", "webhook_id", "created_at"),
    schema=SCHEMA,
    comment="What webhooks are told; a row is there before anything is sent.",
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    schema=SCHEMA,
    comment="Messages that are true but not sent yet; the relay deletes a row once the broker has it.",
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    schema=SCHEMA,
    comment="Event ids that a consumer has already taken in, with its effect, in one transaction.",
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False, comment="sha256 of method, path and body"),
    Column("status", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now(), index=True),
    schema=SCHEMA,
    comment="Answers given to POSTs that carried an Idempotency-Key.",
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("tenant_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False, comment="ingestion.created, ingestion.updated, run.requested, …"),
    Column("subject_id", Uuid, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("destructive", Boolean, nullable=False, server_default=text("false")),
    schema=SCHEMA,
    comment="Who changed what, and when.",
)
