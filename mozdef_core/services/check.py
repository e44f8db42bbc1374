"""Checking a configuration as a whole: everything that would keep the service from starting, at once."""

from __future__ import annotations

from mozdef_core import discovery
from mozdef_core.config import Config
from mozdef_core.errors import ConfigError
from mozdef_core.health import Health
from mozdef_core.host import Host
from mozdef_core.ports import Input

_DRIVERS = (("mozdef.stores", "store"), ("mozdef.queues", "queue"), ("mozdef.schedulers", "scheduler"))


def problems(config: Config) -> list[str]:
    """Return every problem of what the configuration names; plugins are made and closed again."""
    found: list[str] = []
    plugins = []
    for load in (discovery.find_plugins, discovery.find_rules):
        made, wrong = load(config)
        plugins.extend(made)
        found.extend(wrong)
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
    try:
        Host(plugins, Health()).close()
    except ConfigError as error:
        found.extend(error.problems)
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found.append(f"core.data_dir: cannot make {config.data_dir}: {error.strerror or error}")
    return list(dict.fromkeys(found))


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


def notices(config: Config) -> list[str]:
    """Return what is enabled and yet does nothing as it is configured, with the reason."""
    plugins, _ = discovery.find_plugins(config)
    rules, _ = discovery.find_rules(config)
    found = []
    for plugin in [*plugins, *rules]:
        reason = getattr(plugin.instance, "inactive", None)
        if reason:
            found.append(f"{plugin.name} is enabled but inactive: {reason}")
    return found
