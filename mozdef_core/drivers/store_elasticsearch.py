"""The event store on Elasticsearch 8 and 9: the only user of the elasticsearch package, which it imports late."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import orjson
from pydantic import model_validator

from mozdef_core.errors import ConfigError, StoreUnavailableError
from mozdef_core.indices import Answer, Dialect, IndexOptions, IndexStore
from mozdef_core.options import Field, Secret

DIALECT: Final = Dialect(
    name="Elasticsearch",
    versions=(8, 9),
    snapshot_path="/_pit",
    snapshot_id="id",
    close_path="/_pit",
    close_many=False,
    other='OpenSearch has a store of its own: install mozdef-opensearch and set store = "opensearch"',
)

_NDJSON: Final = "application/x-ndjson"
_JSON: Final = "application/json"


class ElasticsearchStore(IndexStore):
    """Events in an Elasticsearch cluster, from a free licence on: see :class:`~mozdef_core.indices.IndexStore`.

    :param path: of no use: all data is in the cluster.
    """

    class Options(IndexOptions):
        """Options in the table ``[store.elasticsearch]``."""

        api_key: Secret | None = Field(
            None, description="API key, as the cluster gave it: encoded, or ID:KEY"
        )

        @model_validator(mode="after")
        def _one_way_in(self) -> ElasticsearchStore.Options:
            if self.api_key is not None and self.username is not None:
                raise ValueError("expected api_key, or username and password, not both")
            return self

    name: ClassVar[str] = "elasticsearch"

    def __init__(
        self, options: ElasticsearchStore.Options, path: Path, mode: Literal["writer", "reader"]
    ) -> None:
        super().__init__(ElasticsearchEngine(options), options, mode)


class ElasticsearchEngine:
    """The elasticsearch client as a store needs it: several nodes, of which dead ones are left out for a while.

    :raises ConfigError: a certificate cannot be read.
    """

    dialect = DIALECT

    def __init__(self, options: ElasticsearchStore.Options) -> None:
        import elasticsearch  # 240 ms and 32 MB: only where it is used

        self._errors = elasticsearch
        self._urls = ", ".join(options.urls)
        logging.getLogger("elastic_transport").setLevel(
            logging.ERROR
        )  # it logs every request and every dead node
        warnings.filterwarnings(
            "ignore", category=elasticsearch.ElasticsearchWarning
        )  # of no use to an operator
        arguments: dict[str, Any] = {}
        if options.ca_certs is not None:
            arguments["ca_certs"] = str(options.ca_certs)
        if options.client_cert is not None:
            arguments["client_cert"] = str(options.client_cert)
        if options.client_key is not None:
            arguments["client_key"] = str(options.client_key)
        if options.api_key is not None:
            key = options.api_key.reveal()
            arguments["api_key"] = tuple(key.split(":", 1)) if ":" in key else key
        elif options.username is not None and options.password is not None:
            arguments["basic_auth"] = (options.username, options.password.reveal())
        try:
            self._client = elasticsearch.Elasticsearch(
                options.urls,
                request_timeout=options.request_timeout_s,
                max_retries=len(options.urls),
                retry_on_status=(),
                retry_on_timeout=False,
                serializers={_JSON: _serializer(_JSON), _NDJSON: _serializer(_NDJSON)},
                http_compress=False,
                **arguments,
            )
        except (OSError, ValueError) as error:
            raise ConfigError([f"store.elasticsearch: {error}"]) from error

    def perform(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send one request."""
        lines = path.endswith(("/_bulk", "/_msearch"))
        headers = {"accept": _JSON}
        if body is not None:
            headers["content-type"] = _NDJSON if lines else _JSON
        try:
            answer = self._client.perform_request(method, path, params=params, headers=headers, body=body)
        except self._errors.UnsupportedProductError as error:
            raise ConfigError(
                [f"what answers at {self._urls} is no Elasticsearch; {DIALECT.other}"]
            ) from error
        except self._errors.ApiError as error:
            return Answer(error.meta.status, error.body)
        except self._errors.SSLError as error:
            raise StoreUnavailableError(
                f"the certificate of {self._urls} is not trusted, or TLS is not spoken there ({error.message}); "
                "set ca_certs to the certificate of the authority that signed it"
            ) from error
        except self._errors.TransportError as error:
            raise StoreUnavailableError(
                f"no node of {self._urls} answers ({type(error).__name__}: {error.message})"
            ) from error
        return Answer(answer.meta.status, answer.body)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _serializer(kind: str) -> Any:
    """Return a serializer that takes bytes as they are, and reads JSON four times as fast as the client's own."""
    from elastic_transport import Serializer

    class Bytes(Serializer):
        mimetype = kind

        def dumps(self, data: Any) -> bytes:
            return data if isinstance(data, bytes) else orjson.dumps(data)

        def loads(self, data: bytes) -> Any:
            return orjson.loads(data)

    return Bytes()
