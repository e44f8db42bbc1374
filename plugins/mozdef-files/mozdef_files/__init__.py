"""Log files and standard input: an input of MozDef."""

from __future__ import annotations

from mozdef_files.input import FilesInput
from mozdef_files.settings import FilesOptions

__all__ = ["FilesInput", "FilesOptions"]
