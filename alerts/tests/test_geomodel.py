"""Distances against another formula, what is remembered of places, and the factor that looks at operators."""

from __future__ import annotations

from math import acos, cos, radians, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from mozdef_alerts.geomodel.asn_movement import AsnMovement
from mozdef_alerts.geomodel.locality import Locality, hops, updated
from mozdef_alerts.geomodel.location import GeomodelLocation
from netaddr import IPSet

from mozdef_core import ConfigError, Severity
from mozdef_core.testing_contracts.trial import make_event

HOUR = 3_600_000_000


def place(latitude=0.0, longitude=0.0, us=0, radius=50.0, ip="192.0.2.1"):
    return Locality(ip, "City", "XX", latitude, longitude, us, radius)


places = st.builds(
    place, st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 48).map(lambda hour: hour * HOUR)
)


@given(places, places)
def test_the_distance_is_that_of_the_law_of_cosines(one, other):
    a, b = radians(one.latitude), radians(other.latitude)
    cosine = sin(a) * sin(b) + cos(a) * cos(b) * cos(radians(other.longitude - one.longitude))
    assert one.distance_km(other) == pytest.approx(6_373 * acos(max(-1.0, min(1.0, cosine))), abs=0.5)
    assert one.distance_km(other) == pytest.approx(other.distance_km(one))


def test_a_way_is_impossible_from_the_second_on_that_is_missing():
    far = place(
        0, 90
    )  # a quarter of the equator: 10,010.68 km, 36,038 s at 1,000 km/h less 180 s for the radius
    needed_s = 10_010.68501 * 3.6 - 180
    assert hops([far, place(us=int((needed_s - 1) * 1_000_000))], 1_000)
    assert not hops([far, place(us=int((needed_s + 1) * 1_000_000))], 1_000)
    assert not hops([place(us=int((needed_s + 1) * 1_000_000)), far], 1_000)  # in whatever order


@given(st.lists(places, max_size=8), st.lists(places, max_size=8))
def test_no_place_seen_is_forgotten_and_a_later_one_takes_the_place_of_one_near(stored, seen):
    after = updated(stored, seen)
    assert len(after) <= len(stored) + len(seen)
    for one in seen:
        assert any(one.near(other) for other in after)
    assert all(one in (*stored, *seen) for one in after)


def test_an_earlier_one_near_a_known_one_changes_nothing():
    known = place(us=5 * HOUR)
    assert updated([known], [place(0.1, us=HOUR)]) == [known]
    assert updated([known], [place(0.1, us=6 * HOUR)]) == [place(0.1, us=6 * HOUR)]
    assert updated([known], [place(9, us=HOUR)]) == [known, place(9, us=HOUR)]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "asn.mmdb"
    writer = MMDBWriter(6, "GeoLite2-ASN", languages=["en"], ipv4_compatible=True)
    for network, name in (("192.0.2.1/32", "One"), ("192.0.2.3/32", "One"), ("192.0.2.4/32", "Two")):
        record = {"autonomous_system_number": 64_496, "autonomous_system_organization": name}
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return path


def test_the_operators_of_neighbours_are_compared_and_unknown_ones_left_out(database):
    factor = AsnMovement(database)
    assert factor(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]) == {}
    (move,) = factor(["192.0.2.1", "192.0.2.2", "192.0.2.4"])["asn_hops"]
    assert move == {
        "origin": {"ip": "192.0.2.1", "asn": 64_496, "organization": "One"},
        "destination": {"ip": "192.0.2.4", "asn": 64_496, "organization": "Two"},
    }


def test_the_factor_adds_what_it_found_and_sets_the_severity(database):
    options = {"factors": {"asn_movement": {"database": str(database)}}}
    rule = GeomodelLocation(
        GeomodelLocation.Options.model_validate({**options, "asn_movement_severity": "CRITICAL"})
    )
    found = hops([place(us=0), place(0, 90, us=1, ip="192.0.2.4")], 1_000)
    alert = rule._alert("ines", [make_event("x")], found)
    assert alert.severity is Severity.CRITICAL
    assert [list(factor) for factor in alert.details["factors"]] == [["asn_hops"]]
    same = rule._alert("ines", [make_event("x")], hops([place(us=0), place(0, 90, us=1)], 1_000))
    assert same.severity is Severity.INFO
    assert same.details["factors"] == []


def test_a_database_that_is_not_there_is_named(make_host):
    options = {"factors": {"asn_movement": {"database": "/nowhere/asn.mmdb"}}}
    with pytest.raises(ConfigError, match=r"expected a file, got /nowhere/asn\.mmdb"):
        make_host((GeomodelLocation, options))
