"""``mozdef status``: how the service does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mozdef_core.services.terminal import config_option, configured, json_option, print_json, print_table

_SILENT_S = 10


@click.command()
@config_option
@json_option
def command(config: Path | None, as_json: bool) -> None:
    """Show processes, queue, store, inputs, plugins and dead letters; exit status 1 when something is wrong."""
    settings = configured(config)
    document = gather(settings)
    if as_json:
        print_json(document)
    else:
        _show(document)
    sys.exit(1 if document["troubles"] else 0)


def gather(settings: Any) -> dict[str, Any]:
    """Return what is known about the service, and under ``troubles`` what is wrong with it."""
    from mozdef_core.casework import dead_letters, processes
    from mozdef_core.errors import QueueError, StoreUnavailableError
    from mozdef_core.event import now_us
    from mozdef_core.services.compose import open_book, open_queue, open_store

    troubles: list[str] = []
    book = open_book(settings)
    with book.database.read() as session:
        reports = processes.reports(session)
        letters = dict(dead_letters.counts(session))
    book.close()
    now = now_us()
    alive = {
        report.role: report
        for report in reversed(reports)
        if now - report.heartbeat_us < _SILENT_S * 1_000_000
    }
    troubles += [f"the {role} does not run" for role in ("web", "worker", "scheduler") if role not in alive]
    document: dict[str, Any] = {
        "processes": [
            {"role": report.role, "process": report.process, "silent_s": (now - report.heartbeat_us) / 1e6}
            for report in alive.values()
        ],
        "dead_letters": letters,
        "plugins": {},
        "inputs": {},
        "requests": {},
        "rules": {},
    }
    try:
        queue = open_queue(settings)
        depth = queue.depth()
        queue.close()
        waits_s = None if depth.oldest_us is None else (now - depth.oldest_us) / 1e6
        document["queue"] = {"items": depth.items, "size_bytes": depth.size_bytes, "limit_bytes": depth.limit_bytes,
                             "oldest_s": waits_s}  # fmt: skip
        if depth.size_bytes >= depth.limit_bytes:
            troubles.append("the queue is full; senders are held back")
    except QueueError as error:
        troubles.append(str(error))
    try:
        store = open_store(settings, "reader")
        document["store"] = store.status()._asdict()
        store.close()
    except StoreUnavailableError as error:
        troubles.append(str(error))
    for role, report in alive.items():
        counters = report.counters
        document["requests"].update(counters.get("requests", {}))
        document["inputs"].update(counters.get("inputs", {}))
        if "removed" in counters:
            document["removed"] = counters["removed"]
            if counters["removed"]["lost"]:
                troubles.append(
                    f"{counters['removed']['lost']} open dead letters were lost by age or size since the {role}"
                    " started; look at them more often, or raise the limits in [retention.dead_letters]"
                )
        if counters.get("quota"):
            document["quota"] = counters["quota"]
            if counters["quota"]["trouble"]:
                troubles.append(counters["quota"]["trouble"])
        if "worker" in counters:
            document["worker"] = counters["worker"]
            if counters["worker"]["last_error"]:
                troubles.append(f"the worker waits: {counters['worker']['last_error']}")
        document["rules"].update(counters.get("rules", {}))
        for name, health in counters.get("plugins", {}).items():
            if health["calls"] or health["suspended"] or name not in document["plugins"]:
                document["plugins"][name] = {"role": role, **health}
            if health["suspended"]:
                troubles.append(f"plugin {name} is suspended in the {role}: {health['reason']}")
    for name, state in document["inputs"].items():
        if not state["running"]:
            troubles.append(f"input {name} does not run: {state['last_error']}")
    troubles += [text for name, state in document["rules"].items() if (text := _rule_trouble(name, state))]
    if letters.get("open"):
        troubles.append(f"{letters['open']} dead letters are open; see 'mozdef dead-letters list'")
    document["troubles"] = troubles
    return document


def _rule_word(state: dict[str, Any]) -> str:
    words = (("quarantine", "quarantine"), ("last_error", "fails"), ("late", "late"))
    return next((word for key, word in words if state[key]), "")


def _rule_trouble(name: str, state: dict[str, Any]) -> str:
    """Return what is wrong with a rule on a schedule; nothing when it does well."""
    if state["quarantine"]:
        return f"rule {name} is in quarantine and tried each hour: {state['quarantine']}"
    if state["last_error"]:
        return f"rule {name} fails: {state['last_error']}"
    return f"rule {name} is late" if state["late"] else ""


def _show(document: dict[str, Any]) -> None:
    from mozdef_core.event import now_us

    click.echo(
        "processes  "
        + (", ".join(f"{one['role']} ({one['process']})" for one in document["processes"]) or "none")
    )
    for part in ("queue", "store", "worker", "requests", "dead_letters", "removed", "quota"):
        if document.get(part):
            click.echo(
                f"{part:<10} " + ", ".join(f"{name} {value}" for name, value in document[part].items())
            )
    for name, state in document["inputs"].items():
        click.echo(f"input {name}: " + ", ".join(f"{key} {value}" for key, value in state.items()))
    rows = (
        [name, health["role"], health["calls"], health["changed"], health["errors"],
         f"{1e6 * health['total_s'] / health['calls']:.1f}" if health["calls"] else "",
         "suspended" if health["suspended"] else ""]
        for name, health in document["plugins"].items()
    )  # fmt: skip
    print_table(("plugin", "role", "calls", "changed", "errors", "us/call", ""), rows)
    if document["rules"]:
        now = now_us()
        rows = (
            [name, f"{(now - state['last_run_us']) / 1e6:.0f}" if state["last_run_us"] else "",
             f"{state['last_s']:.2f}", f"{state['cpu_s']:.1f}", state["runs"], state["events"], state["alerts"],
             _rule_word(state)]
            for name, state in document["rules"].items()
        )  # fmt: skip
        print_table(("rule", "s ago", "took s", "cpu s/h", "runs", "events", "alerts", ""), rows)
    for trouble in document["troubles"]:
        click.echo(f"trouble: {trouble}")
