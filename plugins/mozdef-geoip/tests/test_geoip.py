from __future__ import annotations

import pytest
from mmdb_writer import MMDBWriter
from mozdef_geoip import GeoIP, database
from netaddr import IPSet

PORTO = {
    "city": {"names": {"en": "Porto"}},
    "continent": {"code": "EU"},
    "country": {"iso_code": "PT", "names": {"en": "Portugal"}},
    "location": {"latitude": 41.15, "longitude": 0.0, "time_zone": "Europe/Lisbon", "metro_code": 7},
    "postal": {"code": "4000"},
    "subdivisions": [{"iso_code": "13"}],
}


def write(path, records):
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True, float_type="f64")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))


@pytest.fixture
def city(tmp_path):
    path = tmp_path / "city.mmdb"
    write(
        path, {"81.2.69.0/24": PORTO, "2a02:cf40::/32": {"country": {"iso_code": "NO"}}, "10.0.0.0/8": PORTO}
    )
    return path


@pytest.fixture
def asn(tmp_path):
    path = tmp_path / "asn.mmdb"
    write(
        path, {"81.2.69.0/24": {"autonomous_system_number": 64500, "autonomous_system_organization": "Lab"}}
    )
    return path


def enriched(plugin, make_event, **details):
    event = make_event(details=details)
    change = plugin.enrich(event=event)
    return event if change is None else event.with_change(change)


def test_both_sides_get_all_that_is_known(city, asn, make_event):
    plugin = GeoIP(GeoIP.Options(database=city, asn_database=asn))
    event = enriched(plugin, make_event, sourceipaddress="81.2.69.160", destinationipaddress="2a02:cf40::1")
    assert event.get("details.sourceipgeolocation") == {
        "city": "Porto",
        "continent": "EU",
        "country_code": "PT",
        "country_name": "Portugal",
        "dma_code": 7,
        "latitude": 41.15,
        "longitude": 0.0,
        "metro_code": "Porto, 13",
        "postal_code": "4000",
        "region_code": "13",
        "time_zone": "Europe/Lisbon",
    }
    assert event.get("details.sourceipgeopoint") == "41.15,0.0"
    assert event.get("details.sourceipasn") == {"number": 64500, "organization": "Lab"}
    assert event.get("details.destinationipgeolocation") == {"country_code": "NO"}
    assert event.get("details.destinationipgeopoint") is None
    assert event.get("details.destinationipasn") is None
    assert plugin.inactive is None


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "240.0.0.1",
        "192.0.2.1",
        "fe80::1",
        "not one",
        "9.9.9.9",
    ],
)
def test_what_is_not_global_or_not_known_is_left_alone(city, make_event, address):
    plugin = GeoIP(GeoIP.Options(database=city))
    assert plugin.enrich(event=make_event(details={"sourceipaddress": address})) is None


def test_of_a_list_the_first_address_counts(city, make_event):
    plugin = GeoIP(GeoIP.Options(database=city))
    event = enriched(plugin, make_event, sourceipaddress=["81.2.69.1", "2a02:cf40::1"])
    assert event.get("details.sourceipgeolocation.country_code") == "PT"
    assert event.get("details.sourceipaddress") == ["81.2.69.1", "2a02:cf40::1"]


def test_without_a_database_it_is_off_and_says_so(make_event):
    plugin = GeoIP(GeoIP.Options())
    assert plugin.enrich(event=make_event(details={"sourceipaddress": "81.2.69.1"})) is None
    assert "no database" in plugin.inactive


def test_a_broken_database_is_reported_once_and_comes_back_when_mended(city, make_event, monkeypatch, caplog):
    monkeypatch.setattr(database, "LOOK_AGAIN_S", 0)
    broken = city.with_name("broken.mmdb")
    broken.write_bytes(b"this is not a database")
    plugin = GeoIP(GeoIP.Options(database=broken))
    for _ in range(3):
        assert (
            enriched(plugin, make_event, sourceipaddress="81.2.69.1").get("details.sourceipgeolocation")
            is None
        )
    assert [record.getMessage() for record in caplog.records] == [
        f"look-ups are off: {broken} is not a database in the MaxMind format: Error opening database file "
        f"({broken}). Is this a valid MaxMind DB file?"
    ]
    city.replace(broken)
    assert (
        enriched(plugin, make_event, sourceipaddress="81.2.69.1").get("details.sourceipgeopoint")
        == "41.15,0.0"
    )


def test_a_replaced_database_answers_with_its_new_content(city, make_event, monkeypatch):
    monkeypatch.setattr(database, "LOOK_AGAIN_S", 0)
    plugin = GeoIP(GeoIP.Options(database=city))
    assert (
        enriched(plugin, make_event, sourceipaddress="81.2.69.1").get(
            "details.sourceipgeolocation.country_code"
        )
        == "PT"
    )
    new = city.with_name("new.mmdb")
    write(new, {"81.2.69.0/24": {"country": {"iso_code": "ES"}}})
    new.replace(city)
    assert enriched(plugin, make_event, sourceipaddress="81.2.69.1").get("details.sourceipgeolocation") == {
        "country_code": "ES"
    }


def test_the_plugin_keeps_the_contract(run_contract, city):
    run_contract(GeoIP, options={"database": str(city)})
