"""How fast HTTP takes events in, into the SQLite queue: ``python tests/bench/bench_web.py [seconds] [web options]``.

The web process runs alone, as in a unit of its own; nothing is worked off. Senders run in processes of their own on
the same machine and take their share of its processors, so the processor time of the server is the figure to
compare; it is given in microseconds an event.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import orjson

SENDERS = 2
EVENT = {
    "timestamp": "2026-11-24T02:00:00+00:00", "hostname": "web1.lab.example", "processname": "sshd",
    "processid": "4242", "severity": "INFO", "category": "syslog", "source": "auth", "tags": ["linux", "dmz"],
    "summary": "Failed password for invalid user bob from 203.0.113.9 port 22 ssh2",
    "details": {"program": "sshd", "sourceipaddress": "203.0.113.9", "username": "bob", "sourceport": 51544},
}  # fmt: skip


def body_of(count: int, form: str) -> tuple[str, bytes]:
    """Return the address and the body of a request with so many events."""
    documents = [orjson.dumps({**EVENT, "n": number}) for number in range(count)]
    if form == "bulk":
        action = b'{"index":{"_index": "events-20261124"}}\n'
        return "/_bulk", b"".join(action + document + b"\n" for document in documents)
    return "/events", b"[" + b",".join(documents) + b"]" if form == "array" else b"\n".join(documents)


def request_of(path: str, body: bytes) -> bytes:
    """Return a request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def exchange(connection: socket.socket, raw: bytes) -> None:
    """Send one request and read the answer to its end.

    :raises RuntimeError: it was not accepted, or the connection ended.
    """
    connection.sendall(raw)
    answer = b""
    while b"\r\n\r\n" not in answer:
        if not (part := connection.recv(65_536)):
            raise RuntimeError("the server broke the connection off")
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    received = len(body)
    while received < length:
        received += len(connection.recv(65_536))


def send(port: int, raw: bytes, connections: int, until_s: float, done: multiprocessing.Queue[int]) -> None:
    """Send one request again and again over so many connections, and report how many were accepted."""
    counts = [0] * connections

    def keep_sending(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while time.time() < until_s:
                exchange(connection, raw)
                counts[number] += 1

    threads = [threading.Thread(target=keep_sending, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.put(sum(counts))


def processes(pid: int) -> list[int]:
    """Return the ids of a process and of its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children, user and system."""
    total = 0
    for one in processes(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the proportional set size of a process and its children, in megabytes of 10^6 bytes."""
    total = 0
    for one in processes(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def start(directory: Path, options: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start the web process and wait until it takes events."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "mozdef.toml"
    config.write_text(
        f'[core]\ndata_dir = "{directory / "var"}"\nqueue_limit_bytes = "20GB"\n[web]\nlisten = "127.0.0.1:{port}"\n'
        + "\n".join(options)
    )
    command = [sys.executable, "-m", "mozdef_core.services", "web", "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(1_200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process, port
    raise RuntimeError("the web process does not listen")


def measure(pid: int, port: int, form: str, count: int, connections: int, seconds: float) -> None:
    """Print how many events a second come in in one form of request, and what they cost."""
    raw = request_of(*body_of(count, form))
    done: multiprocessing.Queue[int] = multiprocessing.Queue()
    began_s, cpu_before_s = time.time(), cpu_s(pid)
    senders = [
        multiprocessing.Process(
            target=send, args=(port, raw, connections // SENDERS, began_s + seconds, done)
        )
        for _ in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    requests = sum(done.get() for _ in senders)
    for sender in senders:
        sender.join()
    elapsed_s, used_s = time.time() - began_s, cpu_s(pid) - cpu_before_s
    events = requests * count
    print(
        f"{form:<8}{count:>6}{connections:>12}{requests / elapsed_s:>13,.0f}{events / elapsed_s:>13,.0f}"
        f"{used_s / events * 1e6:>13.1f}{memory_mb(pid):>9.1f}"
    )


def main() -> None:
    """Measure single events and batches of 500."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=5)
    parser.add_argument("options", nargs="*", help="lines of the table [web], such as threads=16")
    chosen = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bench-web-"))
    process, port = start(directory, chosen.options)
    try:
        time.sleep(1)
        print(f"idle: {memory_mb(process.pid):.1f} MB (PSS) in {len(processes(process.pid))} process(es)")
        heads = ("form", 8), ("events", -6), ("connections", -12), ("requests/s", -13), ("events/s", -13)
        heads += ("us CPU/event", -13), ("PSS MB", -9)
        print("".join(name.ljust(width) if width > 0 else name.rjust(-width) for name, width in heads))
        for form, count, connections in (
            ("lines", 1, 2), ("lines", 1, 32), ("array", 500, 2), ("lines", 500, 4), ("bulk", 500, 4),
        ):  # fmt: skip
            measure(process.pid, port, form, count, connections, chosen.seconds)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
