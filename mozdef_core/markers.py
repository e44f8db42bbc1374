"""The two pluggy markers: ``hookspec`` for the core, ``hookimpl`` for plugins."""

from __future__ import annotations

import pluggy

PROJECT = "mozdef"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
