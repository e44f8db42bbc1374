"""The demo's story: an attack on a small company, as its machines would log it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

ATTACKER: Final = "203.0.113.66"
_GUESSES: Final = ("root", "admin", "oracle", "postgres", "test", "ubuntu", "git", "jenkins")
_STAFF: Final = ("ines", "jo", "marek", "tola")
_HOSTS: Final = ("web1.lab.example", "web2.lab.example", "db4.lab.example", "build1.lab.example")
_PAGES: Final = ("/", "/cart", "/login", "/api/orders/17", "/img/logo.svg")


def tell(now: datetime, seed: int = 1) -> Iterator[tuple[timedelta, dict[str, Any]]]:
    """Yield the events of the story, each with when it happens after the beginning.

    Daily work goes on all the time; somebody guesses ssh passwords, comes in as root, looks around, becomes
    another user and changes an account.

    :param now: when the story begins.
    :param seed: the same seed tells the same story, with the same ids: a server that has just had it knows it again.
    """
    chance = random.Random(seed)  # noqa: S311  # a story needs no secrets
    events = [*_daily_work(chance), *_attack(chance)]
    for number, (after, event) in enumerate(sorted(events, key=lambda pair: pair[0])):
        timestamp = (now + after).astimezone(UTC).isoformat()
        yield after, {"event_id": f"demo:{seed}:{number}", "timestamp": timestamp, **event}


def _line(host: str, program: str, message: str, facility: str = "authpriv") -> dict[str, Any]:
    return {
        "hostname": host, "program": program, "processid": str(1000 + len(message) * 7 % 900), "message": message,
        "category": "syslog", "facility": facility, "severity": "INFO", "tags": ["demo"],
    }  # fmt: skip


def _daily_work(chance: random.Random) -> Iterator[tuple[timedelta, dict[str, Any]]]:
    for number in range(120):
        after = timedelta(seconds=number / 4)
        host = chance.choice(_HOSTS)
        address = f"198.51.100.{chance.randrange(2, 250)}"
        kind = number % 4
        if kind == 0:
            user = chance.choice(_STAFF)
            key = f"ED25519 SHA256:{chance.randbytes(6).hex()}"
            yield (
                after,
                _line(host, "sshd", f"Accepted publickey for {user} from {address} port 51022 ssh2: {key}"),
            )
        elif kind == 1:
            page = chance.choice(_PAGES)
            yield after, {
                "hostname": host, "program": "nginx", "category": "web", "severity": "INFO", "tags": ["demo"],
                "summary": f'{address} "GET {page} HTTP/1.1" 200',
                "details": {"sourceipaddress": address, "destinationuri": page, "status": 200},
            }  # fmt: skip
        elif kind == 2:
            yield after, _line(host, "CRON", f"({chance.choice(_STAFF)}) CMD (/usr/local/bin/rotate)", "cron")
        else:
            user = chance.choice(_STAFF)
            yield after, _line(host, "sshd", f"pam_unix(sshd:session): session closed for user {user}")


def _attack(chance: random.Random) -> Iterator[tuple[timedelta, dict[str, Any]]]:
    host = "db4.lab.example"
    for number in range(24):
        user = _GUESSES[number % len(_GUESSES)]
        unknown = "" if user in ("root", "git") else "invalid user "
        port = 40_000 + chance.randrange(9_000)
        message = f"Failed password for {unknown}{user} from {ATTACKER} port {port} ssh2"
        yield timedelta(seconds=4 + number * 0.4), _line(host, "sshd", message)
    yield (
        timedelta(seconds=14.2),
        _line(host, "sshd", f"Accepted password for root from {ATTACKER} port 41999 ssh2"),
    )
    yield (
        timedelta(seconds=14.3),
        _line(host, "sshd", "pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)"),
    )
    yield (
        timedelta(seconds=17),
        _line(
            host,
            "su",
            "pam_unix(su-l:session): session opened for user postgres(uid=109) by root(uid=0)",
            "auth",
        ),
    )
    yield timedelta(seconds=19), {
        "hostname": host, "processname": "ledgerd", "category": "account update", "severity": "NOTICE",
        "source": "auditlog", "tags": ["demo", "payments"], "summary": "postgres changed the payout account of shop 17",
        "details": {"username": "postgres", "sourceipaddress": ATTACKER, "shop": 17, "success": True},
    }  # fmt: skip
    yield (
        timedelta(seconds=24),
        _line(host, "sshd", f"Received disconnect from {ATTACKER} port 41999:11: disconnected by user"),
    )
