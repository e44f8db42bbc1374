"""What this process and its children use, read from Linux's ``/proc``."""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICKS_S = 1 / os.sysconf("SC_CLK_TCK")


def children() -> list[int]:
    """Return the processes that this one has started and that still run, such as the writer of a store."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        try:
            text = (task / "children").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):  # the thread ended just now
            continue
        found.extend(int(pid) for pid in text.split())
    return found


def processor_s() -> float:
    """Return the CPU time of this process and its children, of all their threads."""
    return time.process_time() + sum(_processor_s(pid) for pid in children())


def held_mb() -> int:
    """Return the memory of this process and its children; what they share counts in proportion (PSS)."""
    return sum(_pss_kb(pid) for pid in (os.getpid(), *children())) // 1024


def _processor_s(pid: int) -> float:
    """Return the CPU time of a process in user and system mode (proc(5): fields 14 and 15 of stat)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # it ended just now
        return 0.0
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return (int(fields[11]) + int(fields[12])) * _TICKS_S


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
