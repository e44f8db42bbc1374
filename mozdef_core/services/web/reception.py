"""Reception: the server's side of a request, from its head to a thread of the application and back."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, Final, NoReturn

from mozdef_core.services.web.app import BREAK_OFF
from mozdef_core.services.web.policy import RefusalError
from mozdef_core.services.web.reading import Bodies, hear_out

PAUSE_S: Final = 0.5
"""How long a connection that is broken off is held before; so a sender that tries again does something else, too."""

_Response = tuple[int, list[tuple[str, str]], bytes]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Refused:
    """The body of a request that could not be read: whoever reads it learns why."""

    def __init__(self, error: RefusalError) -> None:
        self._error = error

    def read(self, _size: int = -1) -> NoReturn:
        """Raise what became of the body."""
        raise self._error


class Reception:
    """Runs a WSGI application (PEP 3333) behind Granian's RSGI.

    Granian's own WSGI waits for a body in a thread, for ever; so many senders that stall as there are threads stop
    everything. Here bodies are read in the event loop, and a thread is taken only when there is something to do.

    :param threads: so many requests are worked on at once; more wait for their turn.
    """

    def __init__(self, app: Wsgi, bodies: Bodies, threads: int) -> None:
        self._app = app
        self._bodies = bodies
        self._pool = ThreadPoolExecutor(threads, "web")

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """End the threads, when the server has stopped."""
        self._pool.shutdown()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        environ = environ_of(scope)
        size_bytes, refusal = 0, None
        try:
            body = await self._bodies.read(environ, protocol)
        except RefusalError as error:
            refusal = error
            environ["wsgi.input"] = Refused(error)
        else:
            size_bytes = len(body)
            environ["wsgi.input"] = io.BytesIO(body)
            del body
        try:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()
            job = self._pool.submit(self._work, environ, protocol, loop, done)
            await done
        finally:
            del environ["wsgi.input"]  # the thread's bottle.request refers to the rest until its next request
            self._bodies.release(size_bytes)
        unsent = job.result()
        if unsent is not None:
            await _break_off(protocol, *unsent)
        if refusal is not None and refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            await hear_out(protocol)

    def _work(
        self,
        environ: dict[str, Any],
        protocol: Any,
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[None],
    ) -> _Response | None:
        """Call the application and send its answer, in a thread; return the answer that is not to be sent whole.

        Sent from the event loop it would wait there for its turn, and for Python's lock once more.
        """
        try:
            answer = self._call(environ)
            if BREAK_OFF in environ:
                return answer
            protocol.response_bytes(*answer)
            return None
        finally:
            loop.call_soon_threadsafe(_finish, done)

    def _call(self, environ: dict[str, Any]) -> _Response:
        """Call the application."""
        status, headers = 500, [("Content-Length", "0")]

        def start(line: str, fields: list[tuple[str, str]], _problem: object = None) -> None:
            nonlocal status, headers
            status, headers = int(line.partition(" ")[0]), list(fields)

        parts = self._app(environ, start)
        try:
            content = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        if isinstance(environ["wsgi.input"], Refused):
            # What is left of the body cannot be told from a next request.
            headers.append(("Connection", "close"))
        return status, headers, content


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():  # it is when the loop ends before its tasks
        done.set_result(None)


async def _break_off(protocol: Any, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
    """Begin an answer and stop short of its length: the server then breaks the connection off."""
    kept = [field for field in headers if field[0].lower() != "content-length"]
    stream = protocol.response_stream(status, [*kept, ("Content-Length", str(len(content) + 1))])
    await stream.send_bytes(b" ")
    await asyncio.sleep(PAUSE_S)


def environ_of(scope: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request, all but its body."""
    address, _, port = scope.client.rpartition(":")
    server, _, server_port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": server_port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": address.strip("[]"),
        "REMOTE_PORT": port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if name == "content-length":
            key = "CONTENT_LENGTH"
        elif name == "content-type":
            key = "CONTENT_TYPE"
        else:
            key = f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
