"""The roles: what the worker and the scheduler process run, put together from a configuration."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any, Final

from mozdef_core import discovery
from mozdef_core.config import Config
from mozdef_core.detection import Detector
from mozdef_core.errors import QueueError
from mozdef_core.host import Host
from mozdef_core.normalise import Normaliser
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import Input, Origin, Queue
from mozdef_core.response import Responder
from mozdef_core.services import compose
from mozdef_core.services.decoders import decoder_of, decoders
from mozdef_core.services.heartbeat import Heartbeat
from mozdef_core.services.heartbeat_url import HeartbeatUrl
from mozdef_core.services.inputs import InputRunner
from mozdef_core.services.intake import QueueIntake
from mozdef_core.services.own_health import ORIGIN, OwnHealth
from mozdef_core.services.quota import Quota
from mozdef_core.services.retention import Housekeeping, Retention
from mozdef_core.services.rule_books import EXPIRE, RuleBooks
from mozdef_core.services.rules_in_force import Force
from mozdef_core.services.scheduled_rules import RuleJobs, make_runner, rule_states
from mozdef_core.services.scheduler import add_jobs
from mozdef_core.services.silent_sources import SilentSources
from mozdef_core.services.stream_rules import StreamRules
from mozdef_core.services.worker import Worker
from mozdef_core.site import Site

MINUTE: Final = timedelta(minutes=1)


def stop_on_signal() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def collect_rarely() -> None:
    """Have the collector of cyclic garbage look at what a batch allocates once, not twenty times.

    Events are trees without cycles; looking for some took a tenth of the worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _depth(queue: Queue) -> dict[str, Any]:
    """Return how much waits, or why that cannot be told now: the other counters are shown all the same."""
    try:
        return queue.depth()._asdict()
    except QueueError as error:
        return {"error": str(error)}


def _renew(renew: Callable[[Host], None], force: Force) -> None:
    """Give somebody the host of other rules."""
    renew(force.host)


def run_worker(config: Config, ready: Callable[[], None]) -> None:
    """Fill the role of the worker until SIGTERM: queue, pipeline, store, stream detection, inputs."""
    stop = stop_on_signal()
    host = compose.open_host(config, "worker")
    inputs = discovery.load_inputs(config)
    queue, book = compose.open_queue(config), compose.open_book(config)
    in_force = compose.open_rules(config, host, book)
    store = compose.open_store(config, "writer")
    rule_books = RuleBooks(book, in_force.force.host)
    in_force.listen(partial(_renew, rule_books.renew))
    detector = Detector(in_force.force.host, rule_books.lists, rule_books.exemptions)
    intakes: dict[str, QueueIntake] = {}

    def intake(name: str, source: Input[Any]) -> QueueIntake:
        intakes[name] = QueueIntake(queue, Origin(name, source.kind, decoder_of(name, source)))
        return intakes[name]

    runner = InputRunner(inputs, intake)
    quota = Quota(store, config.retention)
    normaliser = Normaliser(config.core.node, os.getpid(), host.recognisers)
    worker = Worker(
        queue,
        Pipeline(host, normaliser, decoders(inputs), config.entrances),
        detector,
        store,
        book,
        chores=[Retention(store, config.retention), quota],
        rules=StreamRules(in_force, detector, book),
    )

    def snapshot() -> dict[str, Any]:
        return {
            "worker": worker.progress.snapshot(),
            "quota": quota.snapshot(),
            "normaliser": {"failures": normaliser.failures},
            "plugins": host.health.snapshot(),
            "rulebook": in_force.snapshot(),
            "inputs": {
                name: {
                    **asdict(state),
                    **intakes[name].counters.snapshot(),
                }
                for name, state in runner.states.items()
            },
            "queue": _depth(queue),
        }

    runner.bind()
    runner.start(stop)
    with Heartbeat(book, "worker", snapshot), rule_books, in_force:
        ready()
        collect_rarely()
        try:
            worker.run(stop)
        finally:
            stop.set()
            runner.join()
            queue.close()
            store.close()
            in_force.close()
            compose.close_host(host)
    book.close()


def run_scheduler(config: Config, ready: Callable[[], None]) -> None:
    """Fill the role of the scheduler until SIGTERM: rules on a schedule, alert actions, owed spans, keeping house."""
    stop = stop_on_signal()
    host = compose.open_host(config, "scheduler")
    book = compose.open_book(config)
    in_force = compose.open_rules(config, host, book)
    store = compose.open_store(config, "reader")
    compose.lend_site(host, Site(store, config.notify.web_url))
    scheduler = compose.open_scheduler(config)
    rules = compose.open_scheduler(config, config.detection.threads)
    rule_books = RuleBooks(book, in_force.force.host)
    runner = make_runner(host, store, book, config.detection, rule_books.exemptions)
    jobs_of_rules = RuleJobs(rules, runner)
    jobs_of_rules.renew(in_force.force.host)
    detector = Detector(in_force.force.host, rule_books.lists, rule_books.exemptions)
    for renew in (rule_books.renew, jobs_of_rules.renew, detector.renew):
        in_force.listen(partial(_renew, renew))

    tidy = Housekeeping(book, store, config.retention, stop.wait)
    add_jobs(
        scheduler,
        responder=Responder(host, book, config.notify),
        detector=detector,
        store=store,
        book=book,
        tidy=tidy,
    )
    scheduler.every(EXPIRE, "expire", rule_books.expire)
    queue = compose.open_queue(config)
    health = OwnHealth(
        book,
        host,
        QueueIntake(queue, ORIGIN),
        config.health,
        node=config.core.node,
        data_dir=config.data_dir,
        rules=in_force.problems,
        sources=SilentSources(store),
    )
    scheduler.every(MINUTE, "health", health)
    beat = None
    if config.health.heartbeat_url is not None:
        beat = HeartbeatUrl(config.health.heartbeat_url, book.watermark)
        scheduler.every(MINUTE, "heartbeat", beat)

    def snapshot() -> dict[str, Any]:
        jobs = {name: asdict(state) for name, state in scheduler.jobs().items()}
        return {
            "plugins": host.health.snapshot(),
            "rulebook": in_force.snapshot(),
            "jobs": jobs,
            "removed": tidy.total._asdict(),
            "rules": rule_states(rules, runner),
            **({"heartbeat": beat.snapshot()} if beat is not None else {}),
        }

    running = threading.Thread(target=rules.run, args=(stop,), name="rules")
    with Heartbeat(book, "scheduler", snapshot), rule_books, in_force:
        ready()
        running.start()
        try:
            scheduler.run(stop)
        finally:
            stop.set()
            running.join()
    queue.close()
    store.close()
    in_force.close()
    compose.close_host(host)
    book.close()
