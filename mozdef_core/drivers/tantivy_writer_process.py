"""The handle of the process that writes an embedded store: starts it, asks it, and notices when it is gone."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from mozdef_core.drivers.tantivy_writer_frames import receive, send
from mozdef_core.errors import StoreUnavailableError

log = logging.getLogger(__name__)

LOCK_S: Final = 5
"""How long the writer before, whose user was killed, may take to end."""
CLOSE_S: Final = 20
"""How long a writer may take to close its files before it is killed; nothing is lost then either."""
_MODULE: Final = "mozdef_core.drivers.tantivy_writer_child"
_BUFFER_BYTES: Final = 262_144
_PIPE_BYTES: Final = 1_048_576


class WriterProcess:
    """A process that holds a store's only writer. It ends with this one, however this one ends.

    May be used from several threads; calls come one after the other, and none of them holds the interpreter's lock
    while it waits. A writer that has died is started again by the next call.

    :param path: directory of the store.
    :param options: those of the store.
    :raises StoreUnavailableError: it cannot be started, or another process has the store open for writing.
    """

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self._path = path
        self._options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        # The kernel ends a writer with the thread that started it, which must therefore live as long as this does.
        self._starter = ThreadPoolExecutor(1, "store-writer", initializer=_block_signals)
        try:
            self._start()
        except BaseException:
            self._starter.shutdown()
            raise

    @property
    def pid(self) -> int | None:
        """The process id, or None when there is no writer at the moment."""
        return None if self._process is None else self._process.pid

    def call(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> dict[str, Any]:
        """Ask the writer for something and return its answer.

        :raises StoreUnavailableError: it says so, or it died; nothing of the call counts as done.
        """
        with self._lock:
            if self._closed:
                raise StoreUnavailableError(f"the store {self._path} has been closed in this process")
            if self._process is not None and self._process.poll() is not None:
                log.warning("%s; another is started", self._bury())
            if self._process is None:
                self._start()
            return self._exchange(head, parts)

    def close(self) -> None:
        """Have the writer close the store, and wait until it has ended."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                with suppress(OSError):
                    send(_pipe(self._process.stdin), {"call": "close"})
                try:
                    self._process.wait(CLOSE_S)
                except subprocess.TimeoutExpired:
                    log.warning("the writer of %s does not end and is killed", self._path)
                self._bury()
            self._starter.shutdown()

    def _start(self) -> None:
        try:
            self._process = self._starter.submit(self._spawn).result()
        except OSError as error:
            raise StoreUnavailableError(
                f"no process can be started to write the store {self._path}: {error}"
            ) from error
        with suppress(OSError):  # the system may allow less, and smaller pipes are only slower
            fcntl.fcntl(_pipe(self._process.stdin), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._exchange({"parent": os.getpid(), "options": self._options, "lock_s": LOCK_S})
        except StoreUnavailableError:
            if self._process is not None:
                self._bury()
            raise

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # this interpreter, this package, a path that no shell sees
            [sys.executable, "-P", "-m", _MODULE, str(self._path)],
            bufsize=_BUFFER_BYTES,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _exchange(self, head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> dict[str, Any]:
        assert self._process is not None
        try:
            send(_pipe(self._process.stdin), head, parts)
            answer, _ = receive(_pipe(self._process.stdout))
        except (OSError, EOFError) as error:
            raise StoreUnavailableError(
                f"{self._bury()}; nothing of this call counts as stored, and the next one starts another"
            ) from error
        except BaseException:  # interrupted: the answer would be taken for that of the next call
            self._bury()
            raise
        for name, level, text in answer["log"]:
            logging.getLogger(name).log(level, "%s", text)
        if "error" in answer:
            raise StoreUnavailableError(answer["error"])
        return answer

    def _bury(self) -> str:
        """Make sure that the writer has ended, which frees the store for the next, and return how it did."""
        process, self._process = self._process, None
        assert process is not None
        pipes = (_pipe(process.stdin), _pipe(process.stdout))
        for pipe in pipes:
            with suppress(OSError):  # what was not sent cannot be flushed
                pipe.close()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
        code = process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"the writer of the store {self._path}, process {process.pid}, {how}"


def _block_signals() -> None:
    """Keep from the processes that this thread starts what reaches the whole group."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
