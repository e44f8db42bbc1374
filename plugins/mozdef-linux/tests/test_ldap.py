from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_linux import Ldap
from mozdef_linux.ldap import mail_address

CHANGE = {
    "category": "ldapChange",
    "summary": "mail=ines@lab.example,o=com,dc=lab modified cn=ops,ou=groups,dc=lab",
    "hostname": "ldap1.lab.example",
    "details": {
        "changetype": "modify",
        "actor": "mail=ines@lab.example,o=com,dc=lab",
        "dn": "cn=ops,ou=groups,dc=lab",
        "changepairs": ["add:memberUid:joe", "replace:modifyTimestamp:20260102030405Z"],
    },
}
ACCESS = {
    "category": "ldap",
    "source": "slapd",
    "details": {
        "tls": True,
        "user": "uid=joe",
        "client": "192.0.2.7",
        "server": "ldap1",
        "response": {"error": "LDAP_INVALID_CREDENTIALS"},
    },
}


def test_a_change_names_the_person_behind_it_and_keeps_what_the_rules_read(make_host):
    (event,) = make_host(Ldap).process(CHANGE).events
    assert event.get("details.email") == "ines@lab.example"
    assert event.get("details.username") == "ines"
    assert event.get("source") == "ldap"
    assert {name: event.get(f"details.{name}") for name in CHANGE["details"]} == CHANGE["details"]
    assert "source" not in event.defaulted


def test_an_access_log_tells_of_its_encryption_under_another_name(make_host):
    (event,) = make_host(Ldap).process(ACCESS).events
    assert event.get("details.tls_encrypted") is True
    assert event.get("details.tls") is None
    assert event.get("source") == "slapd"
    assert event.get("details.response.error") == "LDAP_INVALID_CREDENTIALS"


def test_an_actor_without_an_address_empties_nothing(make_host):
    details = {"actor": "cn=admin,dc=lab", "email": "kept@lab.example", "username": "kept", "tls": 1}
    (event,) = make_host(Ldap).process({"category": "ldapChange", "source": "s", "details": details}).events
    assert event.get("details") == details
    assert event.body["mozdef"]["plugins"] == []


@pytest.mark.parametrize(
    ("actor", "address"),
    [
        ("mail=a@b.example", "a@b.example"),
        ("uid=x, mail=a.b+c@d.example, o=com", "a.b+c@d.example"),
        ("cn=x Mail=a@b.example o=com", "a@b.example"),
        ("email=a@b.example", None),
        ("mail=nobody,o=com", None),
        ("", None),
    ],
)
def test_only_a_part_called_mail_with_an_address_counts(actor, address):
    assert mail_address(actor) == address


PARTS = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters=","), min_size=1, max_size=12)


@given(
    before=st.lists(PARTS.filter(lambda part: not part.lower().startswith("mail="))), user=PARTS, host=PARTS
)
def test_an_address_is_found_among_any_parts(before, user, host):
    assert mail_address(",".join([*before, f"mail={user}@{host}", "o=com"])) == f"{user}@{host}"


@pytest.mark.parametrize("sent", [{"program": "ldap-humanizer"}, {"tags": ["LDAP-humanizer"]}])
def test_the_humanizer_is_known_by_its_program_or_its_tag(sent, make_host):
    (event,) = make_host(Ldap).process({"details": {"actor": "mail=a@b.example"}, **sent}).events
    assert event.get("details.username") == "a"


def test_a_user_called_ldap_does_not_make_an_event_one_of_a_directory(make_host):
    sent = {"summary": "ldap", "details": {"username": "ldap", "actor": "mail=a@b.example"}}
    (event,) = make_host(Ldap).process(sent).events
    assert event.get("details") == sent["details"]
    assert event.body["mozdef"]["plugins"] == []


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    run_contract(Ldap, events=[make_event(CHANGE), make_event(ACCESS)])
