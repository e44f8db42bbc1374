"""Print figures: end to end over HTTP, with one mapper, GeoIP and three rules. Nothing here passes or fails.

Usage: python -m tests.bench [--quick]
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from tests.running import Service, eventually

BATCH = 500


def event(number: int) -> dict[str, object]:
    """Return an event of some 600 bytes, as syslog-ng would send it."""
    return {
        "PRIORITY": "info", "ISODATE": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "HOST": f"web{number % 40}.lab.example",
        "PROGRAM": "sshd", "PID": str(4000 + number % 900), "FACILITY": "authpriv", "SOURCEIP": "192.0.2.10",
        "MESSAGE": f"Failed password for invalid user user{number % 500} from 81.2.{number % 256}.{number % 250} port {20000 + number % 40000} ssh2",
        "details": {"region": "eu1", "cluster": f"c{number % 7}", "note": "x" * 200, "n": number},
    }  # fmt: skip


def usage(service: Service) -> tuple[float, float]:
    """Return CPU seconds used so far and memory (PSS, MB) of all processes."""
    cpu = pss = 0.0
    for pid in [service.process.pid, *service.children(), *service.writers()]:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu += (int(fields[11]) + int(fields[12])) / 100
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return cpu, pss


def post(service: Service, body: bytes) -> None:
    """Post a body; 200 is required."""
    with urlopen(Request(service.url + "/nxlog", data=body, method="POST"), timeout=60) as answer:
        answer.read()


def wait_stored(service: Service, total: int) -> None:
    """Wait until so many events can be found."""
    assert eventually(lambda: service.count() >= total, 300, 0.2)


def measure(service: Service, label: str, bodies: list[bytes], each: int, threads: int) -> None:
    """Send bodies from some threads, wait until all is searchable, and print the figures."""
    before = service.count()
    cpu_before, _ = usage(service)
    began = time.monotonic()
    parts = [bodies[number::threads] for number in range(threads)]
    running = [
        threading.Thread(target=lambda part=part: [post(service, body) for body in part]) for part in parts
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    accepted_s = time.monotonic() - began
    total = len(bodies) * each
    wait_stored(service, before + total)
    stored_s = time.monotonic() - began
    cpu, pss = usage(service)
    print(
        f"{label}: {total / accepted_s:,.0f} events/s accepted, {total / stored_s:,.0f} events/s searchable, "
        f"{1e6 * (cpu - cpu_before) / total:,.0f} us CPU an event, {pss:.0f} MB PSS"
    )


def main(*, quick: bool) -> None:
    """Run the benchmark in a temporary directory."""
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "city.mmdb"
        writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True)
        writer.insert_network(
            IPSet(["81.2.0.0/16"]), {"country": {"iso_code": "GB"}, "city": {"names": {"en": "London"}}}
        )
        writer.to_db_file(str(database))
        service = Service(
            Path(scratch), plugins=["linux", "geoip"],
            tables=f'[plugin.geoip]\ndatabase = "{database}"\n[alerts]\nenabled = ["ssh_*"]\n'
            '[alerts.ssh_access]\nwatchlist = [{ ipaddress = "198.51.100.7" }]\n'
            '[alerts.ssh_access_signreleng]\nhostfilter = "sign.*"\n',
        )  # fmt: skip
        began = time.monotonic()
        service.start()
        print(f"first start to ready: {time.monotonic() - began:.2f} s")
        time.sleep(3)
        cpu, pss = usage(service)
        time.sleep(5)
        print(f"idle: {pss:.0f} MB PSS, {100 * (usage(service)[0] - cpu) / 5:.1f} % of a core")
        size = 20_000 if quick else 200_000
        lines = [json.dumps(event(number)).encode() for number in range(size)]
        print(f"an event has {sum(map(len, lines)) / size:.0f} bytes")
        batches = [b"\n".join(lines[start : start + BATCH]) for start in range(0, size, BATCH)]
        measure(service, f"batches of {BATCH}, 2 senders", batches, BATCH, 2)
        measure(service, "single events, 16 senders", lines[: size // 10], 1, 16)
        status = service.cli("status", check=False)
        for name, health in status["plugins"].items():
            if health["calls"]:
                print(
                    f"  plugin {name}: {1e6 * health['total_s'] / health['calls']:.1f} us a call, {health['calls']} calls"
                )
        service.stop()


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
