"""Checking a configuration as a whole: everything that would keep the service from starting, at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mozdef_core import discovery
from mozdef_core.config import Config
from mozdef_core.errors import ConfigError
from mozdef_core.health import Health
from mozdef_core.host import Host
from mozdef_core.notification_routes import Router
from mozdef_core.response import notifiers_of
from mozdef_core.services.compose import find_all
from mozdef_core.services.decoders import reserved_names

_DRIVERS = (("mozdef.stores", "store"), ("mozdef.queues", "queue"), ("mozdef.schedulers", "scheduler"))


class Report(NamedTuple):
    """What there is to say about a configuration.

    :param problems: everything that would keep the service from starting.
    :param notices: what is enabled and yet does nothing as it is configured, with the reason; rule files that are
        wrong, too, for they keep nothing from starting.
    """

    problems: list[str]
    notices: list[str]


def check(config: Config) -> Report:
    """Look at everything that the configuration names; plugins are made once, and closed again. Nothing is written."""
    plugins, found, warnings = find_all(config)
    inputs, wrong = discovery.find_inputs(config)
    found.extend(wrong)
    found.extend(reserved_names(inputs))
    for group, key in _DRIVERS:
        name = getattr(config.core, key)
        try:
            cls = discovery.load_driver(group, name)
            discovery.options_of(cls, getattr(config, key).get(name, {}), f"{key}.{name}")
        except ConfigError as error:
            found.extend(error.problems)
    notices = [
        f"{plugin.name} is enabled but inactive: {reason}"
        for plugin in plugins
        if (reason := getattr(plugin.instance, "inactive", None))
    ]
    notices += [
        f"{plugin.name}: {problem}; the rest of it works"
        for plugin in plugins
        for problem in getattr(plugin.instance, "problems", ())
    ]
    notices += warnings
    try:
        host = Host(plugins, Health())
        try:
            Router(config.notify, notifiers_of(host))
        finally:
            host.close()
    except ConfigError as error:
        found.extend(error.problems)
    found.extend(_unusable(config.data_dir))
    return Report(list(dict.fromkeys(found)), notices)


def _unusable(directory: Path) -> list[str]:
    """Return why a directory cannot be made, or nothing be made in it; what is there is only looked at."""
    try:
        there = next(path for path in (directory, *directory.parents) if path.exists())
        if not there.is_dir():
            return [f"core.data_dir: cannot make {directory}: {there} is not a directory"]
        if not os.access(there, os.W_OK | os.X_OK):
            return [f"core.data_dir: cannot write in {there}: permission denied"]
    except OSError as error:
        return [f"core.data_dir: cannot look at {directory}: {error.strerror or error}"]
    return []
