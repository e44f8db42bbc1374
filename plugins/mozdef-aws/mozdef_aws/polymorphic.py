"""Members of CloudTrail records that are sometimes text and sometimes objects, and so are kept as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

_TOP: Final = "additionaleventdata apiversion serviceeventdetails"
_REQUEST: Final = """
    attribute authparameters bucketpolicy.statement.principal.service bucketpolicy.statement.principal.aws
    callerreference description describecapacityreservationsrequest describecoippoolsrequest
    describeegressonlyinternetgatewaysrequest describefastsnapshotrestoresrequest describeflowlogsrequest
    describeflowlogsrequest.filter.value describehostsrequest describeinstancetypeofferingsrequest
    describeinstancetypesrequest describeipv6poolsrequest describelaunchtemplatesrequest
    describenatgatewaysrequest describepublicipv4poolsrequest describescheduledinstancesrequest
    describespotfleetrequestsrequest describevpcendpointconnectionnotificationsrequest
    describevpcendpointsrequest describevpcendpointsrequest.filter describevpcendpointsrequest.filter.value
    describevpcendpointsrequest.vpcendpointid describevpcendpointserviceconfigurationsrequest
    describevpcendpointservicesrequest disableapitermination distributionconfig.callerreference domainname
    domainnames ebsoptimized filter groupdescription iaminstanceprofile invalidationbatch.callerreference
    imageid instancetype logging logstreamname metrics notification notificationconfiguration rule schema
    sort source tagging vpc
"""
_RESPONSE: Final = """
    availabilityzones createddate creationdate creationtime credentials dbsubnetgroup
    distribution.distributionconfig.callerreference endpoint findings.service.additionalinfo.unusual
    invalidation.invalidationbatch.callerreference lastmodified lastmodifieddate policy
    responseparameters.method.response.header.access-control-allow-headers
    responseparameters.method.response.header.access-control-allow-methods
    responseparameters.method.response.header.access-control-allow-origin role securitygroups state subnets
"""
SECTIONS: Final = ("requestparameters", "responseelements")
PATHS: Final = (
    *_TOP.split(),
    *(f"requestparameters.{name}" for name in _REQUEST.split()),
    *(f"responseelements.{name}" for name in _RESPONSE.split()),
)
"""The 73 paths below ``details``, in the order in which they are handled (mappers.md section 7)."""

Plan = Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]]
"""The paths by section and then by their first part after it; under an empty name those of no section."""

_write: Final = json.JSONEncoder(ensure_ascii=False).encode


def plan(paths: Iterable[str]) -> Plan:
    """Sort paths by where they begin, so that a record is asked only for those that it may have."""
    found: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {name: {} for name in ("", *SECTIONS)}
    for path in paths:
        section, _, rest = path.partition(".")
        if section not in SECTIONS or not rest:
            section, rest = "", path
        parts = tuple(rest.split("."))
        found[section][parts[0]] = (*found[section].get(parts[0], ()), parts)
    return found


def wrap(details: dict[str, Any], paths: Plan) -> None:
    """Put the value at each path into an object, ``{"raw_value": <the value as JSON text>}``.

    A path that meets a list or text on its way is passed over, and so is a value that was put so before. Only the
    outermost object is changed; those below it that have such a value are replaced by copies.
    """
    flat = {key.partition(".")[0] for key in details if "." in key}
    for section, below in paths.items():
        node = details.get(section) if section else details
        if isinstance(node, dict) and (heads := below.keys() & {key.partition(".")[0] for key in node}):
            if section:
                node = details[section] = dict(node)
            for head in heads:
                for parts in below[head]:
                    _wrap(node, parts)
        if section in flat:
            for each in below.values():
                for parts in each:
                    _wrap(details, (section, *parts))


def _wrap(node: dict[str, Any], parts: tuple[str, ...]) -> bool:
    """Wrap what stands at a path, the spelling with the longest literal key; return whether anything did."""
    for stop in range(len(parts), 0, -1):
        key = ".".join(parts[:stop])
        if key not in node:
            continue
        value = node[key]
        if stop == len(parts):
            if not (isinstance(value, dict) and value.keys() == {"raw_value"}):
                node[key] = {"raw_value": _write(value)}
            return True
        if isinstance(value, dict) and _wrap(value := dict(value), parts[stop:]):
            node[key] = value
            return True
    return False
