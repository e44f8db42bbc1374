"""The tables of the casework database; times are microseconds since 1970, UTC, unless the name says minutes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite only numbers rows by itself in a column declared INTEGER.
Serial = BigInteger().with_variant(Integer, "sqlite")


class Line(TypeDecorator[str]):
    """Text from anywhere: what no database takes, NUL and lone surrogates, becomes the replacement character.

    One such character in a summary would otherwise make its batch fail for ever.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is sent to the database."""
        if value is None or (value.isascii() and "\0" not in value):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """The root of all tables; constraints have names so that a later migration can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 -- SQLAlchemy reads it as a plain attribute
        int: BigInteger(),
        str: Line(),
        bytes: LargeBinary(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class AlertRow(Base):
    """One alert; its samples, tags, span and comments are rows of their own.

    ``rule_details`` holds the names that the rule set, which no action may overwrite; ``news`` how many events came
    since it was acknowledged; ``occasions`` the number of its last outbox entry; ``recovered_us`` when events came
    back, of a silence.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_created", "staged", "created_us", "id"),
        Index("ix_alerts_rule_created", "staged", "rule", "created_us", "id"),
        Index("ix_alerts_status_created", "staged", "status", "created_us", "id"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    rule: Mapped[str]
    rule_version: Mapped[str]
    group_field: Mapped[str | None]
    group_value: Mapped[str | None]
    created_us: Mapped[int]
    first_us: Mapped[int]
    first_id: Mapped[str]
    last_us: Mapped[int]
    last_id: Mapped[str]
    group_for_us: Mapped[int]
    group_max_us: Mapped[int]
    severity: Mapped[str] = mapped_column(String(16))
    original_severity: Mapped[str] = mapped_column(String(16))
    category: Mapped[str]
    summary: Mapped[str]
    tags: Mapped[list[str]]
    attack: Mapped[list[str]]
    count: Mapped[int]
    news: Mapped[int] = mapped_column(default=0)
    details: Mapped[dict[str, Any]]
    rule_details: Mapped[list[str]]
    url: Mapped[str]
    channel: Mapped[str]
    notify: Mapped[bool | None]
    status: Mapped[str] = mapped_column(String(16))
    acknowledged_us: Mapped[int | None]
    acknowledged_by: Mapped[str | None]
    assignee: Mapped[str | None]
    verdict: Mapped[str | None] = mapped_column(String(16))
    verdict_reason: Mapped[str | None]
    errors: Mapped[list[str]]
    links: Mapped[list[str]]
    occasions: Mapped[int] = mapped_column(default=0)
    extended_us: Mapped[int | None]
    staged: Mapped[bool] = mapped_column(default=False, server_default=false())
    recovered_us: Mapped[int | None]


class SampleRow(Base):
    """An event kept with an alert, as it was when the alert was raised."""

    __tablename__ = "alert_samples"

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), primary_key=True)
    us: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[bytes]


class TagRow(Base):
    """A tag of an alert, for the filter of the list."""

    __tablename__ = "alert_tags"

    tag: Mapped[str] = mapped_column(primary_key=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), primary_key=True)


class CommentRow(Base):
    """What somebody wrote about an alert."""

    __tablename__ = "alert_comments"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 -- as above

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), index=True)
    author: Mapped[str]
    at_us: Mapped[int]
    text: Mapped[str]
    edited_us: Mapped[int | None]


class SpanRow(Base):
    """What an alert has consumed: every matching event of its rule and group between two moments, both included.

    ``rule`` is the rule's key in the ledger, so that what is tried out consumes nothing of what is live.
    """

    __tablename__ = "spans"
    __table_args__ = (
        Index("ix_spans_consumed", "rule", "group_value", "last_us", "last_id", "first_us", "first_id"),
        Index("ix_spans_rule_last", "rule", "last_us"),
    )

    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), primary_key=True)
    rule: Mapped[str]
    rule_version: Mapped[str]
    group_value: Mapped[str]
    first_us: Mapped[int]
    first_id: Mapped[str]
    last_us: Mapped[int]
    last_id: Mapped[str]
    closed_us: Mapped[int | None] = mapped_column(index=True)


class OutboxRow(Base):
    """An alert and an occasion that the action plugins have not all dealt with; done ones are deleted.

    ``started_us`` is set when it was expanded into one task per enabled plugin.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_waiting", "started_us", "due_us"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.id"), index=True)
    occasion: Mapped[str] = mapped_column(String(16))
    ordinal: Mapped[int]
    due_us: Mapped[int]
    started_us: Mapped[int | None]


