"""The catalogue: which indices there are, and how one comes to be and goes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from mozdef_core.errors import ConfigError, StoreUnavailableError
from mozdef_core.indices.engine import Answer, Engine, error_types, json_body, reason, unavailable
from mozdef_core.indices.names import Name, Names
from mozdef_core.query.dsl.template import LAYOUT, template

_AT_ONCE: Final = 20


class Catalogue:
    """The indices of one MozDef in one cluster.

    :param settings: of each new index.
    """

    def __init__(self, engine: Engine, names: Names, settings: Mapping[str, Any]) -> None:
        self._engine = engine
        self._names = names
        self._settings = settings
        self._lock = threading.Lock()
        self._there: set[Name] = set()

    def put_template(self) -> None:
        """Store the template that every new index is made from.

        :raises ConfigError: the cluster refuses it; with its reason.
        :raises StoreUnavailableError: it cannot be stored now.
        """
        body = json_body(template(self._names.pattern, self._settings))
        answer = self._engine.perform("PUT", f"/_index_template/{self._names.template}", body=body)
        if answer.status == 400:
            raise ConfigError(
                [f"the index template {self._names.template!r} is refused by the cluster: {reason(answer)}"]
            )
        if not answer.ok:
            raise unavailable(f"the index template {self._names.template!r} cannot be stored", answer)

    def provide(self, name: Name) -> None:
        """Make the index of a day and class unless it is known to be there.

        :raises StoreUnavailableError: it cannot be made now, or is not as the template has it.
        """
        with self._lock:
            if name in self._there:
                return
            self._create(name)
            self._there.add(name)

    def _create(self, name: Name) -> None:
        index = self._names.index(name)
        answer = self._engine.perform("PUT", f"/{quote(index)}", body=json_body({}))
        if not answer.ok and "resource_already_exists_exception" not in error_types(_error(answer)):
            raise unavailable(f"the index {index} cannot be made", answer)
        found = self._engine.perform("GET", f"/{quote(index)}/_mapping", {"filter_path": "*.mappings._meta"})
        if found.status == 404 and answer.ok:
            raise StoreUnavailableError(f"the index {index} went while it was made")
        if not found.ok:
            raise unavailable(f"the index {index} cannot be read", found)
        layout = _meta(found.body).get("layout")
        if layout != LAYOUT:
            raise StoreUnavailableError(
                f"the index {index} has not the fields of this version (layout {layout!r} instead of {LAYOUT}): "
                "another index template with a higher priority covers it, or it was made by something else; "
                "give MozDef a prefix of its own, or remove that template and this index"
            )

    def forget(self, name: Name) -> None:
        """Take note that an index is not there any more."""
        with self._lock:
            self._there.discard(name)

    def forget_all(self) -> None:
        """Take note that the cluster may be another one."""
        with self._lock:
            self._there.clear()

    def all(self) -> Sequence[Name]:
        """Return what there is, by day and class.

        :raises StoreUnavailableError: it cannot be listed now.
        """
        answer = self._engine.perform(
            "GET",
            f"/{self._names.pattern}/_alias",
            {"ignore_unavailable": "true", "allow_no_indices": "true"},
        )
        if answer.status == 404:
            return []
        if not answer.ok:
            raise unavailable("the indices cannot be listed", answer)
        return sorted(name for index in answer.body if (name := self._names.read(index)) is not None)

    def drop(self, names: Sequence[Name]) -> int:
        """Remove whole indices.

        :returns: how many this call has removed.
        :raises StoreUnavailableError: one cannot be removed now; some may be gone.
        """
        gone = 0
        for name in names:
            answer = self._engine.perform("DELETE", f"/{quote(self._names.index(name))}")
            self.forget(name)
            if answer.ok:
                gone += 1
            elif answer.status != 404:
                raise unavailable(f"the index {self._names.index(name)} cannot be removed", answer)
        return gone

    def refresh(self, names: Sequence[Name] | None = None) -> None:
        """Make what was written found by searches.

        :param names: the indices; all when None.
        :raises StoreUnavailableError: not now.
        """
        targets = [self._names.pattern] if names is None else [self._names.index(name) for name in names]
        for start in range(0, len(targets), _AT_ONCE):
            path = quote(",".join(targets[start : start + _AT_ONCE]), safe=",*")
            answer = self._engine.perform(
                "POST", f"/{path}/_refresh", {"ignore_unavailable": "true", "allow_no_indices": "true"}
            )
            if not answer.ok and answer.status != 404:
                raise unavailable("the indices cannot be refreshed", answer)


def _error(answer: Answer) -> object:
    return answer.body.get("error") if isinstance(answer.body, dict) else None


def _meta(body: Any) -> Mapping[str, Any]:
    """Return what the mapping of the only index in an answer says of MozDef."""
    for index in body.values() if isinstance(body, dict) else ():
        found = index.get("mappings", {}).get("_meta", {}).get("mozdef")
        if isinstance(found, dict):
            return found
    return {}
