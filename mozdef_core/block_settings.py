"""What of the configuration is about blocking: networks that nobody may block."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from mozdef_core.errors import QueryError
from mozdef_core.options import Items
from mozdef_core.query.members import read_network
from mozdef_core.setting_values import Settings


def _networks(items: list[str]) -> list[str]:
    for item in items:
        try:
            read_network(item)
        except QueryError as error:
            raise ValueError(str(error)) from None
    return items


class BlockSettings(Settings):
    """``[blocks]``: what never comes onto the IP block list, besides private and reserved networks."""

    whitelist_networks: Annotated[Items, AfterValidator(_networks)] = Field(
        default=[],
        description="addresses and networks that are never blocked, nor any network that holds one of them: your own, "
        "your partners', your name servers",
    )
    network_whitelist_file: Path | None = Field(
        default=None,
        description="a file with more of them, one a line, # before a comment; it is read again when it changes, and "
        "nothing is blocked while it cannot be read",
    )