class TaskRow(Base):
    """One plugin's part of an outbox entry. It may be taken when ``ready_us`` is past: due time or end of a lease."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("ix_tasks_ready", "finished", "ready_us", "outbox_id", "position"),
        Index("ix_tasks_order", "alert_id", "plugin", "outbox_id"),
    )

    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)
    alert_id: Mapped[str] = mapped_column(String(64))
    plugin: Mapped[str]
    enriches: Mapped[bool]
    attempt: Mapped[int] = mapped_column(default=0)
    ready_us: Mapped[int]
    waiting: Mapped[bool] = mapped_column(default=False)
    finished: Mapped[bool] = mapped_column(default=False)


class OwedRow(Base):
    """A range of event ids that a stream rule has not seen; ``version`` rises when the range grows."""

    __tablename__ = "owed_spans"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012 -- as above

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    rule: Mapped[str] = mapped_column(index=True)
    first: Mapped[str]
    last: Mapped[str]
    reason: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)
    failures: Mapped[int] = mapped_column(default=0)
    due_us: Mapped[int] = mapped_column(index=True)


class ArrivalRow(Base):
    """The arrival journal: the number of the last batch that brought events of this minute of detection time."""

    __tablename__ = "arrivals"

    minute: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(index=True)


class CounterRow(Base):
    """A number that only rises, such as the journal's or that of the audit trail."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[int]


class DeadLetterRow(Base):
    """An item that could not become a stored event; ``size_bytes`` is what it takes of the limit.

    ``received_bytes`` is null unless ``raw`` was cut, or may have been. The index by status also holds the size, or
    adding it up would read every ``raw``.
    """

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("ix_dead_letters_received", "received_us", "id"),
        Index("ix_dead_letters_code_received", "code", "received_us", "id"),
        Index("ix_dead_letters_input_received", "input", "received_us", "id"),
        Index("ix_dead_letters_kept", "status", "received_us", "id", "size_bytes"),
    )

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_us: Mapped[int]
    input: Mapped[str]
    origin: Mapped[dict[str, Any]]
    stage: Mapped[str] = mapped_column(String(16))
    code: Mapped[str]
    reason: Mapped[str]
    plugin: Mapped[str | None]
    raw: Mapped[bytes]
    size_bytes: Mapped[int]
    attempts: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    replayed_as: Mapped[list[str]]
    fields: Mapped[dict[str, Any]]
    sender_id: Mapped[str | None]
    received_bytes: Mapped[int | None]


class StateRow(Base):
    """A state document: the newest of its collection and id."""

    __tablename__ = "state_documents"

    collection: Mapped[str] = mapped_column(String(128), primary_key=True)
    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    time_us: Mapped[int]
    document: Mapped[dict[str, Any]]


class TokenRow(Base):
    """An API token; of its secret only the SHA-256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    label: Mapped[str] = mapped_column(String(128), unique=True)
    owner: Mapped[str]
    scopes: Mapped[list[str]]
    created_us: Mapped[int]
    expires_us: Mapped[int]
    revoked_us: Mapped[int | None]
    used_us: Mapped[int | None]


class AuditRow(Base):
    """One entry of the audit trail; ``hash`` covers all other columns and the hash of the entry before."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_object", "object_type", "object_id", "number"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at_us: Mapped[int]
    actor: Mapped[str]
    actor_kind: Mapped[str] = mapped_column(String(16))
    address: Mapped[str | None]
    request: Mapped[str | None]
    action: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str]
    field: Mapped[str | None]
    before: Mapped[str | None]
    after: Mapped[str | None]
    hash: Mapped[str] = mapped_column(String(64))


class ProcessRow(Base):
    """What a process last said about itself."""

    __tablename__ = "process_health"

    role: Mapped[str] = mapped_column(String(32), primary_key=True)
    process: Mapped[str] = mapped_column(String(128), primary_key=True)
    heartbeat_us: Mapped[int]
    counters: Mapped[dict[str, Any]]


class LivenessRow(Base):
    """A minute since 1970 in which a part of the way in was up and listening."""

    __tablename__ = "liveness"

    minute: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    part: Mapped[str] = mapped_column(String(128), primary_key=True)
