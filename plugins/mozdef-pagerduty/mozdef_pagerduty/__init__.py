"""Opens, acknowledges and resolves incidents at PagerDuty (alert_action)."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, field_validator

from mozdef_core import Alert, AlertChange, DeliveryError, Field, Occasion, Secret, Severity, Site, hookimpl
from mozdef_core import Options as PluginOptions

ENDPOINT: Final = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_LIMIT: Final = 1_024
"""Longer summaries are refused by the interface."""

AGAIN: Final = frozenset({408, 425, 429})
"""Answers below 500 after which another try makes sense."""

SEVERITIES: Final = {
    Severity.EMERGENCY: "critical",
    Severity.ALERT: "critical",
    Severity.CRITICAL: "critical",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
}
"""Every other severity is ``info`` there."""

Action = Literal["trigger", "acknowledge", "resolve"]
ACTIONS: Final[dict[Occasion, Action]] = {
    Occasion.RAISED: "trigger",
    Occasion.EXTENDED: "trigger",
    Occasion.REPEATED: "trigger",
    Occasion.ACKNOWLEDGED: "acknowledge",
    Occasion.CLOSED: "resolve",
    Occasion.RECOVERED: "resolve",
}


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("expected an address such as https://wiki.example/runbook")
    if parts.password:
        raise ValueError("a password does not belong in an address that is shown and logged")
    return value


class Integration(BaseModel):
    """A service at PagerDuty and the tag of the alerts that are for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_key: Secret = Field(
        description="the service's integration key for the events interface, version 2"
    )
    tag: str = Field(min_length=1, description="alerts with this tag are for the service")
    doc: str = Field("", description="address of the run-book")

    _check = field_validator("doc")(_web_address)


class PagerDuty:
    """Sends the alerts that have the tag of an integration to its service."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.pagerduty]``."""

        integrations: list[Integration] = Field(
            min_length=1,
            description="tables with service_key, tag and doc (address of the run-book); the first whose tag an "
            "alert has takes it",
        )
        web_url: str = Field("", description="address of MozDef's pages for links; unset: `notify.web_url`")
        endpoint: str = Field(ENDPOINT, min_length=1, description="address of the events interface")
        timeout_s: float = Field(10, gt=0, le=25, description="seconds for connecting and for each read")
        retries: int = Field(20, ge=0, le=100, description="tries after the first")
        dry_run: bool = Field(
            False, description="say in the alert's history what would be sent, and send nothing"
        )

        _check = field_validator("web_url", "endpoint")(_web_address)

    def __init__(self, options: Options) -> None:
        self.options = options
        self.retries = options.retries
        self._site = Site()
        self._client: httpx.Client | None = None

    def use_site(self, site: Site) -> None:
        """Take what knows the addresses of the pages."""
        self._site = site

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange:
        """Send the event; one that may get through later raises DeliveryError."""
        integration = next((one for one in self.options.integrations if one.tag in alert.tags), None)
        if integration is None:
            return AlertChange(note="no integration has one of the alert's tags", skipped=True)
        action = ACTIONS[occasion]
        if action == "trigger" and alert.notify is False:
            return AlertChange(note="nobody is to be told of the alert", skipped=True)
        if self.options.dry_run:
            return AlertChange(note=f"dry run: {action} would be sent to the service for {integration.tag}")
        self._send(self._event(alert, action, integration))
        return AlertChange(note=f"sent {action} to the service for {integration.tag}")

    def _event(self, alert: Alert, action: Action, integration: Integration) -> dict[str, Any]:
        """Return the body of the request (PagerDuty's "Events API v2")."""
        event = {
            "routing_key": integration.service_key.reveal(),
            "event_action": action,
            "dedup_key": alert.id or alert.minted_id,
        }
        if action != "trigger":
            return event
        document = alert.to_dict()
        link = self._link(alert)
        links = [(link, "the alert in MozDef"), (integration.doc, "run book")]
        return {
            **event,
            "client": "MozDef",
            **({"client_url": link} if link else {}),
            "links": [{"href": href, "text": text} for href, text in links if href],
            "payload": {
                "summary": (" ".join(alert.summary.split()) or alert.rule)[:SUMMARY_LIMIT],
                "source": alert.group[1] if alert.group and alert.group[1] else "MozDef",
                "severity": SEVERITIES.get(alert.severity, "info"),
                "timestamp": document["first_seen"],
                "component": alert.rule,
                "class": alert.category,
                "custom_details": {
                    name: document[name]
                    for name in ("count", "severity", "tags", "last_seen", "details", "url")
                },
            },
        }

    def _link(self, alert: Alert) -> str:
        if self.options.web_url:
            return Site(web_url=self.options.web_url).link(alert)
        return self._site.link(alert)

    def _send(self, event: dict[str, Any]) -> None:
        endpoint = self.options.endpoint
        try:
            answer = self._connection().post(endpoint, json=event)
        except httpx.HTTPError as error:
            raise DeliveryError(f"{endpoint}: {type(error).__name__}: {error}") from error
        if answer.is_success:
            return
        text = f"{endpoint} answered {answer.status_code}{_reasons(answer)}"
        if answer.status_code in AGAIN or answer.is_server_error:
            raise DeliveryError(text, _retry_after_s(answer.headers.get("Retry-After")))
        raise DeliveryError(text, final=True)

    def _connection(self) -> httpx.Client:
        """Return the client; made in the process and at the time that first needs it."""
        if self._client is None:
            self._client = httpx.Client(timeout=self.options.timeout_s, trust_env=False)
        return self._client

    def close(self) -> None:
        """Close idle connections."""
        if self._client is not None:
            self._client.close()


def _reasons(answer: httpx.Response) -> str:
    """Return what the interface says is wrong with an event, "" where it does not."""
    try:
        document = answer.json()
    except ValueError:
        return ""
    errors = document.get("errors") if isinstance(document, dict) else None
    texts = [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
    return f": {'; '.join(texts)[:500]}" if texts else ""


def _retry_after_s(header: str | None) -> float | None:
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
