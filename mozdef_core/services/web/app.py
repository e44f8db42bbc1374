"""The web application: which address leads where."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import bottle
import orjson

from mozdef_core.services.web.answers import JSON, PRODUCT, Answer, anonymous
from mozdef_core.services.web.api import PREFIX, ROUTES, Api, refused
from mozdef_core.services.web.ingest import Entrance, Ingest
from mozdef_core.services.web.policy import RefusalError

log = logging.getLogger(__name__)

ELASTICSEARCH_VERSION: Final = "8.19.0"
"""What is said to Elasticsearch's clients, which adapt to the version of the server."""
BREAK_OFF: Final = "mozdef.break_off"
"""Key of the environment by which a request asks the server to break its connection off instead of answering."""
_WRITES: Final = ("POST", "PUT")
_APPLICATION: Final = r"[\w.-]{1,64}"


class JsonErrors(bottle.Bottle):  # type: ignore[misc]  # bottle has no types
    """An application that answers every error of the framework as JSON."""

    def default_error_handler(self, error: Any) -> str:
        """Return the body of an error's answer; what went wrong inside is logged, not shown."""
        bottle.response.content_type = JSON
        bottle.response.set_header("X-Content-Type-Options", "nosniff")
        codes = {
            404: ("not-found", "there is nothing at this address"),
            405: ("method-not-allowed", "use POST or PUT"),
        }
        code, reason = codes.get(error.status_code, ("error", "the request could not be handled"))
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and error.headers.get("Allow"):
            reason = f"use {error.headers['Allow'].replace(',', ' or ')}"
        if error.exception is not None:
            log.error("a request failed", exc_info=error.exception)
        if bottle.request.environ.get("PATH_INFO", "").startswith(PREFIX):
            return refused(RefusalError(error.status_code, code, reason)).body.decode()
        return orjson.dumps({"errors": [{"code": code, "reason": reason}]}).decode()


def build_app(ingest: Ingest, api: Api | None = None) -> bottle.Bottle:
    """Return the WSGI application of the entrances, and of the API if there is one."""
    app = JsonErrors()

    def entrance(make: Callable[..., Entrance]) -> Callable[..., Any]:
        def handler(**names: str) -> Any:
            return _send(ingest.take(bottle.request.environ, make(**names)))

        return handler

    for name in ("events", "nxlog", "cef"):
        for path in (f"/{name}", f"/{name}/"):
            app.route(path, _WRITES, entrance(lambda name=name: Entrance(name, name)))
    for path in ("/_bulk", "/_bulk/"):
        app.route(path, _WRITES, entrance(lambda: Entrance("bulk", "_bulk")))
    for path in ("/<index>/_bulk", "/<index>/_bulk/", "/<index>/<_kind>/_bulk"):
        app.route(path, _WRITES, entrance(lambda index, _kind="": Entrance("bulk", "_bulk", index)))
    for path in (f"/custom/<application:re:{_APPLICATION}>", f"/custom/<application:re:{_APPLICATION}>/"):
        app.route(path, _WRITES, entrance(lambda application: Entrance("custom", application)))
    app.route(["/test", "/test/"], "GET", lambda: "")
    app.route(
        ["/status", "/status/"], "GET", lambda: _send(ingest.status(ready="ready" in bottle.request.query))
    )
    app.route("/", ["GET", "HEAD"], lambda: _send(_about()))
    app.route(["/_cat/health", "/_cluster/health"], ["GET", "HEAD"], lambda: _send(_health(ingest)))
    if api is not None:
        _add(app, api)
    return app


def _add(app: bottle.Bottle, api: Api) -> None:
    """Add the API's addresses."""

    def asking(operation: str) -> Callable[..., Any]:
        return lambda **names: _send(api.answer(bottle.request.environ, operation, names))

    for operation, route in ROUTES.items():
        app.route(route.path, list(route.methods), asking(operation))


def _send(answer: Answer) -> Any:
    response = bottle.HTTPResponse(answer.body, answer.status)
    if answer.broken:
        bottle.request.environ[BREAK_OFF] = True
    response.set_header("Content-Type", JSON)
    response.set_header("X-Content-Type-Options", "nosniff")
    for name, value in answer.headers:
        response.set_header(name, value)
    return response


def _about() -> Answer:
    """Answer what Elasticsearch's clients ask of a server before they send anything."""
    version = {
        "number": ELASTICSEARCH_VERSION,
        "build_flavor": "default",
        "build_type": "mozdef",
        "build_hash": "mozdef",
        "build_date": "2026-01-01T00:00:00Z",
        "build_snapshot": False,
        "lucene_version": "9.12.0",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    }
    body = {"name": "mozdef", "cluster_name": "mozdef", "cluster_uuid": "mozdef", "version": version,
            "tagline": "You Know, for Search"}  # fmt: skip
    return Answer(200, orjson.dumps(body), [PRODUCT])


def _health(ingest: Ingest) -> Answer:
    """Answer rsyslog, which polls this until its receiver is there again and does not look at the status."""
    status = ingest.status(ready=True)
    up = status.status == 200
    body = orjson.dumps({"status": "green" if up else "red", "cluster_name": "mozdef"})
    return Answer(status.status, body, [PRODUCT], broken=not up and anonymous(bottle.request.environ))
