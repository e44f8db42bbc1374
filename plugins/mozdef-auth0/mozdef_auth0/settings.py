"""The options of the Auth0 input: the table ``[input.auth0]``."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import field_validator

from mozdef_core import Duration, Field, Options, Secret


class Auth0Options(Options):
    """Which tenant, with which application's rights, how often, and where to begin."""

    domain: str = Field(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        description="the tenant's domain at Auth0, such as example.eu.auth0.com; its events have it as hostname",
    )
    client_id: str = Field(
        description="client id of a machine-to-machine application that may read logs (read:logs)"
    )
    client_secret: Secret = Field(description="the secret of that application")
    url: str | None = Field(
        None, description="where the API is asked, if not at https://<domain>, such as at a proxy"
    )
    state_dir: Path = Field(Path("var/auth0"), description="directory in which the position is kept")
    interval: Duration = Field(
        timedelta(seconds=60), gt=timedelta(0), description="time between looks for new records"
    )
    start: Duration = Field(
        timedelta(days=1), description="how far back the first look goes; later ones go on where it ended"
    )
    take: int = Field(100, ge=1, le=100, description="records asked for at a time")
    tags: list[str] = Field([], description="tags of every event, besides auth0")
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
