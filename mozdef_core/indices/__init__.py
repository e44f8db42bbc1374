"""The store over indices: what the stores on Elasticsearch and OpenSearch share. A driver brings the client."""

from __future__ import annotations

from mozdef_core.indices.engine import Answer, Dialect, Engine
from mozdef_core.indices.settings import IndexOptions
from mozdef_core.indices.store import IndexStore

__all__ = ["Answer", "Dialect", "Engine", "IndexOptions", "IndexStore"]
