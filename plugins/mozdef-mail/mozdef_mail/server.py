"""The mail server: one connection for each letter, and what its answers mean."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

from mozdef_core import DeliveryError, Secret


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach the mail server; see the options of the plugin."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    ca_file: Path | None
    user: str
    password: Secret | None = field(repr=False)
    timeout_s: float

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """Return how its certificate is checked: against its name, and always.

        :raises OSError: the file of authorities cannot be read; ``ssl.SSLError``, which is one, too.
        """
        return ssl.create_default_context(cafile=self.ca_file)

    def connect(self) -> smtplib.SMTP:
        """Return a connection that is encrypted as far as it is to be, and logged in.

        :raises smtplib.SMTPException: the server does not want it.
        :raises OSError: there is no connection, or its certificate is not right.
        """
        own = socket.gethostname()
        if self.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, own, timeout=self.timeout_s, context=self.context()
            )
        else:
            smtp = smtplib.SMTP(self.host, self.port, own, timeout=self.timeout_s)
        try:
            if self.security == "starttls":
                smtp.starttls(context=self.context())
            if self.password is not None:
                smtp.login(self.user, self.password.reveal())
        except BaseException:
            smtp.close()
            raise
        return smtp


def send(server: Server, message: EmailMessage, sender: str, to: Sequence[str]) -> list[str]:
    """Send a letter and return the addresses that the server refused, if it took others.

    :raises DeliveryError: nobody was sent it; final where the server said so of the letter (5xx).
    """
    try:
        smtp = server.connect()
    except (smtplib.SMTPException, OSError) as error:  # of us and not of the letter: it may be mended
        raise DeliveryError(f"{server.name}: {_said(error)}") from None
    try:
        refused = smtp.send_message(message, sender, to)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        text = "; ".join(f"{to} {code} {_text(said)}" for to, (code, said) in error.recipients.items())
        raise DeliveryError(
            f"{server.name}: {text}"[:500], final=all(code >= 500 for code in codes)
        ) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{server.name}: {_said(error)}", final=error.smtp_code >= 500) from None
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryError(f"{server.name}: {_said(error)}") from None
    finally:
        _leave(smtp)
    return sorted(refused)


def _leave(smtp: smtplib.SMTP) -> None:
    """End the conversation; once the letter was taken nothing that goes wrong here matters."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


def _said(error: Exception) -> str:
    """Return an error as one line."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"[:300]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())
