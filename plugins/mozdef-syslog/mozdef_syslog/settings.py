"""The options of the syslog input: the table ``[input.syslog]``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator, model_validator

from mozdef_core import Field, Options
from mozdef_syslog.address import parse_address


class SyslogOptions(Options):
    """Where to listen, whom to believe, and how much to take."""

    udp: list[str] = Field(["127.0.0.1:5514"], description="addresses for UDP, as host:port")
    tcp: list[str] = Field(
        ["127.0.0.1:5514"], description="addresses for TCP without encryption, as host:port"
    )
    tls: list[str] = Field([], description="addresses for TLS over TCP, as host:port")
    certificate: Path | None = Field(None, description="PEM file with the server's certificate and its chain")
    key: Path | None = Field(
        None, description="PEM file with its private key; default: in the certificate file"
    )
    client_ca: Path | None = Field(
        None, description="PEM file of the authorities whose client certificates are required on TLS"
    )
    open: bool = Field(False, description="listen for other machines without client certificates")
    framing: Literal["auto", "lines", "nul", "octets"] = Field(
        "auto", description="how messages on TCP and TLS are told apart; auto finds out for each message"
    )
    json_in_message: bool = Field(
        False,
        description="read a message that is a JSON object, with or without @cee:, as the event's fields",
    )
    max_message_bytes: int = Field(
        1_048_576, ge=1024, le=16_777_216, description="a longer message arrives as several"
    )
    max_connections: int = Field(500, ge=1, description="further TCP and TLS connections are reset")
    idle_timeout_s: float = Field(86_400, gt=0, description="a connection silent for so long is closed")
    receive_buffer_bytes: int = Field(
        8_388_608, ge=65_536, description="kernel buffer asked for on each UDP socket"
    )

    @field_validator("udp", "tcp", "tls")
    @classmethod
    def _read_addresses(cls, texts: list[str]) -> list[str]:
        return [str(parse_address(text)) for text in texts]

    @model_validator(mode="after")
    def _check_exposure(self) -> SyslogOptions:
        if self.tls and self.certificate is None:
            raise ValueError("tls needs certificate, the PEM file with the server's certificate")
        if not (self.udp or self.tcp or self.tls):
            raise ValueError("udp, tcp and tls are all empty: name at least one address to listen on")
        if self.open:
            return self
        unprotected = {"udp": self.udp, "tcp": self.tcp, "tls": [] if self.client_ca else self.tls}
        for name, texts in unprotected.items():
            for text in texts:
                if not parse_address(text).loopback:
                    raise ValueError(
                        f"{name}: {text} can be reached from other machines and asks nobody who they are; "
                        "use tls with client_ca, or set open = true to take messages from anybody"
                    )
        return self
