"""Checking a configuration as a whole: everything that would keep the service from starting, at once."""

from __future__ import annotations

from typing import NamedTuple

from mozdef_core import discovery
from mozdef_core.config import Config
from mozdef_core.errors import ConfigError
from mozdef_core.health import Health
from mozdef_core.host import Host
from mozdef_core.ports import Input
from mozdef_core.services.compose import find_enabled

_DRIVERS = (("mozdef.stores", "store"), ("mozdef.queues", "queue"), ("mozdef.schedulers", "scheduler"))


class Report(NamedTuple):
    """What there is to say about a configuration.

    :param problems: everything that would keep the service from starting.
    :param notices: what is enabled and yet does nothing as it is configured, with the reason.
    """

    problems: list[str]
    notices: list[str]


def check(config: Config) -> Report:
    """Look at everything that the configuration names; plugins are made once, and closed again."""
    plugins, found = find_enabled(config)
    inputs, wrong = discovery.find_inputs(config)
    found.extend(wrong)
    found.extend(_decoder_clashes(inputs))
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
    try:
        Host(plugins, Health()).close()
    except ConfigError as error:
        found.extend(error.problems)
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found.append(f"core.data_dir: cannot make {config.data_dir}: {error.strerror or error}")
    return Report(list(dict.fromkeys(found)), notices)


def _decoder_clashes(inputs: dict[str, Input]) -> list[str]:  # type: ignore[type-arg]
    """Return what is wrong when two inputs bring different decoders under one name."""
    owners: dict[str, tuple[str, type]] = {}
    found = []
    for name, source in inputs.items():
        other = owners.setdefault(source.decoder, (name, type(source)))
        if other[1] is not type(source) and source.decoder != "json":
            found.append(
                f"inputs: {other[0]!r} and {name!r} both bring a decoder {source.decoder!r}; enable one of them"
            )
    return found
