from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import AlertChange, Block
from mozdef_core.casework import audit, blocks, lists
from mozdef_core.casework.block_guard import BlockGuard
from mozdef_core.casework.blocks import Asked
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.database import Database
from mozdef_core.casework.list_book import ListBook
from mozdef_core.event import now_us
from mozdef_core.ports import BatchRecord, TaskResult
from mozdef_core.testing_contracts.book_alerts import event_at, finding

ACTOR = audit.Actor("ines")
HOUR_US = 3_600_000_000
FREE = "203.0.113.9"
BRIEFLY = Asked()


def block(
    database: Database, address: str, asked: Asked = BRIEFLY, at_us: int | None = None, **more: object
) -> blocks.Blocked:
    guard = more.pop("guard", BlockGuard())
    with database.write() as session:
        return blocks.add(session, address, asked, guard, ACTOR, at_us or now_us(), **more)  # type: ignore[arg-type]


def standing(database: Database, at_us: int | None = None) -> list[str]:
    with database.read() as session:
        return [one.address for one in blocks.collect(session, at_us or now_us())]


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.31.0.1", "192.168.1.1"),
        *("224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "fe80::1", "fd00::1", "ff02::1"),
        *("64:ff9b::a00:1", "172.16.0.0/16", "8.0.0.0/15", "2600::/31", "0.0.0.0/0", "example.org", ""),
    ],
)
def test_what_must_not_be_blocked_is_refused_with_the_reason(database: Database, address: str) -> None:
    with pytest.raises(ValueError, match=r"expected|cannot be blocked"):
        block(database, address)
    assert standing(database) == []


@given(st.ip_addresses(), st.integers(0, 128))
def test_no_special_address_is_in_what_the_guard_lets_through(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int
) -> None:
    text = f"{address}/{prefix % (address.max_prefixlen + 1)}"
    try:
        network = ipaddress.ip_network(BlockGuard(["198.51.100.0/24"]).check(text))
    except ValueError:
        return
    assert network.prefixlen >= (16 if network.version == 4 else 32)
    for special in (
        "10.0.0.0/8",
        "127.0.0.0/8",
        "192.168.0.0/16",
        "224.0.0.0/3",
        "198.51.100.0/24",
        "::/8",
        "fe00::/7",
    ):
        other = ipaddress.ip_network(special)
        assert network.version != other.version or not network.overlaps(other)


def test_what_is_on_the_white_list_is_refused_inside_and_around_it(
    tmp_path: Path, database: Database
) -> None:
    file = tmp_path / "partners"
    file.write_text("# partners\n198.51.100.7   # the bank\n\n2001:db8:7::/48\n")
    guard = BlockGuard(["203.0.113.0/28"], file)
    for address in (
        "203.0.113.9",
        "203.0.113.0/24",
        "198.51.100.7",
        "198.51.0.0/16",
        "2001:db8:7::1",
        "2001:db8::/32",
    ):
        with pytest.raises(ValueError, match="white list"):
            block(database, address, guard=guard)
    assert block(database, "203.0.113.16", guard=guard).address == "203.0.113.16"


def test_the_white_list_is_read_again_and_nothing_is_blocked_without_it(
    tmp_path: Path, database: Database
) -> None:
    file = tmp_path / "partners"
    file.write_text("")
    guard = BlockGuard(file=file)
    assert block(database, FREE, guard=guard)
    file.write_text(f"{FREE}\n")
    with pytest.raises(ValueError, match="white list"):
        block(database, FREE, guard=guard)
    for broken in ("198.51.100.0/33", "\udcff"):
        file.write_bytes(broken.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match="cannot be read"):
            block(database, FREE, guard=guard)
    file.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        block(database, FREE, guard=guard)


def test_own_addresses_must_be_confirmed(database: Database) -> None:
    guard = BlockGuard(own=["198.51.100.1"])
    for address in ("198.51.100.1", "198.51.100.0/24", FREE):
        with pytest.raises(ValueError, match="of your own"):
            block(database, address, guard=guard, own=[FREE])
    assert block(database, "198.51.100.0/24", guard=guard, confirmed=True)


def test_blocking_again_replaces_the_comment_and_never_shortens(database: Database) -> None:
    now = now_us()
    first = block(database, f"{FREE}/32", Asked("1w", "scans", "A-1", "ann"), now)
    again = block(database, FREE, Asked("1hr", "guesses", "A-2"), now + 5)
    assert (first.address, first.creator, first.expires_us) == (FREE, "ann", now + 7 * 24 * HOUR_US)
    assert again == first._replace(comment="guesses", reference="A-2", creator="ines")
    longer = block(database, FREE, Asked("30d"), now + 5)
    assert longer.expires_us == now + 5 + 30 * 24 * HOUR_US
    assert block(database, FREE, Asked("permanent"), now + 6).expires_us is None
    assert block(database, FREE, Asked("1d"), now + 7).expires_us is None
    with database.read() as session:
        (stored,) = blocks.collect(session, now + 8)
    assert stored == longer._replace(expires_us=None, comment="", reference="", added_us=now)


def test_a_block_ends_by_itself_and_may_begin_anew(database: Database) -> None:
    now = now_us()
    block(database, FREE, at_us=now)
    assert standing(database, now + HOUR_US - 1) == [FREE]
    assert standing(database, now + HOUR_US) == []
    assert block(database, FREE, at_us=now + HOUR_US).added_us == now + HOUR_US


def test_an_unknown_duration_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match=r"duration: expected one of 1hr, .* got '2hr'"):
        block(database, FREE, Asked("2hr"))


