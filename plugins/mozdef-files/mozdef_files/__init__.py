"""Follows log files and reads standard input (input)."""

from __future__ import annotations

import glob
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson

from mozdef_core import Field, Input, Intake, InvalidItemError, QueueError
from mozdef_core import Options as PluginOptions
from mozdef_files.follower import Follower
from mozdef_files.positions import Positions

_COMPRESSED = re.compile(r"\.(gz|xz|zst|bz2|zip)$")
_STANDARD_INPUT = "-"
_BATCH = 1_000


class FilesOptions(PluginOptions):
    """Options in the table ``[input.files]``."""

    paths: list[str] = Field(
        min_length=1, description="files to follow, as names or globs; '-' is standard input"
    )
    state_dir: Path = Field(Path("var/files"), description="directory in which positions are kept")
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="what a line is: a JSON object, the text of a message, or whichever it looks like"
    )
    start: Literal["end", "beginning"] = Field(
        "end", description="where a file is begun that was there at first start"
    )
    fields: dict[str, str] = Field({}, description="fields of every event that does not say so itself")
    interval_s: float = Field(0.25, ge=0.05, le=60, description="seconds between looks at the files")


class FilesInput(Input[FilesOptions]):
    """Reads lines of files as they are written."""

    Options = FilesOptions
    kind = "file"
    decoder = "files"

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        """Read one line: a JSON object, or the text of a message."""
        form = self.options.format
        if form == "json" or (form == "auto" and raw.lstrip()[:1] == b"{"):
            try:
                value = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                if form == "json":
                    raise InvalidItemError("invalid-json", f"the line is not JSON: {error}") from None
            else:
                if isinstance(value, dict):
                    return value
                if form == "json":
                    raise InvalidItemError("not-an-object", "the line is JSON, but an object is required")
        text = raw.decode("utf-8", "replace").strip()
        if not text:
            raise InvalidItemError("empty-message", "the line is empty")
        return {"message": text}

    def bind(self) -> None:
        """Make the directory of the positions.

        :raises OSError: it cannot be made or written; the text names it.
        """
        try:
            self.options.state_dir.mkdir(parents=True, exist_ok=True)
            Positions(self.options.state_dir).check()
        except OSError as error:
            raise OSError(error.errno, f"state_dir {self.options.state_dir}: {error.strerror}") from error

    def run(self, intake: Intake, stop: threading.Event) -> None:
        """Follow the files until ``stop`` is set; with standard input alone, until its end."""
        if self.options.paths == [_STANDARD_INPUT]:
            self._read_standard_input(intake, stop)
            return
        positions = Positions(self.options.state_dir)
        followers: dict[str, Follower] = {}
        first = not positions.known
        try:
            while not stop.is_set():
                for path in self._files():
                    follower = followers.get(path)
                    if follower is None:
                        skip = first and self.options.start == "end"
                        follower = followers[path] = Follower(Path(path), positions, skip_content=skip)
                    self._read_some(follower, intake, stop)
                first = False
                for path in [path for path, follower in followers.items() if follower.finished]:
                    followers.pop(path).close()
                stop.wait(self.options.interval_s)
        finally:
            for follower in followers.values():
                follower.close()

    def _files(self) -> Sequence[str]:
        found = {path for pattern in self.options.paths for path in glob.glob(pattern, recursive=True)}  # noqa: PTH207  # patterns may be absolute
        return sorted(path for path in found if not _COMPRESSED.search(path) and Path(path).is_file())

    def _read_some(self, follower: Follower, intake: Intake, stop: threading.Event) -> None:
        """Hand over what a file has to give; while the queue takes nothing, wait and try the same lines again."""
        while not stop.is_set() and (lines := follower.read(_BATCH)):
            fields = {"eventsource": str(follower.path), **self.options.fields}
            while not self._put(intake, [line for _, line in lines], [key for key, _ in lines], fields, stop):
                if stop.is_set():
                    return
            follower.confirm()

    @staticmethod
    def _put(
        intake: Intake,
        lines: Sequence[bytes],
        keys: Sequence[str | None],
        fields: Mapping[str, Any],
        stop: threading.Event,
    ) -> bool:
        try:
            intake.put(lines, sender_ids=keys, fields=fields)
        except QueueError as error:
            stop.wait(error.retry_after_s)
            return False
        return True

    def _read_standard_input(self, intake: Intake, stop: threading.Event) -> None:
        source = sys.stdin.buffer
        while not stop.is_set() and (lines := source.readlines(65_536)):
            full = [line.rstrip(b"\r\n") for line in lines if line.strip()]
            while full and not self._put(intake, full, [None] * len(full), self.options.fields, stop):
                if stop.is_set():
                    return


__all__ = ["FilesInput", "FilesOptions"]
