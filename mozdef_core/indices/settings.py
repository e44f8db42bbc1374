"""The options that the stores on Elasticsearch and OpenSearch share."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from mozdef_core.options import Field, Options, Secret

_NO_HEADER: Final = (
    "expected printable ASCII characters; there are others in it, such as a newline at its end"
)


class IndexOptions(Options):
    """Where the cluster is, how to be let in, and how events are laid out in it."""

    urls: list[str] = Field(
        ["http://127.0.0.1:9200"], min_length=1, description="addresses of nodes, http or https"
    )
    prefix: str = Field(
        "mozdef", pattern=r"^[a-z][a-z0-9-]{0,39}$", description="what the names of the indices begin with"
    )
    username: str | None = Field(None, description="user name, where no key is used")
    password: Secret | None = Field(None, description="its password")
    ca_certs: Path | None = Field(
        None, description="file with the certificates that are trusted; the system's if absent"
    )
    client_cert: Path | None = Field(None, description="file with this client's certificate, for mutual TLS")
    client_key: Path | None = Field(None, description="file with its key")
    request_timeout_s: float = Field(60, gt=0, le=600, description="seconds for one request")
    write_patience_s: float = Field(
        30, ge=0, description="seconds for which a write is tried again before the queue holds the events"
    )
    search_timeout_s: float = Field(
        30, gt=0, description="seconds after which a search is cut short and a count refused"
    )
    bulk_mb: float = Field(5, gt=0, le=90, description="megabytes of one bulk request")
    shards: int = Field(1, ge=1, le=100, description="primary shards of each index")
    replicas: int | None = Field(
        None, ge=0, le=10, description="copies of each shard; if absent one, as soon as there are two nodes"
    )
    refresh_s: float = Field(1, gt=0, le=60, description="seconds after which a stored event is found")

    @field_validator("urls")
    @classmethod
    def _web_addresses(cls, value: list[str]) -> list[str]:
        for url in value:
            if "@" in url:  # first of all: no other complaint may show it
                raise ValueError("a password does not belong in an address that is shown and logged")
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"expected an address such as https://node1.example:9200, got {url!r}")
        return value

    @model_validator(mode="after")
    def _whole(self) -> IndexOptions:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Secret) and not _fits_header(value.reveal()):
                raise ValueError(f"{name}: {_NO_HEADER}")
        if self.username is not None and not _fits_header(self.username):
            raise ValueError(f"username: {_NO_HEADER}")
        secure = all(url.startswith("https:") for url in self.urls)
        if not secure and (self.ca_certs or self.client_cert):
            raise ValueError("certificates are for addresses that begin with https")
        return self


def _fits_header(text: str) -> bool:
    """Return whether a header of HTTP can carry a text; a client that is given another one quotes it in its error."""
    return text.isascii() and text.isprintable()
