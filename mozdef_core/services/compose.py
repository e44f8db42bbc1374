"""Composition: open what a configuration names, so that roles and commands only use it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import orjson

from mozdef_core import discovery
from mozdef_core.config import Config
from mozdef_core.errors import ConfigError
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin, contain
from mozdef_core.inflight import InFlight, path_of, remove_stale
from mozdef_core.ports import EventStore, Queue, Scheduler
from mozdef_core.services.listed_store import ListedStore
from mozdef_core.services.rule_books import LazyLists
from mozdef_core.services.rulebook import RuleLoader
from mozdef_core.services.rules_in_force import RulesInForce
from mozdef_core.site import Site

if TYPE_CHECKING:
    from mozdef_core.casework.block_guard import BlockGuard
    from mozdef_core.casework.book import SqlBook


def _driver(group: str, name: str, table: Mapping[str, Any], where: str) -> tuple[type[Any], Any]:
    cls = discovery.load_driver(group, name)
    return cls, discovery.options_of(cls, table, where)


def open_queue(config: Config) -> Queue:
    """Open the queue; what ``[core]`` says of it holds unless the driver's own table says otherwise."""
    name = config.core.queue
    table = {
        "limit_bytes": config.core.queue_limit_bytes,
        "sender_id_window_s": config.core.sender_id_window.total_seconds(),
        **config.queue.get(name, {}),
    }
    cls, options = _driver("mozdef.queues", name, table, f"queue.{name}")
    config.data_dir.mkdir(parents=True, exist_ok=True)
    return cast(Queue, cls(options, config.data_dir / "queue.sqlite"))


def open_store(config: Config, mode: Literal["writer", "reader"]) -> EventStore:
    """Open the event store; one process of a data directory may be its writer. Lists in queries are looked up."""
    name = config.core.store
    cls, options = _driver("mozdef.stores", name, config.store.get(name, {}), f"store.{name}")
    config.data_dir.mkdir(parents=True, exist_ok=True)
    store = cast(EventStore, cls(options, config.data_dir / "events", mode))
    return ListedStore(store, LazyLists(lambda: open_book(config).database))


def open_scheduler(config: Config, threads: int | None = None) -> Scheduler:
    """Make a scheduler.

    :param threads: how many jobs may run at the same time, if the driver leaves that to us.
    """
    name = config.core.scheduler
    cls, options = _driver("mozdef.schedulers", name, config.scheduler.get(name, {}), f"scheduler.{name}")
    if threads is not None and "threads" in type(options).model_fields:
        options = options.model_copy(update={"threads": threads})
    return cast(Scheduler, cls(options))


def open_book(config: Config) -> SqlBook:
    """Open the casework database, after bringing it to the schema of this version."""
    from mozdef_core.casework.book import SqlBook  # 34 MB of SQLAlchemy: only for who needs it
    from mozdef_core.casework.migration import upgrade

    config.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(config.database_url)
    return SqlBook(config.database_url, guard=open_guard(config))


def open_guard(config: Config) -> BlockGuard:
    """Make what decides which addresses may be blocked."""
    from mozdef_core.casework.block_guard import BlockGuard
    from mozdef_core.services.own_addresses import own_addresses

    file = config.blocks.network_whitelist_file
    path = None if file is None else config.resolve(file)
    return BlockGuard(config.blocks.whitelist_networks, path, own_addresses())


class Enabled(NamedTuple):
    """The enabled plugins and rules that can be made.

    :param problems: what is wrong with the others, so that nothing can start.
    :param warnings: what is wrong with rules in files, which keep nothing from starting.
    """

    plugins: list[Plugin]
    problems: list[str]
    warnings: list[str]


def find_enabled(config: Config) -> tuple[list[Plugin], list[str]]:
    """Make those enabled plugins and rules that can be made, and say what is wrong with the others, files apart."""
    found = find_all(config)
    return found.plugins, found.problems


def find_all(config: Config) -> Enabled:
    """Make those enabled plugins and rules that can be made, and say what is wrong with the others."""
    plugins, problems = discovery.find_plugins(config)
    loaded = RuleLoader(config, [plugin.name for plugin in plugins]).load({})
    rules = [rule.plugin for rule in loaded.rules if rule.enabled and rule.plugin is not None]
    return Enabled([*plugins, *rules], [*problems, *loaded.problems], list(loaded.warnings))


def open_host(config: Config, role: str) -> Host:
    """Make the enabled plugins, and the host that calls them; rules have one of their own (:func:`open_rules`).

    A plugin whose call hung, so that the supervisor ended the process before this one, starts suspended.
    The host is to be closed by :func:`close_host`.

    :param role: names, with the process, the file in which a supervisor sees the calls in flight.
    :raises ConfigError: with every problem of every plugin.
    """
    plugins, problems = discovery.find_plugins(config)
    if problems:
        raise ConfigError(problems)
    directory = _run_dir(config)
    directory.mkdir(parents=True, exist_ok=True)
    remove_stale(directory)
    limits = config.health.limits()
    if role == "scheduler":  # a run over a span of the store may take longer than one over a batch
        limits = replace(limits, calls={**limits.calls, "alert_match": config.detection.stuck_s})
    health = Health(limits, InFlight(path_of(directory, role, os.getpid())))
    host = Host(plugins, health)
    ended = _ended_path(config, role, os.getppid())
    if ended.exists():
        name = ended.read_text(encoding="utf-8")
        ended.unlink()
        health.suspend(name, "a call hung and was ended from outside")
    return host


def open_rules(config: Config, host: Host, book: SqlBook) -> RulesInForce:
    """Make the rules that are enabled, which are made again when files or settings change.

    :param host: of the plugins; rules are suspended and counted with them.
    :raises ConfigError: an installed rule cannot be made.
    """
    return RulesInForce(config, host, book.database)


def lend_site(host: Host, site: Site) -> None:
    """Hand the site to the plugins that have a method ``use_site``.

    :raises ConfigError: a plugin refuses it.
    """
    problems = []
    for plugin in host.plugins:
        use = getattr(plugin.instance, "use_site", None)
        if callable(use) and (error := contain(use, site).error) is not None:
            problems.append(f"plugin.{plugin.name}: use_site failed: {type(error).__name__}: {error}")
    if problems:
        raise ConfigError(problems)


def close_host(host: Host) -> None:
    """Close the plugins and what the host publishes."""
    host.close()
    if host.health.in_flight is not None:
        host.health.in_flight.close()


def in_flight_path(config: Config, role: str, process: int) -> Path:
    """Return the file in which the process that fills a role publishes the plugin calls that are running."""
    return path_of(_run_dir(config), role, process)


def _run_dir(config: Config) -> Path:
    return config.data_dir / "run"


def _ended_path(config: Config, role: str, supervisor: int) -> Path:
    """Return the file by which a supervisor, known by its process id, tells the next child of a role what hung."""
    return _run_dir(config) / f"{role}.{supervisor}.suspend"


def suspend_at_start(config: Config, role: str, plugin: str) -> None:
    """Have the next child that this process starts for a role begin with a plugin suspended."""
    _ended_path(config, role, os.getpid()).write_text(plugin, encoding="utf-8")


class _JsonLines(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(document).decode()


def configure_logging(config: Config) -> None:
    """Send log records to standard error, as text or as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(processName)s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if config.core.log == "json" else text)
    logging.basicConfig(level=config.core.log_level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
