"""Sends alerts to a web address, signed and with retries (alert_action)."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import field_validator

from mozdef_core import Alert, AlertChange, DeliveryError, Field, Occasion, Secret, hookimpl
from mozdef_core import Options as PluginOptions

AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 after which another try makes sense."""


class Webhook:
    """Posts each alert to one address."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.webhook]``."""

        url: str = Field(description="where to post, http or https")
        secret: Secret | None = Field(None, description="key of the signature")
        timeout_s: float = Field(10, gt=0, le=60, description="seconds for connecting and for each read")
        retries: int = Field(20, ge=0, le=100, description="tries after the first")
        all_alerts: bool = Field(False, description="send alerts too that are not meant to notify")
        occasions: list[Occasion] = Field(list(Occasion), description="what to send an alert for")

        @field_validator("url")
        @classmethod
        def _web_address(cls, value: str) -> str:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("expected an address such as https://hooks.example/mozdef")
            if parts.password:
                raise ValueError("a password does not belong in an address that is shown and logged")
            return value

    collects = False  # a program wants each alert by itself

    def __init__(self, options: Options) -> None:
        self.options = options
        self.retries = options.retries
        self.notifies = not options.all_alerts  # who wants all of them wants them whatever the routes say
        self._client: httpx.Client | None = None

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Post the alert; a delivery that may succeed later raises DeliveryError."""
        if occasion not in self.options.occasions or not (alert.notifies or self.options.all_alerts):
            return None
        body = json.dumps({"occasion": occasion.value, "alert": alert.to_dict()}, ensure_ascii=False).encode()
        grown = alert.count if occasion in (Occasion.EXTENDED, Occasion.REPEATED) else 0  # these come again
        delivery = hashlib.sha256(f"{alert.id}\n{occasion.value}\n{grown}".encode()).hexdigest()[:32]
        headers = {"Content-Type": "application/json", "MozDef-Delivery": delivery, **self._signature(body)}
        try:
            answer = self._connection().post(self.options.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise DeliveryError(f"{self.options.url}: {type(error).__name__}: {error}") from error
        if answer.is_success:
            return None
        text = f"{self.options.url} answered {answer.status_code}"
        if answer.status_code in AGAIN or answer.is_server_error:
            raise DeliveryError(text, retry_after_s(answer.headers.get("Retry-After")))
        raise DeliveryError(text, final=True)

    def _signature(self, body: bytes) -> dict[str, str]:
        if self.options.secret is None:
            return {}
        moment = str(int(time.time()))
        key = self.options.secret.reveal().encode()
        digest = hmac.new(key, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"MozDef-Timestamp": moment, "MozDef-Signature": f"sha256={digest}"}

    def _connection(self) -> httpx.Client:
        """Return the client; made in the process and at the time that first needs it."""
        if self._client is None:
            self._client = httpx.Client(timeout=self.options.timeout_s, trust_env=False)
        return self._client

    def close(self) -> None:
        """Close idle connections."""
        if self._client is not None:
            self._client.close()


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 10.2.3), None without a readable one."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
