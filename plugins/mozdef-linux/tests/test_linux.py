from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_linux import Linux
from mozdef_linux.sshd import read_sshd
from mozdef_linux.su import read_su

SSHD = {
    "Accepted publickey for ines from 2001:db8::9 port 51544 ssh2: ED25519 SHA256:abc/def+1": {
        "authstatus": "Accepted",
        "authmethod": "publickey",
        "username": "ines",
        "sourceipaddress": "2001:db8::9",
        "sourceport": "51544",
        "success": True,
        "keytype": "ED25519",
        "keyfingerprint": "SHA256:abc/def+1",
    },
    "Accepted publickey for git from 198.51.100.7 port 40022 ssh2: RSA SHA256:zzz": {
        "authstatus": "Accepted",
        "authmethod": "publickey",
        "username": "git",
        "sourceipaddress": "198.51.100.7",
        "sourceport": "40022",
        "success": True,
        "keytype": "RSA",
        "keyfingerprint": "SHA256:zzz",
        "rsakeyfingerprint": "SHA256:zzz",
    },
    "Accepted keyboard-interactive/pam for jo.d-e_f@lab from ::ffff:192.0.2.4 port 22 ssh2": {
        "authstatus": "Accepted",
        "authmethod": "keyboard-interactive/pam",
        "username": "jo.d-e_f@lab",
        "sourceipaddress": "192.0.2.4",
        "sourceport": "22",
        "success": True,
    },
    "Failed password for root from 192.0.2.1 port 50000 ssh2": {
        "authstatus": "Failed",
        "authmethod": "password",
        "username": "root",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "50000",
        "success": False,
    },
    "Failed password for invalid user admin from fe80::1%eth0 port 4 ssh2 [preauth]": {
        "authstatus": "Failed",
        "authmethod": "password",
        "username": "admin",
        "invaliduser": True,
        "sourceipaddress": "fe80::1",
        "sourceport": "4",
        "success": False,
    },
    "Invalid user  from 192.0.2.1 port 50000": {
        "sourceipaddress": "192.0.2.1",
        "sourceport": "50000",
        "success": False,
        "invaliduser": True,
    },
    "Invalid user from 192.0.2.1 port 50000": {
        "sourceipaddress": "192.0.2.1",
        "sourceport": "50000",
        "success": False,
        "invaliduser": True,
    },
    "Invalid user oracle from 192.0.2.1": {
        "username": "oracle",
        "sourceipaddress": "192.0.2.1",
        "success": False,
        "invaliduser": True,
    },
    "pam_unix(sshd:session): session opened for user ines(uid=1000) by (uid=0)": {
        "username": "ines",
        "status": "opened",
    },
    "pam_unix(sshd:session): session closed for user ines": {"username": "ines", "status": "closed"},
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root": {
        "sourceipaddress": "192.0.2.1",
        "username": "root",
        "success": False,
    },
    "Postponed publickey for invalid user x from 192.0.2.1 port 5 ssh2 [preauth]": {
        "authmethod": "publickey",
        "username": "x",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "5",
    },
    "Starting session: command on pts/3 'rsync --server' for ines from 192.0.2.1 port 5 id 0": {
        "sessiontype": "command",
        "device": "pts/3",
        "command": "rsync --server",
        "username": "ines",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "5",
    },
    "Starting session: shell on ttyS0 for ines from 192.0.2.1 port 5": {
        "sessiontype": "shell",
        "device": "ttyS0",
        "username": "ines",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "5",
    },
    "input_userauth_request: invalid user guest [preauth]": {"username": "guest", "invaliduser": True},
    "Received disconnect from 2001:db8::9: 11: Bye Bye": {
        "sourceipaddress": "2001:db8::9",
        "disconnectcode": "11",
        "disconnecttext": "Bye Bye",
    },
    "Received disconnect from 192.0.2.1 port 77:11: disconnected by user": {
        "sourceipaddress": "192.0.2.1",
        "sourceport": "77",
        "disconnectcode": "11",
        "disconnecttext": "disconnected by user",
    },
    "Connection closed by 192.0.2.1 port 6 [preauth]": {"sourceipaddress": "192.0.2.1", "sourceport": "6"},
    "Connection reset by authenticating user root 192.0.2.1 port 6 [preauth]": {
        "sourceipaddress": "192.0.2.1",
        "sourceport": "6",
        "username": "root",
    },
    "Disconnected from invalid user x 192.0.2.1 port 6": {
        "sourceipaddress": "192.0.2.1",
        "sourceport": "6",
        "username": "x",
    },
    "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.1 port 6 ssh2 [preauth]": {
        "username": "x",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "6",
        "success": False,
    },
    "message repeated 2 times: [ Failed password for root from 192.0.2.1 port 50000 ssh2]": {
        "authstatus": "Failed",
        "authmethod": "password",
        "username": "root",
        "sourceipaddress": "192.0.2.1",
        "sourceport": "50000",
        "success": False,
        "repeated": 2,
    },
    "message repeated 3 times: [ error: PAM: Authentication failure for root]": {"repeated": 3},
    "Server listening on 0.0.0.0 port 22.": {},
}

