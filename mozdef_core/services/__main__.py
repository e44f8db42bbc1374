"""``python -m mozdef_core.services`` is the command ``mozdef``."""

from __future__ import annotations

from mozdef_core.services.cli import main

main(prog_name="mozdef")
