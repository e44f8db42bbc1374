"""The pytest plugin for authors of plugins, rules and drivers: events, hosts, and the contracts to run.

It is loaded wherever mozdef-core is installed, so it imports the core only inside the fixtures. The contract of a
port, such as ``EventStoreContract``, is a class to subclass: ``from mozdef_core.testing import EventStoreContract``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

if TYPE_CHECKING:
    from mozdef_core.event import Event
    from mozdef_core.ports import EventStore
    from mozdef_core.testing_contracts.trial import Trial

pytest.register_assert_rewrite("mozdef_core.testing_contracts.plugin", "mozdef_core.testing_contracts.input")

_CONTRACTS: Final[Mapping[str, str]] = {
    "EventStoreContract": "store",
    "QueueContract": "queue",
    "AlertBookContract": "book",
    "SchedulerContract": "scheduler",
    "InputContract": "input",
    "RememberedIntake": "input",
}


def __getattr__(name: str) -> Any:
    """Import a contract when it is asked for."""
    if name not in _CONTRACTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"mozdef_core.testing_contracts.{_CONTRACTS[name]}"), name)


class MakeEvent(Protocol):
    """What the fixture ``make_event`` gives: a function that normalises a document as an entrance would."""

    def __call__(
        self,
        document: Mapping[str, Any] | str = "",
        /,
        *,
        entrance: str = "test",
        kind: str = "http",
        endpoint: str | None = None,
        received: str = "2026-01-02T03:04:05+00:00",
        recognisers: Sequence[Any] = (),
        **fields: Any,
    ) -> Event:
        """Make an event.

        :param document: what a sender sends; text stands for an object with this ``summary``.
        :param fields: further members of the document, such as ``details={"username": "ines"}``.
        :param entrance: name of the entrance, ``mozdef.input.name``.
        :param endpoint: what ``applies_to`` calls the endpoint.
        :param received: time of reception, ISO 8601 with an offset.
        """


class MakeHost(Protocol):
    """What the fixture ``make_host`` gives: a function that makes plugins and the host that calls them."""

    def __call__(self, *plugins: type[Any] | tuple[type[Any], Mapping[str, Any]]) -> Trial:
        """Make the plugins in this order.

        :param plugins: plugin or rule classes, each alone or with its options as they would stand in mozdef.toml.
        :raises ConfigError: as ``mozdef check`` would say it.
        """


class MakeStore(Protocol):
    """What the fixture ``make_store`` gives: a function that makes an event store in memory."""

    def __call__(self, events: Iterable[Event] = ()) -> EventStore:
        """Make a store.

        :param events: what it holds at first.
        """


class RunContract(Protocol):
    """What the fixture ``run_contract`` gives: a function that holds a plugin against what all plugins promise."""

    def __call__(
        self, plugin: type[Any], options: Mapping[str, Any] | None = None, events: Sequence[Event] = ()
    ) -> None:
        """Check a plugin or rule class.

        :param options: what it needs to start.
        :param events: events that concern it, besides the odd ones that every plugin must bear.
        :raises AssertionError: it breaks a promise; with which one, and on what event.
        """


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the examples that stand beside rules, so that pytest alone tests a repository of rules."""
    if not file_path.name.endswith(".examples.yaml"):
        return None
    from mozdef_core.testing_contracts.examples import ExamplesFile

    return ExamplesFile.from_parent(parent, path=file_path)


@pytest.fixture
def make_event() -> MakeEvent:
    """Make events as the pipeline would hand them to the first plugin."""
    from mozdef_core.testing_contracts import trial

    return trial.make_event


@pytest.fixture
def make_host() -> Iterator[MakeHost]:
    """Make plugins and a host for them; they are closed after the test."""
    from mozdef_core.testing_contracts.trial import Trial

    made: list[Trial] = []

    def make(*plugins: type[Any] | tuple[type[Any], Mapping[str, Any]]) -> Trial:
        made.append(Trial(plugins))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def make_store() -> MakeStore:
    """Make stores to search and count in."""
    from mozdef_core.drivers.store_memory import MemoryStore

    def make(events: Iterable[Event] = ()) -> EventStore:
        store = MemoryStore()
        refused = store.write(list(events))
        assert not refused, refused
        return store

    return make


@pytest.fixture
def run_contract() -> RunContract:
    """Hold a plugin against the contract of all plugins."""
    from mozdef_core.testing_contracts import plugin

    run: Callable[..., None] = plugin.run
    return run