SU = {
    "pam_unix(su-l:session): session opened for user root(uid=0) by ines(uid=1000)": {
        "status": "opened",
        "username": "root",
        "originuser": "ines",
        "uid": "1000",
    },
    "pam_unix(su:session): session closed for user root": {"status": "closed", "username": "root"},
    "pam_unix(su:session): session opened for user root by (uid=0)": {
        "status": "opened",
        "username": "root",
        "uid": "0",
    },
    "FAILED SU (to root) ines on pts/1": {
        "username": "root",
        "originuser": "ines",
        "device": "pts/1",
        "success": False,
    },
    "(to root) ines on /dev/tty1": {
        "username": "root",
        "originuser": "ines",
        "device": "/dev/tty1",
        "success": True,
    },
    "sshd would never say this": {},
}


@pytest.mark.parametrize(("message", "fields"), SSHD.items())
def test_an_sshd_message_gives_exactly_its_fields(message, fields):
    assert read_sshd(message) == fields


@pytest.mark.parametrize(("message", "fields"), SU.items())
def test_a_su_message_gives_exactly_its_fields(message, fields):
    assert read_su(message) == fields


def test_a_user_name_cannot_forge_another_address():
    forged = "x from 203.0.113.5 port 22 ssh2"
    fields = read_sshd(f"Failed password for invalid user {forged} from 192.0.2.1 port 50000 ssh2")
    assert fields["sourceipaddress"] == "192.0.2.1"
    assert fields["username"] == forged


def test_a_user_name_cannot_forge_another_address_in_a_line_of_pam():
    line = "logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=x rhost=203.0.113.5"
    fields = read_sshd(f"pam_unix(sshd:auth): authentication failure; {line}")
    assert fields["sourceipaddress"] == "192.0.2.1"
    assert fields["username"] == "x rhost=203.0.113.5"


@given(
    user=st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=20),
    address=st.ip_addresses(),
    port=st.integers(1, 65535),
)
def test_any_user_and_address_survive_the_way_through_a_line(user, address, port):
    fields = read_sshd(f"Accepted password for {user} from {address} port {port} ssh2")
    mapped = getattr(address, "ipv4_mapped", None)
    assert fields["username"] == user
    assert ipaddress.ip_address(fields["sourceipaddress"]) == (mapped or address)
    assert fields["sourceport"] == str(port)


@given(st.text())
def test_no_message_makes_a_reader_raise(message):
    assert isinstance(read_sshd(message), dict)
    assert isinstance(read_su(message), dict)


@pytest.mark.parametrize("program", ["sshd", "sshd-session", "SSHD-AUTH"])
def test_every_part_of_sshd_is_called_sshd(program, make_event):
    event = make_event(
        summary="Failed password for root from 192.0.2.1 port 5 ssh2", details={"program": program}
    )
    plugin = Linux(Linux.Options())
    changed = event.with_change(plugin.on_event(event=event))
    assert changed.get("details.program") == "sshd"
    assert changed.get("details.sourceipaddress") == "192.0.2.1"


def test_a_user_called_su_does_not_make_an_event_one_of_su(make_host, make_event):
    host = make_host(Linux)
    table = host.table("on_event")
    assert table.next_index(make_event(summary="(to root) ines on pts/1", details={"username": "su"}), 0) == 1


def test_the_plugin_keeps_the_contract(run_contract):
    run_contract(Linux)
