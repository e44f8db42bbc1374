"""The input itself: what the core finds under the entry point ``files``."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mozdef_core import Input, Intake, QueueError
from mozdef_files.audit import WITHIN_S, join_records
from mozdef_files.line import LONGEST, Cut, Line, cut_lines
from mozdef_files.positions import Positions
from mozdef_files.reader import make_reader
from mozdef_files.settings import STANDARD_INPUT, FilesOptions
from mozdef_files.tail import Tail
from mozdef_files.watch import Watch

_BATCH: Final = 1_000
_LOOK_S: Final = 1.0
_FIELDS: Final = {"audit": {"category": "auditd"}, "syslog": {"category": "syslog"}}


class FilesInput(Input[FilesOptions]):
    """Follows log files as they are written, or reads standard input to its end."""

    Options = FilesOptions
    kind = "file"
    decoder = "files"

    def __init__(self, options: FilesOptions) -> None:
        super().__init__(options)
        self._positions: Positions | None = None
        self._reader = make_reader(options.format)
        self._fields: dict[str, Any] = dict(_FIELDS.get(options.format, {}))
        self._fields |= options.fields
        if options.tags:
            self._fields["tags"] = options.tags

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one line, as its format says; see :mod:`mozdef_files.reader`."""
        return self._reader(raw)

    def bind(self) -> None:
        """Open and lock the positions.

        :raises OSError: that is not possible; the text names the directory.
        """
        if self._positions is None and self.options.paths != [STANDARD_INPUT]:
            self._positions = Positions(self.options.state_dir)

    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Follow the files until ``stop`` is set; with standard input, until its end."""
        if self.options.paths == [STANDARD_INPUT]:
            self._read_standard_input(intake, stop)
            return
        self.bind()
        positions, self._positions = self._positions, None
        if positions is None:
            return
        options = self.options
        audit, skip = options.format == "audit", options.start == "end"
        watch = Watch(options.paths, positions, skip=skip, most=options.max_files, audit=audit)
        try:
            self._follow(watch, positions, intake, stop)
        finally:
            watch.close()
            positions.close()

    def _follow(self, watch: Watch, positions: Positions, intake: Intake, stop: threading.Event) -> None:
        looked_s = -_LOOK_S
        while not stop.is_set():
            now_s = time.monotonic()
            if now_s - looked_s >= _LOOK_S:
                watch.look(now_s)
                looked_s = now_s
            moved = more = False
            for tail in watch:
                before = tail.position
                self._read(tail, watch, now_s, intake, stop)
                if tail.position != before:
                    positions.set(tail.position)
                    moved = True
                more = more or tail.more
            if moved:
                positions.save()
            if not more:
                stop.wait(self.options.interval_s)

    def _read(self, tail: Tail, watch: Watch, now_s: float, intake: Intake, stop: threading.Event) -> None:
        """Hand over what a file has to give, one batch at most, so that no file keeps the others waiting."""
        final = watch.finished(tail, now_s)
        uid = tail.position.uid
        try:
            lines = tail.read(_BATCH, now_s, final=final)
        except OSError as error:
            watch.complain(tail.position.path, error.strerror)
            tail.more = False
            if final:
                watch.drop(tail)
            return
        if tail.position.uid != uid and lines:
            tail.refuse()  # truncated: its new uid has to be written down before a line is put under it
            return
        if lines:
            ids = [line.sender_id(uid) for line in lines]
            if not self._put(intake, lines, ids, tail.position.path, stop):
                tail.refuse()
                return
            tail.confirm()
        if final and not tail.more:
            watch.drop(tail)

    def _put(
        self,
        intake: Intake,
        lines: Sequence[Line],
        ids: Sequence[str | None],
        path: str,
        stop: threading.Event,
    ) -> bool:
        """Put lines, as often as it takes; return False if told to stop before the queue has them."""
        fields = {"eventsource": path, **self._fields}
        raw = [line.raw for line in lines]
        while True:
            try:
                intake.put(raw, sender_ids=ids, fields=fields)
            except QueueError as error:
                if stop.wait(error.retry_after_s):
                    return False
            else:
                return True

    def _read_standard_input(self, intake: Intake, stop: threading.Event) -> None:
        descriptor, content, ended, came_s = sys.stdin.fileno(), b"", False, time.monotonic()
        while not ended:
            if select.select([descriptor], [], [], self.options.interval_s)[0]:
                received = os.read(descriptor, LONGEST)
                content, came_s = content + received, time.monotonic()
                ended = not received
            ended = ended or stop.is_set()
            quiet = ended or time.monotonic() - came_s >= WITHIN_S
            while (cut := self._cut(content, ended=ended, quiet=quiet)).size_bytes:
                if cut.lines and not self._put(intake, cut.lines, [None] * len(cut.lines), "stdin", stop):
                    intake.lost(len(cut.lines), "the queue did not take them before the files input ended")
                    return
                content = content[cut.size_bytes :]

    def _cut(self, content: bytes, *, ended: bool, quiet: bool) -> Cut:
        cut = cut_lines(content, 0, _BATCH, final=ended)
        if self.options.format != "audit":
            return cut
        return join_records(cut, 0, quiet=quiet, full=len(cut.lines) == _BATCH)
