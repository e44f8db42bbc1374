"""The reputation of the addresses of a travel."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mozdef_core import Alert, AlertChange, Field, Occasion, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_enrichers.selection import address, selected

log = logging.getLogger(__name__)

_NAMED: Final = {"TorNode": "Tor node", "VPN": "VPN"}


class GeomodelIpintelEnrichment:
    """Looks the addresses of all hops of a travel up in a reputation file."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.geomodel_ipintel_enrichment]``."""

        intel_file_path: Path | None = Field(
            None,
            description="JSON file {address: {class: score}}, read again when it changes; unset: does nothing",
        )
        match_tag: str = Field("geomodel", description="tag or name of the rule; * for all")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options
        self._stamp: tuple[int, int] | None = None
        self._intel: Mapping[str, Any] = {}

    @property
    def inactive(self) -> str | None:
        """Why it does nothing as it is configured."""
        return None if self.options.intel_file_path else "intel_file_path is not set"

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.ipintel``, and name Tor nodes and VPNs in the summary.

        :raises OSError: the file is not to be read.
        :raises ValueError: it does not hold what it should; the alert says so.
        """
        if self.options.intel_file_path is None or not selected(alert, occasion, [self.options.match_tag]):
            return None
        intel, found, texts = self._read(self.options.intel_file_path), [], []
        for hop in dict.fromkeys(_hops(alert.details.get("hops"))):
            classes = intel.get(hop, {})
            for name, score in classes.items() if isinstance(classes, dict) else ():
                found.append({"ip": hop, "classification": name, "threatscore": score})
                if name in _NAMED:
                    texts.append(f"{hop} is a {_NAMED[name]}")
        return AlertChange({"ipintel": found}, "; ".join(texts)) if found else None

    def _read(self, path: Path) -> Mapping[str, Any]:
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(document, dict):
                raise ValueError(f"{path}: expected an object of addresses, got {type(document).__name__}")
            self._intel = {address(key) or key: value for key, value in document.items()}
            self._stamp = stamp
        return self._intel


def _hops(node: Any) -> Iterator[str]:
    """Yield the addresses of hops, however deep they stand in them."""
    if isinstance(node, dict):
        for value in node.values():
            yield from _hops(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _hops(value)
    elif (found := address(node)) is not None:
        yield found
