"""Tells people of alerts in chats and through a hundred other services, by way of Apprise (alert_action)."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field as PlainField

from mozdef_core import Alert, DeliveryError, Field, Occasion, Secret, Severity, Site, brief, hookimpl
from mozdef_core import Options as PluginOptions

if TYPE_CHECKING:
    from apprise import NotifyBase

log = logging.getLogger(__name__)

DEFAULT: Final = "default"
_REMEMBERED: Final = 1_000
_KINDS: Final = {
    Severity.EMERGENCY: "failure",
    Severity.ALERT: "failure",
    Severity.CRITICAL: "failure",
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
}


class AppriseNotifier:
    """Sends alerts to the services of a channel, each named by one of Apprise's addresses."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.apprise]``."""

        channels: dict[str, Annotated[list[Secret], PlainField(min_length=1)]] = Field(
            min_length=1,
            description="addresses of services, such as a secret that holds slack://..., by channel; an alert whose "
            "channel is none of these goes to the channel 'default'",
        )
        limit: int = Field(450, ge=50, le=10_000, description="characters of a message; a link is never cut")
        occasions: list[Occasion] = Field(
            [Occasion.RAISED, Occasion.EXTENDED, Occasion.RECOVERED], description="what to send an alert for"
        )
        retries: int = Field(20, ge=0, le=100, description="tries after the first")

    notifies = True

    def __init__(self, options: Options) -> None:
        if DEFAULT not in options.channels:
            raise ValueError(
                f"channels: a channel {DEFAULT!r} is required, for alerts whose channel is not listed"
            )
        self.options = options
        self.retries = options.retries
        self.occasions = tuple(options.occasions)
        self._site = Site()
        self._services = {name: _services(name, urls) for name, urls in options.channels.items()}
        self._taken: OrderedDict[str, set[int]] = OrderedDict()

    def use_site(self, site: Site) -> None:
        """Take what knows the addresses of the pages."""
        self._site = site

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion, delivery: str) -> None:
        """Send the alert to each service of its channel; those that took it are not asked again."""
        channel = alert.channel if alert.channel in self._services else DEFAULT
        text = brief(alert, occasion, self._site.link(alert), self.options.limit)
        taken = self._taken.setdefault(f"{channel}\n{delivery}", set())
        services = self._services[channel]
        for place, service in enumerate(services):
            if place not in taken and _send(service, text, _KINDS.get(alert.severity, "info")):
                taken.add(place)
        missing = [
            f"{place + 1} ({service.schema})" for place, service in enumerate(services) if place not in taken
        ]
        while len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        if missing:
            raise DeliveryError(
                f"channel {channel!r}: not taken by service {', '.join(missing)} of {len(services)}; "
                "Apprise does not say why"
            )
        del self._taken[f"{channel}\n{delivery}"]


def _services(channel: str, urls: Sequence[Secret]) -> list[NotifyBase]:
    """Return the services that addresses stand for.

    :raises ValueError: Apprise knows no such service; the address is not told, for it is a secret.
    """
    from apprise import Apprise, AppriseAsset  # a second of imports: only where it is enabled

    logger = logging.getLogger(
        "apprise"
    )  # it logs addresses with their tokens, of which errors are made here
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    asset = AppriseAsset(
        app_id="MozDef", app_desc="MozDef", app_url="", async_mode=False, secure_logging=True
    )
    made = []
    for place, url in enumerate(urls, 1):
        service: Any = Apprise.instantiate(url.reveal(), asset=asset)
        if service is None:
            raise ValueError(f"channels.{channel}: address {place} is none that Apprise can use")
        made.append(service)
    return made


def _send(service: NotifyBase, text: str, kind: str) -> bool:
    """Return whether a service took a message."""
    from apprise import NotifyFormat, NotifyType

    try:
        return bool(
            service.notify(body=text, title="", notify_type=NotifyType(kind), body_format=NotifyFormat.TEXT)
        )
    except (OSError, TypeError, ValueError) as error:
        log.warning("%s: %s", service.schema, type(error).__name__)  # its text may hold the address
        return False
