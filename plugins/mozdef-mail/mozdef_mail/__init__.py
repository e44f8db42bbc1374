"""Tells people of alerts by mail (alert_action)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, model_validator

from mozdef_core import Alert, AlertChange, Digest, Field, Note, Occasion, Secret, Site, hookimpl
from mozdef_core import Options as PluginOptions
from mozdef_mail.letter import letter
from mozdef_mail.server import Server, send

_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?"
)


def is_address(text: str) -> bool:
    """Return whether a text is a plain mail address; one with comments, quotes or letters beyond ASCII is not."""
    return _ADDRESS.fullmatch(text) is not None


def _address(text: str) -> str:
    if not is_address(text):
        raise ValueError("expected a mail address such as oncall@example.org")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Mail:
    """Sends alerts as mail, several in one letter when they come together."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.mail]``."""

        host: str = Field(min_length=1, description="name of the mail server; its certificate must be for it")
        port: int | None = Field(
            None, ge=1, le=65_535, description="its port; unset: 587, 465 for tls, 25 for none"
        )
        security: Literal["starttls", "tls", "none"] = Field(
            "starttls",
            description="starttls: encrypt after the greeting or not at all; tls: at once; none: never",
        )
        ca_file: Path | None = Field(
            None, description="PEM file of the authorities to trust; unset: the system's"
        )
        user: str = Field("", description="name to log in with; empty: no log-in")
        password: Secret | None = Field(None, description="password to log in with")
        sender: Address = Field(description="address that the mail comes from")
        to: list[Address] = Field(min_length=1, description="who is told when the channel names no addresses")
        subject_prefix: str = Field("[MozDef]", max_length=60, description="what each subject begins with")
        occasions: list[Occasion] = Field(
            [Occasion.RAISED, Occasion.EXTENDED, Occasion.RECOVERED], description="what to send an alert for"
        )
        timeout_s: float = Field(5, gt=0, le=20, description="seconds for connecting and for each answer")
        retries: int = Field(20, ge=0, le=100, description="tries after the first")

        @model_validator(mode="after")
        def _consistent(self) -> Mail.Options:
            if bool(self.user) != (self.password is not None):
                raise ValueError("user and password belong together: set both or neither")
            if self.user and self.security == "none":
                raise ValueError(
                    "a password is not sent without encryption: security must be 'starttls' or 'tls'"
                )
            return self

    notifies = True

    def __init__(self, options: Options) -> None:
        self.options = options
        self.retries = options.retries
        self.occasions = tuple(options.occasions)
        self._site = Site()
        self._server = Server(
            host=options.host,
            port=options.port or {"starttls": 587, "tls": 465, "none": 25}[options.security],
            security=options.security,
            ca_file=options.ca_file,
            user=options.user,
            password=options.password,
            timeout_s=options.timeout_s,
        )
        self._server.context()  # a file of authorities that cannot be read is told at the start

    def use_site(self, site: Site) -> None:
        """Take what knows the addresses of the pages."""
        self._site = site

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion, delivery: str) -> AlertChange | None:
        """Send the alert, or the digest; a delivery that may succeed later raises DeliveryError."""
        notes = alert.notes if isinstance(alert, Digest) else (Note(alert, occasion),)
        to = self._recipients(alert.channel)
        message = letter(
            alert,
            occasion,
            [(note, self._site.link(note.alert)) for note in notes],
            sender=self.options.sender,
            to=to,
            prefix=self.options.subject_prefix,
            delivery=delivery,
        )
        refused = send(self._server, message, self.options.sender, to)
        return AlertChange({"mail_refused": refused}) if refused else None

    def _recipients(self, channel: str) -> list[str]:
        """Return the addresses that a channel names, separated by commas; who is told anyway if it names none."""
        named = [part.strip() for part in channel.split(",") if is_address(part.strip())]
        return list(dict.fromkeys(named)) or list(dict.fromkeys(self.options.to))
