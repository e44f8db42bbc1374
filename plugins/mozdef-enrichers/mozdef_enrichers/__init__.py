"""Adds to alerts what is known of their addresses and users: eight plugins, each enabled by itself (alert_action)."""

from mozdef_enrichers.addresses import Ipaddr, IpSourceEnrichment
from mozdef_enrichers.assignments import DhcpAssignment, VpnAssignment
from mozdef_enrichers.intel import GeomodelIpintelEnrichment
from mozdef_enrichers.logins import AuthSourceipUsername, PossibleUsernames
from mozdef_enrichers.scans import PortScanEnrichment

__all__ = [
    "AuthSourceipUsername",
    "DhcpAssignment",
    "GeomodelIpintelEnrichment",
    "IpSourceEnrichment",
    "Ipaddr",
    "PortScanEnrichment",
    "PossibleUsernames",
    "VpnAssignment",
]
