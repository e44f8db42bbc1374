"""Syslog over UDP, TCP and TLS: an input of MozDef."""

from __future__ import annotations

from mozdef_syslog.input import SyslogInput
from mozdef_syslog.settings import SyslogOptions

__all__ = ["SyslogInput", "SyslogOptions"]