def test_lifting_is_audited_and_says_whether_there_was_a_block(database: Database) -> None:
    block(database, FREE, Asked(reference="A-1"))
    with database.write() as session:
        assert blocks.lift(session, f"{FREE}/32", ACTOR, now_us())
    with database.write() as session:
        assert not blocks.lift(session, FREE, ACTOR, now_us())
    with database.read() as session:
        trail = audit.entries(session, "block", FREE)
        assert audit.verify(session) is None
    assert [(entry.action, entry.actor) for entry in trail] == [("blocked", "ines"), ("lifted", "ines")]
    assert trail[0].after["reference"] == "A-1"


def test_rules_and_searches_look_into_it_and_nobody_fills_it_past_the_checks(database: Database) -> None:
    block(database, "203.0.113.0/24")
    members = ListBook(database).members(blocks.LIST)
    assert members is not None
    assert members.has(FREE)
    assert not members.has("203.0.112.9")
    with database.write() as session:
        with pytest.raises(ValueError, match="mozdef blocks"):
            lists.add(session, blocks.LIST, [lists.Entry("10.0.0.1")], ACTOR)
        with pytest.raises(ValueError, match="mozdef blocks"):
            lists.create(session, blocks.LIST, "addresses", "", ACTOR)


@pytest.fixture
def book(url: str) -> Iterator[SqlBook]:
    opened = SqlBook(url, guard=BlockGuard(["198.51.100.0/24"]))
    yield opened
    opened.close()


def act(book: SqlBook, wanted: Block, second: float = 0) -> tuple[str, str]:
    """Let an action ask for a block; return what stands in the alert's history."""
    (alert,) = book.record(BatchRecord(alerts=[finding(event_at(second), user=f"g{second}")]))
    (task,) = book.due_tasks([("block_ip", False)], 1, 60)
    book.settle_tasks([(task, TaskResult("done", change=AlertChange(block=wanted)))])
    with book.database.read() as session:
        (entry,) = [one for one in audit.entries(session, "alert", alert.id) if one.action == "action"]
    return entry.after["outcome"], entry.after["text"]


def test_an_action_blocks_with_the_alert_as_reference(book: SqlBook) -> None:
    outcome, text = act(book, Block(FREE))
    assert (outcome, text.partition(" until ")[0]) == ("done", f"blocked {FREE}")
    with book.database.read() as session:
        (entry,) = blocks.collect(session, now_us())
        (trail,) = audit.entries(session, "block", FREE)
    assert (entry.creator, entry.comment, entry.source) == ("MozDef", "Automatic Block", "action")
    assert len(entry.reference) == 26
    assert (trail.actor, trail.actor_kind) == ("block_ip", "plugin")


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Block("10.0.0.1"), "not blocked: 10.0.0.1: cannot be blocked, since 10.0.0.0/8 is private"),
        (
            Block("198.51.100.5"),
            "not blocked: 198.51.100.5: cannot be blocked, since 198.51.100.0/24 is on the white list",
        ),
        (Block("nobody"), "not blocked: expected an address or a network such as 192.0.2.0/24, got 'nobody'"),
        (Block(FREE, duration="permanent"), "not blocked: duration: expected one of"),
        (
            Block(FREE, max_per_hour=0),
            "not blocked: 203.0.113.9: actions have blocked 0 addresses within the hour",
        ),
    ],
)
def test_what_is_refused_to_an_action_stands_in_the_history(
    book: SqlBook, wanted: Block, reason: str
) -> None:
    outcome, text = act(book, wanted)
    assert outcome == "skipped"
    assert text.startswith(reason)
    assert standing(book.database) == []


def test_a_dry_run_checks_and_blocks_nothing(book: SqlBook) -> None:
    assert act(book, Block(FREE, dry_run=True)) == ("done", f"dry run: {FREE} would be blocked for 1d")
    assert act(book, Block("10.0.0.1", dry_run=True), 1)[0] == "skipped"
    assert standing(book.database) == []


def test_actions_block_only_so_many_within_the_hour_and_people_do_not_count(book: SqlBook) -> None:
    block(book.database, "203.0.113.1")
    for number in range(3):
        assert act(book, Block(f"203.0.113.{number + 10}", max_per_hour=3), number)[0] == "done"
    assert act(book, Block("203.0.113.20", max_per_hour=3), 4)[0] == "skipped"
    assert act(book, Block("203.0.113.12", "1w", max_per_hour=3), 5)[0] == "done"  # it is blocked already
    assert len(standing(book.database)) == 4


def test_settling_again_blocks_nothing_again(book: SqlBook) -> None:
    book.record(BatchRecord(alerts=[finding(event_at(0))]))
    (task,) = book.due_tasks([("block_ip", False)], 1, 60)
    result = TaskResult("done", change=AlertChange(block=Block(FREE)))
    book.settle_tasks([(task, result)])
    with book.database.write() as session:
        blocks.lift(session, FREE, ACTOR, now_us())
    book.settle_tasks([(task, result)])
    assert standing(book.database) == []


def test_this_machines_addresses_are_known() -> None:
    from mozdef_core.services.own_addresses import caller_addresses, own_addresses

    assert "127.0.0.1" in own_addresses()
    os.environ["SSH_CONNECTION"] = "203.0.113.5 50000 198.51.100.1 22"
    try:
        assert caller_addresses() == ["203.0.113.5"]
    finally:
        del os.environ["SSH_CONNECTION"]
