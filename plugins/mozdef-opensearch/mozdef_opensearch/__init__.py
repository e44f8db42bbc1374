"""The event store on OpenSearch 2 and 3."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from mozdef_core import Field, IndexOptions, IndexStore, Secret
from mozdef_opensearch.engine import OpenSearchEngine

__all__ = ["OpenSearchStore"]


class OpenSearchStore(IndexStore):
    """Events in an OpenSearch cluster: see :class:`mozdef_core.IndexStore`.

    :param path: of no use: all data is in the cluster.
    """

    class Options(IndexOptions):
        """Options in the table ``[store.opensearch]``."""

        token: Secret | None = Field(
            None, description="bearer token, such as a JSON Web Token of the security plugin"
        )

        @model_validator(mode="after")
        def _one_way_in(self) -> OpenSearchStore.Options:
            if self.token is not None and self.username is not None:
                raise ValueError("expected token, or username and password, not both")
            return self

    name: ClassVar[str] = "opensearch"

    def __init__(
        self, options: OpenSearchStore.Options, path: Path, mode: Literal["writer", "reader"]
    ) -> None:
        engine = OpenSearchEngine(options, None if options.token is None else options.token.reveal())
        super().__init__(engine, options, mode)
