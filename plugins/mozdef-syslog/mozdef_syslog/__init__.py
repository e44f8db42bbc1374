"""Syslog over UDP, TCP and TLS: an input of MozDef, and the reader of one message for other inputs."""

from __future__ import annotations

from mozdef_syslog.input import SyslogInput
from mozdef_syslog.message import parse_message
from mozdef_syslog.settings import SyslogOptions

__all__ = ["SyslogInput", "SyslogOptions", "parse_message"]
