"""A reader: what turns a line into what the normaliser takes, one for each format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

from mozdef_files.line import Format, parse_line

Reader = Callable[[bytes], Mapping[str, Any]]
"""Raises InvalidItemError for a line that cannot be understood."""


def is_readable(form: Format) -> bool:
    """Return whether what reads a format is installed; syslog is read by mozdef-syslog, which is not imported here."""
    return form != "syslog" or find_spec("mozdef_syslog") is not None


def make_reader(form: Format) -> Reader:
    """Return what reads the lines of a format.

    :raises ImportError: it is syslog, and mozdef-syslog is not installed.
    """
    if form == "syslog":
        # an optional distribution, and 1.4 MB that other formats never need
        from mozdef_syslog import parse_message

        return parse_message
    return partial(parse_line, form="text" if form == "audit" else form)
