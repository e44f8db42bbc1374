"""What people keep reaches the rules of a process."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mozdef_alerts.watchlist.watchlist import Watchlist

from mozdef_core.casework import audit, watch
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.migration import upgrade
from mozdef_core.detection import Detector
from mozdef_core.health import Health
from mozdef_core.host import Host, Plugin
from mozdef_core.services.rule_books import RuleBooks
from mozdef_core.testing_contracts.trial import make_event


def test_the_watch_list_is_lent_to_the_rule_that_asks_for_it_and_what_it_meets_is_counted(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'casework.sqlite'}"
    upgrade(url)
    host = Host([Plugin("watchlist", Watchlist(Watchlist.Options()))], Health())
    event = make_event({"summary": "mimikatz ran", "hostname": "db4"})
    own = make_event({"summary": "ines watches for mimikatz"}, entrance="mozdef")
    with closing(SqlBook(url)) as book:
        books = RuleBooks(book, host)
        with book.database.write() as session:
            entry = watch.add(session, watch.Term("mimikatz"), audit.Actor("ines"))
        with books:
            detector = Detector(host, books.lists, books.exemptions)
            found = detector.stream(detector.window([event, own]), event.id, own.id)
        (alert,) = found.alerts
        assert not found.owed
        assert alert.summary == "mimikatz was seen: user unknown, source address unknown, host db4"
        assert alert.group == ("watchentry", entry.id)
        with book.database.read() as session:
            (kept,) = watch.collect(session)
        assert (kept.hits, kept.last_hit_us) == (1, event.received_us)
