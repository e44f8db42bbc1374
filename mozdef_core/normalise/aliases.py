"""The names under which senders send the top-level fields (event-format.md section 5.2), as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TIMESTAMP: Final = ("timestamp", "utctimestamp", "eventtime", "isodate", "time", "datetime", "date")
SUMMARY: Final = ("summary", "message", "msg", "short_message", "log", "body", "payload")
"""``payload`` is last: it becomes the summary only if nothing else can."""
STRING_ONLY: Final = frozenset({"log", "body"})
HOSTNAME: Final = ("hostname", "source_host", "host", "fqdn", "computer", "computername", "logsource")
SEVERITY: Final = (
    "severity", "syslogseverity", "level", "severityvalue", "syslogseverityvalue", "loglevel", "priority",
)  # fmt: skip
CATEGORY: Final = ("category", "eventtype", "type")
SOURCE: Final = ("source",)
FACILITY: Final = ("facility", "syslogfacility", "syslogfacilityvalue")
PROCESSID: Final = ("processid", "pid", "procid", "process_id", "_pid")
PROCESSNAME: Final = (
    "processname", "pname", "program", "sourcename", "appname", "app_name", "syslog_identifier",
)  # fmt: skip
EVENTSOURCE: Final = ("eventsource", "path", "logger", "file", "filename")

PROGRAM_NAMES: Final = frozenset({"program", "sourcename", "appname", "app_name", "syslog_identifier"})
"""A process name that came under one of these is a program's name, so ``details.program`` follows from it."""

SCALARS: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": TIMESTAMP,
    "summary": SUMMARY,
    "hostname": HOSTNAME,
    "severity": SEVERITY,
    "category": CATEGORY,
    "source": SOURCE,
    "facility": FACILITY,
    "processid": PROCESSID,
    "processname": PROCESSNAME,
    "eventsource": EVENTSOURCE,
}

BUNYAN: Final = ("pid", "hostname", "v")
"""Beside ``level``, these make a record of the Bunyan logger, which has its own scale of levels."""

DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "eventsourceipaddress": ("sourceip", "fromhost_ip", "fromhost-ip"),
    "sourceipaddress": ("sourceipaddress", "src_ip"),
    "destinationipaddress": ("destinationipaddress", "dst_ip", "dest_ip"),
    "username": ("username",),
    "full_message": ("full_message",),
}

RESERVED: Final = frozenset(
    {"receivedtimestamp", "mozdefhostname", "mozdef", "alerts", "alert_names", "endpoint", "customendpoint"}
)

SHAPES: Final = frozenset(
    {
        "event", "nsm", "squid", "netflow", "auditd", "google", "okta", "cloudtrail", "vulnerability_state",
        "last_known_state",
    }
)  # fmt: skip
"""Document shapes that ``type`` may name (event-format.md section 1.1)."""

LIFTED: Final[Mapping[str, tuple[str, ...]]] = {
    "hostname": ("host.name", "host.hostname"),
    "processname": ("process.name",),
    "processid": ("process.pid",),
    "severity": ("log.level",),
    "eventsource": ("log.file.path",),
    "category": ("event.category",),
}
"""Members of objects that stand where a scalar is expected, by the field that they fill if it is empty."""

LIFTED_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "username": ("user.name",),
    "sourceipaddress": ("source.ip", "source.address"),
    "sourceport": ("source.port",),
    "destinationipaddress": ("destination.ip", "destination.address"),
    "destinationport": ("destination.port",),
    "useragent": ("user_agent.original",),
    "destinationuri": ("url.full",),
}
OBJECTS: Final = frozenset(
    path.partition(".")[0] for table in (LIFTED, LIFTED_DETAILS) for paths in table.values() for path in paths
)
