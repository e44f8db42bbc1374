"""The contracts of the ports as test classes: a driver's tests subclass them and say how the driver is opened."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.store", f"{__name__}.store_matching", f"{__name__}.store_paging")
pytest.register_assert_rewrite(f"{__name__}.store_groups")
pytest.register_assert_rewrite(f"{__name__}.queue", f"{__name__}.queue_durable")
pytest.register_assert_rewrite(f"{__name__}.book", f"{__name__}.book_outbox", f"{__name__}.book_pruning")
pytest.register_assert_rewrite(f"{__name__}.book_findings", f"{__name__}.ledger", f"{__name__}.ledger_runs")
pytest.register_assert_rewrite(f"{__name__}.ledger_memory", f"{__name__}.ledger_listening")
pytest.register_assert_rewrite(f"{__name__}.scheduler", f"{__name__}.input")
