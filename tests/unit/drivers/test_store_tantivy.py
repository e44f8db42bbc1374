from __future__ import annotations

from pathlib import Path

from mozdef_core.drivers.store_tantivy import TantivyStore
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_matching import Mode

OPTIONS = TantivyStore.Options(heap_mb=15)


class TestTantivyStore(EventStoreContract):
    def open_store(self, path: Path, mode: Mode) -> TantivyStore:
        return TantivyStore(OPTIONS, path, mode)
