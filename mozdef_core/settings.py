"""The settings: what each table of the configuration may hold, with its defaults."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mozdef_core.block_settings import BlockSettings
from mozdef_core.health import Limits
from mozdef_core.normalise import EntranceSettings
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.options import Duration, Secret
from mozdef_core.ports import Keep
from mozdef_core.ports.book import CATCH_UP_MAX
from mozdef_core.setting_values import DURATION, Address, DatabaseUrl, Kept, Settings, Size

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class CoreSettings(Settings):
    """``[core]``: which drivers are used, and where this node keeps its data."""

    store: str = Field(
        default="tantivy", description="where events are kept: a driver of the group mozdef.stores"
    )
    queue: str = Field(
        default="sqlite", description="where accepted items wait: a driver of the group mozdef.queues"
    )
    scheduler: str = Field(
        default="local", description="what runs jobs: a driver of the group mozdef.schedulers"
    )
    data_dir: Path = Field(
        default=Path("var"), description="directory of all data; relative to the configuration file"
    )
    node: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=255,
        description="name of this machine in events",
    )
    database: DatabaseUrl | None = Field(
        default=None, description="URL of the casework database; unset: a SQLite file in data_dir"
    )
    log: Literal["text", "json"] = Field("text", description="form of log records on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    queue_limit_bytes: Size = Field(
        default=2**30, gt=0, description="how much may wait before senders are held back"
    )
    sender_id_window: Duration = Field(
        default=timedelta(hours=1),
        description="how long a sender's own id of an item is remembered, so that a repeat is known",
    )


class WebSettings(Settings):
    """``[web]``: the web server, which is also the HTTP entrance."""

    listen: Address = Field(default="127.0.0.1:8080", description="host:port to listen on")
    workers: int = Field(default=1, ge=1, le=64, description="server processes")
    threads: int = Field(default=32, ge=1, le=1024, description="threads of each server process")
    searches: int = Field(
        default=2,
        ge=1,
        le=64,
        description="questions to the event store that each server process works on at a time, in threads of their "
        "own; more are answered 503",
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file of the certificate chain; with tls_key"
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the private key; with tls_certificate"
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="PEM file of the authorities whose certificates clients must have; such a client needs no token",
    )
    open: bool = Field(
        default=False, description="accept events without a token on other than loopback addresses"
    )
    max_body_bytes: Size = Field(
        default=32 * 2**20, gt=0, description="largest request body, after decompression"
    )
    body_timeout: Duration = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="within what time a request body must arrive; what has arrived of it buys more",
    )
    body_rate_bytes: Size = Field(
        default=4096,
        gt=0,
        description="so many bytes of a body that have arrived buy one second more; a slower one is answered 408",
    )
    body_memory_bytes: Size = Field(
        default=256 * 2**20,
        gt=0,
        description="most memory that bodies take together in one server process, at least max_body_bytes; "
        "beyond it the one that arrives slowest is answered 503",
    )
    idle_timeout: Duration = Field(
        default=timedelta(seconds=60),
        ge=timedelta(seconds=1),
        description="a connection on which no whole head of a request arrives for so long is closed",
    )
    max_items: int = Field(default=10_000, ge=1, description="most items in one request")

    @property
    def host(self) -> str:
        """The host part of ``listen``, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of ``listen``."""
        return int(self.listen.rpartition(":")[2])

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK or self.host.startswith("127.")


class Entrance(EntranceSettings):
    """``[entrance.<name>]``: how what comes in there is read, and how its sender is answered."""

    open: bool = Field(
        default=False, description="accept items without a token although it listens beyond loopback"
    )
    partial_status: Literal[200, 400] = Field(
        default=400, description="HTTP status when only some items of a request are valid"
    )
    keep_rejected: bool = Field(default=True, description="keep rejected HTTP items as dead letters")
    rate_limit: int | None = Field(
        default=None,
        ge=0,
        description="events per second that one token, or without a token one address, may send to one server "
        "process; beyond it the answer is 429 with Retry-After; 0 for no limit; unset: 20000 for each token",
    )
    rate_burst: int | None = Field(
        default=None, ge=1, description="events that may come at once; unset: ten times rate_limit"
    )


class HealthSettings(Settings):
    """``[health]``: when a plugin is suspended, and what is told of. Limits of calls are in seconds of elapsed time."""

    on_event_s: float = Field(default=0.1, gt=0, description="limit of one on_event call")
    enrich_s: float = Field(default=0.1, gt=0, description="limit of one enrich call")
    alert_match_s: float = Field(default=10, gt=0, description="limit of one alert_match call")
    alert_action_s: float = Field(default=30, gt=0, description="limit of one alert_action call")
    failures: int = Field(default=5, ge=1, description="so many failures in a row suspend a plugin")
    suspend_s: float = Field(
        default=30, gt=0, description="first suspension; each further one is twice as long"
    )
    suspend_max_s: float = Field(default=600, gt=0, description="longest suspension")
    budget_window_s: float = Field(
        default=60, gt=0, description="span over which a plugin's time is added up"
    )
    budget_share: float = Field(
        default=0.5, gt=0, le=1, description="share of that span which slow calls may take together"
    )
    stuck_s: float = Field(default=30, gt=0, description="a call that runs longer is ended from outside")
    queue_age_s: float = Field(
        default=300,
        gt=0,
        description="how long an item may wait in the queue before mozdef_health tells of it",
    )
    disk_share: float = Field(
        default=0.9, gt=0, le=1, description="how full the disk may be before mozdef_health tells of it"
    )
    heartbeat_url: Secret | None = Field(
        default=None,
        description="called each minute while what is received is also stored, so that a watchdog elsewhere knows; "
        "written as 'env:NAME' or 'file:/path', since it may hold a key",
    )

    def limits(self) -> Limits:
        """Return what the health of plugins is judged by."""
        calls = {
            hook: getattr(self, f"{hook}_s") for hook in ("on_event", "enrich", "alert_match", "alert_action")
        }
        return Limits(
            calls=calls,
            failures=self.failures,
            suspend_s=self.suspend_s,
            suspend_max_s=self.suspend_max_s,
            budget_window_s=self.budget_window_s,
            budget_share=self.budget_share,
        )


class DetectionSettings(Settings):
    """``[detection]``: what rules on a schedule may take."""

    threads: int = Field(default=4, ge=1, le=64, description="rules on a schedule that run at the same time")
    time_limit: Duration = Field(
        default=timedelta(seconds=60),
        ge=timedelta(seconds=1),
        description="a run that takes longer is too slow: after three in a row the rule is in quarantine, which is "
        "tried again each hour; one that takes twice as long is ended from outside",
    )
    catch_up_max: Duration = Field(
        default=CATCH_UP_MAX,
        gt=timedelta(0),
        le=CATCH_UP_MAX,
        description="what the rules have missed is made up for unless it is older than this",
    )

    @property
    def stuck_s(self) -> float:
        """After how many seconds a run is ended from outside."""
        return 2 * self.time_limit.total_seconds()


class LetterSettings(Settings):
    """``[retention.dead_letters]``: how long dead letters are kept, counted from their reception."""

    open: Kept = Field(
        default=timedelta(days=30),
        description="those nobody has dealt with; each that goes is counted as lost",
    )
    settled: Kept = Field(default=timedelta(days=30), description="those that were replayed or discarded")
    limit_bytes: Size = Field(
        default=2**30,
        gt=0,
        description="how much all of them may take; beyond it the oldest go, settled ones first",
    )


class QuotaSettings(Settings):
    """The keys of ``[retention]`` that are no retention class."""

    max_bytes: Size | None = Field(
        default=None,
        gt=0,
        description="a size: how much room stored events may take; beyond it the oldest days go before their time; "
        "no class can be called so",
    )


class RetentionSettings(BaseModel):
    """``[retention]``: how long events are kept, by retention class; None is for ever.

    A class that is named like a duration, such as ``3d``, is kept that long without being listed.
    """

    model_config = ConfigDict(frozen=True)

    default: timedelta | None = timedelta(days=90)
    classes: Mapping[str, timedelta | None] = Field(default_factory=dict)
    dead_letters: LetterSettings = Field(default_factory=LetterSettings)
    max_bytes: int | None = None

    def keeping(self, stored: Iterable[str] = ()) -> Keep:
        """Return how long the casework database keeps what is of no use later.

        :param stored: the retention classes that the store holds; some of them need not be listed here.
        """
        spans = [self.keep(name) for name in {"default", *self.classes, *stored}]
        events = None if None in spans else max(span for span in spans if span is not None)
        letters = self.dead_letters
        return Keep(events, letters.open, letters.settled, letters.limit_bytes)

    def keep(self, retention_class: str = "default") -> timedelta | None:
        """Return how long a class is kept from its reception on, or None for ever."""
        if retention_class in self.classes:
            return self.classes[retention_class]
        try:
            return DURATION.validate_python(retention_class)
        except ValidationError:
            return self.default


class AlertSettings(BaseModel):
    """``[alerts]``: the enabled rules, by name or glob, folders of rule files, and the options of each rule."""

    model_config = ConfigDict(frozen=True)

    enabled: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    rules: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict, repr=False)


Tables = Mapping[str, Mapping[str, Any]]


class Config(BaseModel):
    """All that an operator has decided. What stands under ``plugin``, ``input`` and drivers is still as written."""

    model_config = ConfigDict(frozen=True)

    path: Path | None = None
    plugins: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    core: CoreSettings = Field(default_factory=CoreSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    detection: DetectionSettings = Field(default_factory=DetectionSettings)
    notify: NotifySettings = Field(default_factory=NotifySettings)
    blocks: BlockSettings = Field(default_factory=BlockSettings)
    entrances: Mapping[str, Entrance] = Field(default_factory=dict)
    plugin: Tables = Field(default_factory=dict, repr=False)
    input: Tables = Field(default_factory=dict, repr=False)
    store: Tables = Field(default_factory=dict, repr=False)
    queue: Tables = Field(default_factory=dict, repr=False)
    scheduler: Tables = Field(default_factory=dict, repr=False)

    @property
    def data_dir(self) -> Path:
        """The directory of all data, absolute; a relative one lies beside the configuration file."""
        return self.resolve(self.core.data_dir)

    @property
    def database_url(self) -> str:
        """The address of the casework database; it may hold a password, so it is for SQLAlchemy only."""
        if self.core.database is not None:
            return self.core.database.reveal()
        return f"sqlite:///{self.data_dir / 'casework.db'}"

    def resolve(self, path: Path) -> Path:
        """Return a path as it is meant: relative to the directory of the configuration file."""
        return (self.path.parent if self.path is not None else Path()).absolute() / path

    def input_kind(self, name: str) -> str:
        """Return the name under which an input is installed: the key ``kind`` of its table, or its own name.

        So several inputs of one kind can run, each with its own table, name and settings.
        """
        return str(self.input.get(name, {}).get("kind", name))

    def entrance(self, name: str) -> Entrance:
        """Return the settings of an entrance; one without a table has the defaults."""
        return self.entrances.get(name) or Entrance()
