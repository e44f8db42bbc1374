"""Who may have been behind an alert: users that logged in there, or from there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from mozdef_core import (
    Alert,
    AlertChange,
    Duration,
    Exists,
    Field,
    MatchPhrase,
    Occasion,
    Term,
    hookimpl,
)
from mozdef_core import Options as PluginOptions
from mozdef_enrichers.selection import Searching, selected, source_address


class PossibleUsernames(Searching):
    """Adds the users with an accepted key login on the alert's most frequent host."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.possible_usernames]``."""

        match_tags: list[str] = Field(["promisc_kernel"], description="tags or names of rules; * for all")
        window: Duration = Field(timedelta(hours=24), description="how far back to look")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.possible_usernames``, sorted, and name them in the summary."""
        hosts = Counter(host for event in alert.events if (host := event.text("hostname")))
        if not hosts or not selected(alert, occasion, self.options.match_tags):
            return None
        host = min(hosts, key=lambda name: (-hosts[name], name))
        query = Term("hostname", host) & MatchPhrase("summary", "accepted publickey")
        found = self.site.groups(
            "details.username",
            query & Exists("details.username"),
            within=self.options.window,
            until_us=max(alert.last.us, alert.created_us),
        )
        if not found:
            return None
        names = sorted(found)
        return AlertChange({"possible_usernames": names}, f"possible users: {', '.join(names[:20])}")


class AuthSourceipUsername(Searching):
    """Adds the user who last logged in successfully from the alert's source address."""

    class Options(PluginOptions):
        """Options in the table ``[plugin.auth_sourceip_username]``."""

        match_tag: str = Field("*", description="tag or name of the rule; * for all")
        login_tag: str = Field("auth0", description="tag of events that are logins")
        window: Duration = Field(timedelta(hours=6), description="how far back to look")

    stage = "enrich"

    def __init__(self, options: Options) -> None:
        self.options = options

    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.username`` if the alert has none."""
        source = source_address(alert)
        if (
            source is None
            or alert.details.get("username")
            or not selected(alert, occasion, [self.options.match_tag])
        ):
            return None
        query = Term("tags", self.options.login_tag) & Term("details.success", True)
        query = query & Term("details.sourceipaddress", source) & Exists("details.username")
        found = self.site.search(
            query, within=self.options.window, until_us=max(alert.last.us, alert.created_us), size=1
        )
        return AlertChange({"username": found[0].get("details.username")}) if found else None
