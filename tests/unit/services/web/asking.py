"""The API spoken to without a socket; every answer is held against the description that the API gives of itself."""

from __future__ import annotations

import io
import re
from urllib.parse import urlencode
from wsgiref.headers import Headers

import orjson
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mozdef_core.drivers.queue_memory import MemoryQueue
from mozdef_core.event import isoformat, now_us
from mozdef_core.services.web.access import Access
from mozdef_core.services.web.api import Api
from mozdef_core.services.web.api_operations import description
from mozdef_core.services.web.api_store import LazyStore
from mozdef_core.services.web.app import build_app
from mozdef_core.services.web.ingest import Ingest
from mozdef_core.services.web.policy import WebSettings

DESCRIPTION = orjson.loads(description())
REGISTRY = Registry().with_resource("", Resource(DESCRIPTION, DRAFT202012))
FRAMEWORK = {
    "type": "object", "required": ["error"], "additionalProperties": False,
    "properties": {"error": {"type": "object", "required": ["code", "message"], "additionalProperties": False,
                             "properties": {"code": {"enum": ["not-found", "method-not-allowed", "error"]},
                                            "message": {"type": "string"}}}},
}  # fmt: skip
"""What is answered where there is no operation to describe it."""


def recent(make_event, summary, **more):
    """Return an event that was received just now."""
    return make_event(summary, received=isoformat(now_us()), **more)


def verify(secret, scope):
    if secret == "writer":
        raise PermissionError(scope)
    return "a reader" if secret == "reader" and scope == "events:read" else None


def described(path, method):
    """Return the description of an operation, None when there is none."""
    known = DESCRIPTION["paths"]
    if path not in known:
        fitting = [rule for rule in known if re.fullmatch(re.sub(r"\{\w+\}", ".+", rule), path)]
        path = max(fitting, key=lambda rule: rule.count("/"), default=None)
    return known.get(path, {}).get("get" if method == "HEAD" else method.lower())


def valid(schema, document):
    """Raise unless a document is as a schema of the description says."""
    Draft202012Validator(schema, registry=REGISTRY, _resolver=REGISTRY.resolver()).validate(document)


class Asking:
    """The application over a store."""

    def __init__(self, store=None, *, open_store=None, searches=2):
        settings = WebSettings()
        api = Api(Access(settings, verify), LazyStore(open_store or (lambda: store)), searches)
        self.app = build_app(Ingest(MemoryQueue(MemoryQueue.Options()), settings, verify), api)

    def request(self, method, path, body=b"", *, token="reader", parse=orjson.loads, **headers):
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "x", "SERVER_PORT": "80",
            "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.errors": io.StringIO(),
            "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **headers,
        }  # fmt: skip
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        got = {}
        content = b"".join(
            self.app(
                environ,
                lambda status, fields, _=None: got.update(status=int(status[:3]), headers=Headers(fields)),
            )
        )
        self.headers = got["headers"]
        assert self.headers["Content-Type"] == "application/json"
        assert self.headers["X-Content-Type-Options"] == "nosniff"
        answer = parse(content) if content else None
        if answer is not None:
            self._hold(path, method, got["status"], answer)
        return got["status"], answer

    @staticmethod
    def _hold(path, method, status, answer):
        operation = described(path, method)
        if operation is None:
            valid(FRAMEWORK, answer)
        else:
            valid(operation["responses"][str(status)]["content"]["application/json"]["schema"], answer)

    def get(self, path, **parameters):
        return self.request("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def post(self, body):
        return self.request(
            "POST", "/api/v1/events/search", body if isinstance(body, bytes) else orjson.dumps(body)
        )

    def error(self, body):
        """Return the error that a search is refused with."""
        status, answer = self.post(body) if isinstance(body, dict | bytes) else self.request("GET", body)
        assert status == 400, answer
        return answer["error"]
