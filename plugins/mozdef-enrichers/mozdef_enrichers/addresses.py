"""The addresses that an alert is about, and the sites that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, field_validator

from mozdef_core import Alert, AlertChange, Event, Field, Occasion, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_enrichers.selection import address, network, within

_WORD: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_NAMED: Final = 5
_DEEPEST: Final = 20


class Ipaddr:
    """Copies the addresses of the first sample into the alert's details."""

    Options = PluginOptions
    stage = "enrich"

    def __init__(self, options: PluginOptions) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add source and destination; a name that stands in place of an address is added as a name."""
        if occasion is not Occasion.RAISED or not alert.events:
            return None
        event = alert.events[0]
        found = {
            **_side("source", _source(event)),
            **_side("destination", event.get("details.destinationipaddress")),
        }
        return AlertChange(found) if found else None


def _source(event: Event) -> Any:
    """Return what an event says of its source; behind a cluster or a proxy that is not its peer."""
    if (value := event.get("details.sourceipaddress")) is not None:
        return value
    for name in ("details.cluster_client_ip", "details.http_x_forwarded_for"):
        value = event.get(name)
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, str) and first.strip():
            return first.split(",")[0].strip()
    return None


def _side(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, str) or not value.strip():
        return {}
    found = address(value)
    if found is not None:
        return {f"{name}ipaddress": found, f"{name}ipv{6 if ':' in found else 4}address": found}
    try:
        unspecified = not within(value, ()) and network(value).num_addresses == 1
    except ValueError:
        unspecified = False
    return {} if unspecified else {name: value.strip()}


class KnownSite(BaseModel):
    """A network and what to say of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    range: str = Field(description="a network such as 198.51.100.0/24")
    site: str = Field(description="its name")
    format: str = Field("{0} is {1}", description="what the summary says; {0} is the address, {1} the site")

    @field_validator("range")
    @classmethod
    def _is_network(cls, value: str) -> str:
        try:
            network(value)
        except ValueError:
            raise ValueError("expected a network such as 198.51.100.0/24") from None
        return value


class IpSourceEnrichment:
    """Says of each address in an alert that lies in a known network to which site it belongs."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.ip_source_enrichment]``."""

        known: list[KnownSite] = Field([], description="tables of range, site and format")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options
        self._known = [(network(known.range), known) for known in options.known]

    @property
    def inactive(self) -> str | None:
        """Why it does nothing as it is configured."""
        return None if self._known else "known is empty"

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.sites`` and name the first five in the summary."""
        if occasion is not Occasion.RAISED or not self._known:
            return None
        sites, texts = [], []
        document = {**alert.to_dict(), "id": "", "details": {**alert.details, "sites": None}}
        for found in dict.fromkeys(_addresses(document)):
            for span, known in self._known:
                if within(found, [span]):
                    sites.append({"ip": found, "site": known.site})
                    texts.append(known.format.replace("{0}", found).replace("{1}", known.site))
                    break
        return AlertChange({"sites": sites}, "; ".join(texts[:_NAMED])) if sites else None


def _addresses(node: Any, depth: int = 0) -> Iterator[str]:
    """Yield the addresses in all strings, in order of appearance."""
    if isinstance(node, str):
        for word in _WORD.findall(node):
            spellings = (word, word.rstrip("."), word.rstrip(".:"))  # at the end of a sentence or clause
            found = next((found for text in spellings if (found := address(text)) is not None), None)
            if found is not None:
                yield found
    elif isinstance(node, dict | list) and depth < _DEEPEST:
        for value in node.values() if isinstance(node, dict) else node:
            yield from _addresses(value, depth + 1)
