"""What the core lends to alert actions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mozdef_core.alert import Alert, Moment
from mozdef_core.drivers.store_memory import MemoryStore
from mozdef_core.errors import ConfigError, QueryError
from mozdef_core.event import Event
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.markers import hookimpl
from mozdef_core.notification import Digest
from mozdef_core.query.model import All, QueryString, Term
from mozdef_core.services.compose import lend_site
from mozdef_core.site import MOST, Site
from mozdef_core.testing_contracts.book_alerts import SECOND, START_US, event_at

HOUR = timedelta(hours=1)


def site_with(*events: Event) -> Site:
    store = MemoryStore()
    store.write(events)
    return Site(store, "https://siem.example/")


def test_a_search_looks_back_as_far_as_it_says_and_no_further() -> None:
    site = site_with(*(event_at(minutes * 60, number=minutes) for minutes in (0, 30, 60, 90, 91)))
    until_us = START_US + 90 * 60 * SECOND
    found = site.search(All(), within=HOUR, until_us=until_us)
    assert [event.get("details.number") for event in found] == [90, 60, 30]
    (oldest,) = site.search(All(), within=HOUR, until_us=until_us, size=1, order="oldest")
    assert oldest.get("details.number") == 30
    assert site.search(Term("details.number", 60), within=HOUR, until_us=until_us) == [found[1]]
    assert site.search(All(), within=HOUR) == []


def test_a_search_gives_no_more_than_it_may() -> None:
    site = site_with(*(event_at(number / 1_000) for number in range(MOST + 5)))
    assert len(site.search(All(), within=HOUR, until_us=START_US + 10 * SECOND, size=10_000)) == MOST


def test_groups_are_counted() -> None:
    site = site_with(*(event_at(number, user="ab"[number % 3 > 0]) for number in range(9)))
    assert site.groups("details.user", All(), within=HOUR, until_us=START_US + SECOND * 10) == {
        "a": 3,
        "b": 6,
    }


def test_a_query_without_a_meaning_is_an_error() -> None:
    with pytest.raises(QueryError):
        site_with(event_at(0)).search(QueryString("details.user:("), within=HOUR)


def test_without_a_store_nothing_is_found_and_without_pages_there_is_no_link() -> None:
    alert = Alert("r", "s", Moment(1, "a"), Moment(1, "a"), id="0f/../x")
    assert Site().search(All(), within=HOUR) == ()
    assert Site().groups("details.user", All(), within=HOUR) == {}
    assert Site().link(alert) == ""
    assert site_with().link(alert) == "https://siem.example/alerts/0f%2F..%2Fx"
    several = Digest("digest", "s", Moment(1, "a"), Moment(1, "a"), id="0f")
    assert site_with().link(several) == "https://siem.example/alerts"


class Curious:
    """Wants the site."""

    site: Site | None = None

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def use_site(self, site: Site) -> None:
        if self.error is not None:
            raise self.error
        self.site = site

    @hookimpl
    def alert_action(self, alert: Alert) -> None:
        return None


def test_who_wants_the_site_is_given_it_and_who_fails_over_it_keeps_the_service_from_starting() -> None:
    site, curious = Site(), Curious()
    lend_site(Host([Plugin("a", curious)], Health()), site)
    assert curious.site is site
    with pytest.raises(ConfigError) as caught:
        lend_site(Host([Plugin("a", Curious(ValueError("no"))), Plugin("b", curious)], Health()), site)
    assert caught.value.problems == ("plugin.a: use_site failed: ValueError: no",)
