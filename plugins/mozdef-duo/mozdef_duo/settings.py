"""The options of the Duo input: the table ``[input.duo]``."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import field_validator

from mozdef_core import Duration, Field, Options, Secret

Log = Literal["administration", "authentication", "telephony"]


class DuoOptions(Options):
    """Which account, with which application's rights, which logs, how often, and where to begin."""

    host: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="API hostname of the account, such as api-12345678.duosecurity.com; its events have it as hostname",
    )
    integration_key: str = Field(
        description="integration key of an Admin API application that may read logs (Grant read log)"
    )
    secret_key: Secret = Field(description="the secret key of that application")
    url: str | None = Field(
        None, description="where the API is asked, if not at https://<host>, such as at a proxy"
    )
    logs: list[Log] = Field(
        ["administration", "authentication", "telephony"], min_length=1, description="the logs to read"
    )
    state_dir: Path = Field(Path("var/duo"), description="directory in which the positions are kept")
    interval: Duration = Field(
        timedelta(seconds=120),
        gt=timedelta(0),
        description="time between looks for new records; Duo wants at least a minute",
    )
    start: Duration = Field(
        timedelta(days=1), description="how far back the first look goes; later ones go on where it ended"
    )
    overlap: Duration = Field(
        timedelta(minutes=5),
        ge=timedelta(0),
        description="how far before the newest record each look begins, for records that Duo shows late",
    )
    tags: list[str] = Field([], description="tags of every event, besides duosecurity")
    timeout_s: float = Field(30, gt=0, le=300, description="seconds for connecting and for each read")

    @field_validator("url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        return None if value is None else safe_address(value)


def safe_address(value: str) -> str:
    """Return a web address without a slash at its end.

    :raises ValueError: it is none, or secrets would go to another machine unencrypted.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise ValueError("expected an address such as https://proxy.example")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("http is for this machine only: the secret would travel unencrypted; use https")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
