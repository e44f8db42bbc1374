"""Events for benchmarks: what a middle-sized site sends in some days, the same with the same ids for the same seed.

Six kinds of sources, 200 names of details, addresses and users that are unevenly spread as they are in life (few are
seen often, many once), a brute force from one address each hour, and one key that is rare. An event has about 860
bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from mozdef_core.event import Event, first_id_at, isoformat

FIRST_US = 1_790_035_200_000_000
"""2026-09-22T00:00:00Z, when the first event happens."""
DAY_US = 86_400_000_000
DAYS = 3
RARE = "details.implant"
HOSTS = [
    f"{name}{number}.lab.example" for name in ("web", "db", "mail", "vpn", "build") for number in range(40)
]
USERS = [f"{first}.{last}" for first in ("ines", "joe", "mia", "otto", "ava", "kim", "leo", "zoe", "ben", "eva")
         for last in ("alves", "braun", "costa", "diaz", "evans", "fox", "gray", "hall", "ito", "jones")]  # fmt: skip
PATHS = ["/", "/cart", "/login", "/api/v1/orders", "/static/app.js", "/admin", "/search", "/health"]
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0", "okhttp/4.12", "python-httpx/0.27"]
WORDS = [
    "cache",
    "miss",
    "queue",
    "flush",
    "retry",
    "worker",
    "started",
    "stopped",
    "lease",
    "renewed",
    "shard",
    "moved",
    "disk",
    "slow",
    "token",
    "refreshed",
]


class Corpus:
    """Makes events one after the other, in the order in which they are received.

    :param count: how many there will be; they are spread evenly over the days.
    """

    def __init__(self, count: int, days: int = DAYS, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._count = count
        self._step_us = days * DAY_US / count
        self._made = 0
        self._networks = [
            f"{self._chance.randrange(1, 224)}.{self._chance.randrange(256)}" for _ in range(3_000)
        ]

    def batches(self, size: int) -> Iterator[list[Event]]:
        """Yield the events, so many at a time."""
        while self._made < self._count:
            number = min(size, self._count - self._made)
            places = range(self._made, self._made + number)
            yield [
                self._event(f"{first_id_at(self._received_us(place))[:10]}{place:016d}", place)
                for place in places
            ]
            self._made += number

    def _received_us(self, number: int) -> int:
        return FIRST_US + int(number * self._step_us)

    def address(self) -> str:
        """Return an outside address; one in three belongs to a few hundred that are seen all the time."""
        chance = self._chance
        network = self._networks[int(len(self._networks) * chance.random() ** 3)]
        if chance.random() < 0.3:
            return f"{network}.7.{int(20 * chance.random())}"
        return f"{network}.{chance.randrange(256)}.{chance.randrange(1, 255)}"

    def user(self) -> str:
        """Return a user; some are far busier than others."""
        return USERS[int(len(USERS) * self._chance.random() ** 2)]

    def _event(self, event_id: str, number: int) -> Event:
        chance = self._chance
        us = self._received_us(number)
        happened = isoformat(us - chance.randrange(2_000_000))
        host = HOSTS[int(len(HOSTS) * chance.random() ** 1.5)]
        dice = chance.random()
        if dice < 0.4:
            category, program, summary, details = self._sshd(us)
        elif dice < 0.65:
            category, program, summary, details = self._firewall()
        elif dice < 0.8:
            category, program, summary, details = self._web()
        elif dice < 0.9:
            category, program, summary, details = self._dns()
        else:
            category, program, summary, details = self._application(number)
        details["program"] = program
        body = {
            "timestamp": happened, "utctimestamp": happened, "receivedtimestamp": isoformat(us), "hostname": host,
            "processname": program, "processid": str(chance.randrange(300, 32_000)),
            "severity": "INFO" if dice < 0.95 else "WARNING", "category": category, "source": "authpriv" if dice < 0.4 else "daemon",
            "summary": summary, "tags": ["syslog", host[:2]], "type": "event", "details": details, "mozdefhostname": "siem1.example",
            "mozdef": {"plugins": ["linux", "geoip"], "problems": [], "defaulted": [], "input": {"name": "syslog", "kind": "syslog", "peer": "192.0.2.1"},
                       "worker": {"host": "siem1.example", "process": 1}},
        }  # fmt: skip
        return Event(event_id, body)

    def _sshd(self, us: int) -> tuple[str, str, str, dict[str, Any]]:
        chance = self._chance
        attack = us % 3_600_000_000 < 120_000_000 and chance.random() < 0.2
        address = f"203.0.113.{us // 3_600_000_000 % 250}" if attack else self.address()
        user, port, works = (
            ("root", chance.randrange(1_024, 65_536), False)
            if attack
            else (self.user(), chance.randrange(1_024, 65_536), chance.random() < 0.6)
        )
        verb = "Accepted publickey" if works else "Failed password"
        return "syslog", "sshd", f"{verb} for {user} from {address} port {port} ssh2", {
            "username": user, "sourceipaddress": address, "sourceport": port, "success": works,
            "authmethod": "publickey" if works else "password", "sourceipgeolocation": self._place(),
        }  # fmt: skip

    def _firewall(self) -> tuple[str, str, str, dict[str, Any]]:
        chance = self._chance
        source, target = (
            self.address(),
            f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
        )
        port = chance.choice([22, 53, 80, 443, 443, 443, 3389, 8443])
        return "firewall", "kernel", f"DROP IN=eth0 SRC={source} DST={target} PROTO=TCP DPT={port}", {
            "sourceipaddress": source, "destinationipaddress": target, "destinationport": port,
            "sourceport": chance.randrange(1_024, 65_536), "action": "drop", "protocol": "tcp", "bytes": chance.randrange(40, 1_500),
            "sourceipgeolocation": self._place(),
        }  # fmt: skip

    def _web(self) -> tuple[str, str, str, dict[str, Any]]:
        chance = self._chance
        address, path, status = (
            self.address(),
            chance.choice(PATHS),
            chance.choice([200, 200, 200, 304, 401, 404, 500]),
        )
        return "web", "nginx", f"{address} GET {path} {status}", {
            "sourceipaddress": address, "destinationuri": f"https://shop.example{path}?s={chance.randrange(100_000)}",
            "useragent": chance.choice(AGENTS), "status": status, "duration_float": round(chance.expovariate(20), 4),
            "bytes": chance.randrange(100, 90_000), "sourceipgeolocation": self._place(),
        }  # fmt: skip

    def _dns(self) -> tuple[str, str, str, dict[str, Any]]:
        chance = self._chance
        name = f"{chance.choice(WORDS)}{chance.randrange(3_000)}.example.net"
        address = f"10.{chance.randrange(4)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
        return "dns", "named", f"client {address} query {name} IN A", {
            "sourceipaddress": address, "query": name, "qtype": chance.choice(["A", "AAAA", "MX", "TXT"]), "rcode": chance.choice(["NOERROR", "NXDOMAIN"]),
        }  # fmt: skip

    def _application(self, number: int) -> tuple[str, str, str, dict[str, Any]]:
        chance = self._chance
        details: dict[str, Any] = {
            f"app{chance.randrange(120)}": f"{chance.choice(WORDS)}-{chance.randrange(10_000)}"
            for _ in range(5)
        }
        details |= {f"metric{chance.randrange(60)}": chance.randrange(1_000) for _ in range(3)}
        details |= {
            "username": self.user(),
            "request": f"{chance.getrandbits(64):016x}",
            "region": chance.choice(["eu1", "eu2", "us1"]),
        }
        if number % 40_000 < 10:
            details[RARE.partition(".")[2]] = f"stage{number % 3}"
        return (
            "application",
            "ledgerd",
            f"{' '.join(chance.choices(WORDS, k=7))} {chance.randrange(1_000)}",
            details,
        )

    def _place(self) -> dict[str, Any]:
        chance = self._chance
        return {
            "country_code": chance.choice(["PT", "DE", "US", "BR", "JP", "FR"]),
            "city": chance.choice(["Lisboa", "Berlin", "Austin"]),
            "latitude": 38.7,
            "longitude": -9.1,
        }
