from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mozdef_core.drivers.store_memory import Contents, MemoryStore
from mozdef_core.testing_contracts.store import EventStoreContract
from mozdef_core.testing_contracts.store_matching import Mode


class TestMemoryStore(EventStoreContract):
    places: ClassVar[dict[Path, Contents]] = {}

    def open_store(self, path: Path, mode: Mode) -> MemoryStore:
        return MemoryStore(contents=self.places.setdefault(path, Contents()))
