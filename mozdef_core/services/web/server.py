"""The web role: the application behind Granian, drained on SIGTERM."""

from __future__ import annotations

import errno
import logging
import resource
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from mozdef_core.config import Config
from mozdef_core.errors import BookUnavailableError, ConfigError
from mozdef_core.services import compose
from mozdef_core.services.heartbeat import Heartbeat
from mozdef_core.services.rule_books import LazyLists
from mozdef_core.services.web.policy import (
    DEFAULT_POLICIES,
    BodyLimits,
    EntrancePolicy,
    Limits,
    WebSettings,
)

if TYPE_CHECKING:
    from mozdef_core.casework.book import SqlBook

log = logging.getLogger(__name__)

_OPEN_FILES = 16_384
_LOOK_S = 0.02


def run(config: Config, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM; every request that was accepted is answered before it returns.

    :raises ConfigError: the address cannot be listened on.
    """
    from granian.constants import HTTPModes, Interfaces, SSLProtocols
    from granian.http import HTTP1Settings
    from granian.server.mp import MPServer
    from granian.server.mt import MTServer

    class OneProcess(MTServer):
        """The server with its one worker in a thread of this process: half the memory of two processes."""

        def _check_gil(self) -> None:
            """Granian would have it for free-threaded Python only; one worker needs no other."""

    _check_address(config)
    server = OneProcess if config.web.workers == 1 else MPServer
    tls: dict[str, Any] = {}
    if config.web.tls_certificate is not None and config.web.tls_key is not None:
        tls = {
            "ssl_cert": config.resolve(config.web.tls_certificate),
            "ssl_key": config.resolve(config.web.tls_key),
            "ssl_protocol_min": SSLProtocols.tls12,
        }
    if tls and config.web.tls_client_ca is not None:
        tls |= {"ssl_ca": config.resolve(config.web.tls_client_ca), "ssl_client_verify": True}
    granian = server(
        "mozdef",
        address=config.web.host,
        port=config.web.port,
        interface=Interfaces.RSGI,
        workers=config.web.workers,
        blocking_threads=1,
        # Without a version to find out first, the time of a head runs from the connection on, whatever is sent on it.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(config.web.idle_timeout.total_seconds() * 1_000)
        ),
        backpressure=_most_connections(config.web.threads),
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        **tls,
    )
    granian.on_startup(partial(_when_listening, config, ready))
    granian.serve(target_loader=partial(_load, config), wrap_loader=False)


def _check_address(config: Config) -> None:
    """Find out whether the address can be listened on, with a better message than the server has.

    :raises ConfigError: it cannot.
    """
    host, port = config.web.host, config.web.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        hint = "; another program listens there, name a free port" if error.errno == errno.EADDRINUSE else ""
        reason = f"web.listen: cannot listen on {config.web.listen}: {(error.strerror or str(error)).lower()}{hint}"
        raise ConfigError([reason]) from None


def _when_listening(config: Config, ready: Callable[[], None]) -> None:
    """Say that the server is ready as soon as it takes connections, which Granian itself does not tell."""
    family, kind, _, _, address = socket.getaddrinfo(
        config.web.host, config.web.port, type=socket.SOCK_STREAM
    )[0]

    def look() -> None:
        while True:
            with socket.socket(family, kind) as probe:
                if probe.connect_ex(address) == 0:
                    break
            time.sleep(_LOOK_S)
        ready()

    threading.Thread(target=look, name="ready", daemon=True).start()


def _most_connections(threads: int) -> int:
    """Return how many connections a process holds at a time, after raising its limit of open files.

    Granian's back-pressure counts connections, not requests: a shipper keeps its own open while it has nothing to
    send, and with as few as there are threads the next one would never be served.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(2 * threads, min(wanted, soft) // 2)


def _load(config: Config, *_: Any) -> Any:
    """Make the application, in the process that serves it: its connections must not be shared."""
    from mozdef_core.services.web.access import Access
    from mozdef_core.services.web.api import Api
    from mozdef_core.services.web.api_store import LazyStore
    from mozdef_core.services.web.app import build_app
    from mozdef_core.services.web.ingest import Ingest
    from mozdef_core.services.web.readiness import Readiness
    from mozdef_core.services.web.reading import Bodies
    from mozdef_core.services.web.reception import Reception

    book = compose.open_book(config)
    settings = web_settings(config)
    bodies = Bodies(body_limits(config))
    readiness = Readiness(book, needs_tokens=settings.needs_tokens, load=bodies.snapshot)
    ingest = Ingest(compose.open_queue(config), settings, partial(_verify, book), readiness)
    Heartbeat(book, "web", lambda: {"requests": ingest.counts.snapshot()}).__enter__()
    store = LazyStore(partial(compose.open_store, config, "reader"))
    api = Api(
        Access(settings, partial(_verify, book)),
        store,
        config.web.searches,
        book.database,
        LazyLists(lambda: book.database),
    )
    return Reception(build_app(ingest, api), bodies, config.web.threads + config.web.searches)


def _verify(book: SqlBook, secret: str, scope: str) -> str | None:
    """Look a token up; while the database is away no token is known, and the sender is told to come back.

    :raises PermissionError: it is a token, but not for this scope.
    """
    from mozdef_core.casework import tokens
    from mozdef_core.services.web.policy import RefusalError

    try:
        with book.database.read() as session:
            token = tokens.verify(session, secret, scope)
            if token is None and tokens.find(session, secret) is not None:
                raise PermissionError(scope)
        if token is not None and tokens.use_is_due(token):
            with book.database.write() as session:
                tokens.note_use(session, token.id)
    except BookUnavailableError as error:
        raise RefusalError(503, "unavailable", "tokens cannot be checked now", retry_after_s=5) from error
    return None if token is None else token.label


def web_settings(config: Config) -> WebSettings:
    """Return what decides about a request, from the configuration."""
    policies = {}
    for name in (*DEFAULT_POLICIES, *(config.entrances.keys() - DEFAULT_POLICIES.keys())):
        entrance, default = config.entrance(name), DEFAULT_POLICIES.get(name, EntrancePolicy())
        given = "partial_status" in entrance.model_fields_set
        policies[name] = EntrancePolicy(
            open=entrance.open or config.web.open,
            partial_status=entrance.partial_status if given else default.partial_status,
            keep_rejected=entrance.keep_rejected,
            rate_limit=entrance.rate_limit,
            rate_burst=entrance.rate_burst,
        )
    return WebSettings(
        loopback=config.web.loopback,
        limits=Limits(body_bytes=config.web.max_body_bytes, items=config.web.max_items),
        entrances=policies,
        client_certificates=config.web.tls_certificate is not None and config.web.tls_client_ca is not None,
    )


def body_limits(config: Config) -> BodyLimits:
    """Return in what time and memory bodies must arrive, from the configuration."""
    web = config.web
    return BodyLimits(
        body_bytes=web.max_body_bytes,
        timeout_s=web.body_timeout.total_seconds(),
        rate_bytes_s=web.body_rate_bytes,
        memory_bytes=max(web.body_memory_bytes, web.max_body_bytes),
    )
