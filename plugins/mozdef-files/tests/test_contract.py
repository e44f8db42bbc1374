"""The files input keeps what all inputs promise."""

from __future__ import annotations

import pytest
from mozdef_files import FilesInput, FilesOptions

from mozdef_core.testing import InputContract


class TestFiles(InputContract):
    @pytest.fixture
    def make(self, tmp_path):
        options = FilesOptions(
            paths=[str(tmp_path / "*.log")],
            state_dir=tmp_path / "state",
            interval_s=0.05,
            start="beginning",
            format="text",
        )
        return lambda: FilesInput(options)

    @pytest.fixture
    def deliver(self, tmp_path):
        def append(_source, lines):
            with (tmp_path / "a.log").open("a") as file:
                file.writelines(f"{line}\n" for line in lines)

        return append
