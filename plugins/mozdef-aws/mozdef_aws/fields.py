"""Which fields the findings of GuardDuty give, by their type (mappers.md section 7).

A table maps the names of fields below ``details`` to paths in the finding, whose service object is ``finding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mozdef_aws.members import at

Fields = Mapping[str, str]

_INSTANCE: Final = "resource.instancedetails"
_INTERFACE: Final = f"{_INSTANCE}.networkinterfaces"
_OF_INTERFACE: Final = (
    "networkinterfaceid",
    "privatednsname",
    "privateipaddress",
    "subnetid",
    "vpcid",
    "publicdnsname",
    "publicip",
)
_CONNECTION: Final = "finding.action.networkconnectionaction"
_CALL: Final = "finding.action.awsapicallaction"
_KEY_DETAILS: Final = "resource.accesskeydetails"

TIMES: Final = frozenset({"gdeventcreatedts", "gdeventupdatedts", "gdeventfirstseents", "gdeventlastseents"})
"""Fields whose value is a time and is stored in UTC."""

BASE: Final[Fields] = {
    "findingid": "id",
    "arn": "arn",
    "awsaccountid": "accountid",
    "awsregion": "region",
    "resourcetype": "resource.resourcetype",
    "detectorid": "finding.detectorid",
    "gdeventcreatedts": "createdat",
    "gdeventupdatedts": "updatedat",
    "gdeventfirstseents": "finding.eventfirstseen",
    "gdeventlastseents": "finding.eventlastseen",
}
HOST: Final[Fields] = {
    **{name: f"{_INSTANCE}.{name}" for name in ("instanceid", "instancetype", "launchtime", "platform")},
    "iamprofilearn": f"{_INSTANCE}.iaminstanceprofile.arn",
    "iamprofileid": f"{_INSTANCE}.iaminstanceprofile.id",
    "tags": f"{_INSTANCE}.tags",
    "state": f"{_INSTANCE}.instancestate",
    "az": f"{_INSTANCE}.availabilityzone",
    "imageid": f"{_INSTANCE}.imageid",
    "imagedesc": f"{_INSTANCE}.imagedescription",
    **{name: f"{_INTERFACE}.{name}" for name in _OF_INTERFACE},
}
DIR: Final[Fields] = {"direction": f"{_CONNECTION}.connectiondirection"}
NET: Final[Fields] = {"net": _INTERFACE, "proto": f"{_CONNECTION}.protocol"}
EVID: Final[Fields] = {"evidence": "finding.evidence", "miscinfo": "finding.additionalinfo"}
DNS: Final[Fields] = {"query": "finding.action.dnsrequestaction.domain"}
IN: Final[Fields] = {
    "sourceipaddress": f"{_CONNECTION}.remoteipdetails.ipaddressv4",
    "sourceport": f"{_CONNECTION}.remoteportdetails.port",
    "destinationipaddress": f"{_CONNECTION}.localipdetails.ipaddressv4",
    "destinationport": f"{_CONNECTION}.localportdetails.port",
}
OUT: Final[Fields] = {
    "sourceipaddress": IN["destinationipaddress"],
    "sourceport": IN["destinationport"],
    "destinationipaddress": IN["sourceipaddress"],
    "destinationport": IN["sourceport"],
}
KEY: Final[Fields] = {name: f"{_KEY_DETAILS}.{name}" for name in ("accesskeyid", "principalid")}
_PROBE: Final[Fields] = {
    "sourceipaddress": "finding.probeevent.remoteipdetails.ipaddressv4",
    "destinationipaddress": f"{_INTERFACE}.publicip",
    "destinationport": "finding.probeevent.localportdetails.port",
    "proto": "finding.probeevent.localportdetails.portname",
}
_CALLER: Final[Fields] = {
    "evidence": "finding.evidence",
    "apiname": "finding.apicalls.api",
    "sourceipaddress": f"{_CALL}.remoteipdetails.ipaddressv4",
    "username": f"{_KEY_DETAILS}.username",
    "usertype": f"{_KEY_DETAILS}.usertype",
}


def _without(fields: Fields, name: str) -> Fields:
    return {key: path for key, path in fields.items() if key != name}


_MACHINE: Final[Fields] = {**BASE, **HOST, **DIR, **NET, **EVID}
_BRUTE: Final[Fields] = {**BASE, **HOST, **DIR, **NET, **IN}
_OUTBOUND: Final[Fields] = {**_MACHINE, **OUT}
_AWAY: Final[Fields] = {**_MACHINE, **_without(OUT, "sourceipaddress")}

_TABLE: Final[tuple[tuple[str, str, Fields], ...]] = (
    ("Recon:EC2/", "PortProbeUnprotectedPort PortProbeEMRUnprotectedPort", {**BASE, **HOST, **DIR, **_PROBE}),
    (
        "Trojan:EC2/",
        "DNSDataExfiltration",
        {**_MACHINE, **DNS, **_without(IN, "destinationipaddress")},
    ),
    ("UnauthorizedAccess:EC2/", "TorIPCaller", {**_MACHINE, **IN}),
    ("UnauthorizedAccess:EC2/", "TorClient TorRelay MaliciousIPCaller.Custom", _OUTBOUND),
    (
        "Backdoor:EC2/",
        "Spambot DenialOfService.Tcp DenialOfService.Udp DenialOfService.UdpOnTcpPorts "
        "DenialOfService.UnusualProtocol",
        _OUTBOUND,
    ),
    ("Behavior:EC2/", "NetworkPortUnusual TrafficVolumeUnusual", _OUTBOUND),
    ("Backdoor:EC2/", "C&CActivity.B!DNS DenialOfService.Dns", {**_OUTBOUND, **DNS}),
    ("Trojan:EC2/", "BlackholeTraffic", _AWAY),
    ("CryptoCurrency:EC2/", "BitcoinTool.B", _AWAY),
    ("Recon:EC2/", "Portscan", _AWAY),
    ("UnauthorizedAccess:EC2/", "MetadataDNSRebind", _AWAY),
    (
        "Trojan:EC2/",
        "DropPoint BlackholeTraffic!DNS DriveBySourceTraffic!DNS DropPoint!DNS DGADomainRequest.B "
        "DGADomainRequest.C!DNS PhishingDomainRequest!DNS",
        {**_AWAY, **DNS},
    ),
    ("CryptoCurrency:EC2/", "BitcoinTool.B!DNS", {**_AWAY, **DNS}),
    ("UnauthorizedAccess:EC2/", "RDPBruteForce", _BRUTE),
    ("UnauthorizedAccess:EC2/", "SSHBruteForce", _without(_BRUTE, "destinationipaddress")),
    (
        "Recon:IAMUser/",
        "TorIPCaller MaliciousIPCaller.Custom MaliciousIPCaller NetworkPermissions ResourcePermissions "
        "UserPermissions",
        {**BASE, **DIR, **KEY, "apiname": "finding.apicalls.name"},
    ),
    *(
        (prefix, names, {**BASE, **KEY, **_CALLER})
        for prefix, names in (
            ("Persistence:IAMUser/", "ResourcePermissions UserPermissions NetworkPermissions"),
            ("ResourceConsumption:IAMUser/", "ComputeResources"),
            (
                "Stealth:IAMUser/",
                "S3ServerAccessLoggingDisabled PasswordPolicyChange CloudTrailLoggingDisabled "
                "LoggingConfigurationModified",
            ),
            (
                "UnauthorizedAccess:IAMUser/",
                "TorIPCaller MaliciousIPCaller.Custom ConsoleLoginSuccess.B MaliciousIPCaller "
                "InstanceCredentialExfiltration ConsoleLogin",
            ),
            ("PenTest:IAMUser/", "KaliLinux ParrotLinux PentooLinux"),
            ("Policy:IAMUser/", "S3BlockPublicAccessDisabled RootCredentialUsage"),
            ("PrivilegeEscalation:IAMUser/", "AdministrativePermissions"),
        )
    ),
)
TYPES: Final[Mapping[str, Fields]] = {
    f"{prefix}{name}": fields for prefix, names, fields in _TABLE for name in names.split()
}
"""The types that have a table of their own."""


def fields_of(kind: str, finding: Mapping[str, Any]) -> Fields:
    """Return the table for a finding; one of an unlisted type gets what its action and direction suggest.

    :param kind: its type, such as ``Recon:EC2/Portscan``.
    """
    known = TYPES.get(kind)
    if known is not None:
        return known
    direction = str(at(finding, DIR["direction"]) or "INBOUND").upper()
    fields = {**_MACHINE, **DNS, **KEY, **(IN if direction == "INBOUND" else OUT)}
    action = at(finding, "finding.action.actiontype")
    if action == "PORT_PROBE":
        fields |= _PROBE
    elif action == "AWS_API_CALL":
        fields |= _CALLER
    return fields
