"""What following a file costs: lines per second from the disk to the queue's door, and microseconds to read one.

Run it as ``python tests/bench/bench_files.py``; it needs no service. The intake only counts, so the first figure is
what the input itself can do; positions are written and synchronised as in operation. The best of several rounds is
printed, since other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mozdef_files import FilesInput, FilesOptions

from mozdef_core import Intake, PutResult


class Counter(Intake):
    """Counts lines and says when all have come."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.complete = threading.Event()

    def put(
        self,
        raw: Sequence[bytes],
        *,
        peer: str | None = None,
        sender_ids: Sequence[str | None] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> PutResult:
        """Count."""
        self.left -= len(raw)
        if self.left <= 0:
            self.complete.set()
        return PutResult([""] * len(raw), 0)

    def lost(self, count: int, reason: str) -> None:
        """Nothing is lost here."""


def auth_line(number: int) -> bytes:
    """Return a line of auth.log, about 110 bytes."""
    return (
        f"Nov 24 02:{number % 60:02d}:00 web{number % 20} sshd[{4_000 + number % 999}]: Failed password for invalid user "
        f"user{number} from 203.0.113.9 port {40_000 + number % 9_999} ssh2"
    ).encode()


def json_line(number: int) -> bytes:
    """Return a line that an application writes as JSON, about 150 bytes."""
    return (
        f'{{"timestamp":"2026-11-24T02:{number % 60:02d}:00Z","hostname":"web{number % 20}","severity":"INFO",'
        f'"summary":"order {number} was paid","details":{{"username":"ines","shop":{number % 17}}}}}'
    ).encode()


def follow_s(lines: Sequence[bytes], form: str) -> float:
    """Return how long a new input takes to hand over a file of these lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.log").write_bytes(b"\n".join(lines) + b"\n")
        options = {
            "paths": [f"{folder}/*.log"],
            "state_dir": folder / "state",
            "format": form,
            "start": "beginning",
        }
        source = FilesInput(FilesOptions.model_validate(options))
        intake, stop = Counter(len(lines)), threading.Event()
        source.bind()
        thread = threading.Thread(target=source.run, args=(intake, stop))
        started = time.perf_counter()
        thread.start()
        intake.complete.wait(120)
        taken = time.perf_counter() - started
        stop.set()
        thread.join()
    return taken


def main() -> None:
    """Print a line per format."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--lines", type=int, default=100_000)
    arguments.add_argument("--formats", nargs="+", default=["text", "json", "syslog"])
    chosen = arguments.parse_args()
    for form in chosen.formats:
        make = json_line if form == "json" else auth_line
        lines = [make(number) for number in range(chosen.lines)]
        follow = min(follow_s(lines, form) for _ in range(chosen.rounds))
        source = FilesInput(FilesOptions.model_validate({"paths": ["x"], "format": form}))
        decode = min(decode_s(source, lines) for _ in range(chosen.rounds))
        print(
            f"{form}: {len(lines) / follow:,.0f} lines/s to the queue's door; decode {decode / len(lines) * 1e6:.2f} us a line"
        )


def decode_s(source: FilesInput, lines: Sequence[bytes]) -> float:
    """Return how long it takes to read lines, as the worker does."""
    started = time.perf_counter()
    for line in lines:
        source.decode(line)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
