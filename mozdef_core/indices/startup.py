"""The check at the start: whether the cluster can be used, and what an operator should do when it cannot."""

from __future__ import annotations

import logging
import re

from mozdef_core.errors import ConfigError, StoreUnavailableError
from mozdef_core.indices.engine import Answer, Engine, hint, reason

log = logging.getLogger(__name__)

_MAJOR = re.compile(r"(\d+)\.")


def find_version(engine: Engine) -> str:
    """Return the version of the engine, after making sure that it is one that the driver speaks to.

    :raises ConfigError: it is another engine or version, or refuses the credentials; it says what would be right.
    :raises StoreUnavailableError: no node answers now.
    """
    answer = engine.perform("GET", "/_nodes/_local", {"filter_path": "nodes.*.version"})
    if answer.status in (401, 403):
        raise ConfigError([hint(answer) or reason(answer)])
    if answer.status in (400, 404, 405, 406):
        raise ConfigError(
            [f"what answers is no {engine.dialect.name} ({reason(answer)}); {engine.dialect.other}"]
        )
    if not answer.ok:
        raise StoreUnavailableError(f"the cluster does not tell its version: {reason(answer)}")
    version = _version(answer)
    if version is None:
        raise ConfigError(
            [f"what answers is no {engine.dialect.name}: it tells no version ({answer.body!r:.200})"]
        )
    found = _MAJOR.match(version)
    if found is None or int(found[1]) not in engine.dialect.versions:
        known = " or ".join(map(str, engine.dialect.versions))
        raise ConfigError(
            [
                f"expected {engine.dialect.name} {known}, but the cluster says {version}; {engine.dialect.other}"
            ]
        )
    return version


def _version(answer: Answer) -> str | None:
    nodes = answer.body.get("nodes") if isinstance(answer.body, dict) else None
    for node in nodes.values() if isinstance(nodes, dict) else ():
        if isinstance(node, dict) and isinstance(node.get("version"), str):
            return str(node["version"])
    return None


def warn_of_health(engine: Engine) -> None:
    """Log what an operator should know of a cluster that works, but not well."""
    answer = engine.perform("GET", "/_cluster/health")
    if not answer.ok or not isinstance(answer.body, dict):
        return  # the key may lack the privilege to ask; nothing depends on it
    health = answer.body
    if health.get("status") == "red":
        log.warning(
            "the cluster %s is red: %s shards have no copy that works; events on them cannot be written or found",
            health.get("cluster_name"),
            health.get("unassigned_shards"),
        )
